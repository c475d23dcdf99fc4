//! PostgreSQL behind TLS: in front of the server of this run, somebody who answers the request for encryption.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// How a client asks for encryption: length, code
/// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>, "SSLRequest").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

pub(crate) fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/otlp_tls/certificates").join(name)
}

pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    encrypted: Arc<AtomicUsize>,
    plain: Arc<AtomicUsize>,
}

impl Front {
    /// Listens on this address, for the server at `behind`; `offers` encryption or does not.
    pub(crate) async fn start(ip: &str, behind: SocketAddr, offers: bool) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (encrypted, plain) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&encrypted), Arc::clone(&plain));
        let acceptor = TlsAcceptor::from(Arc::new(config()));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, counts) = (acceptor.clone(), counts.clone());
                tokio::spawn(async move {
                    // What fails here is what some of the tests are about.
                    let _ = serve(socket, behind, offers.then_some(acceptor), &counts.0, &counts.1).await;
                });
            }
        });
        Self { address, encrypted, plain }
    }

    /// Connections that were encrypted, and that were not.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.encrypted.load(Ordering::SeqCst), self.plain.load(Ordering::SeqCst))
    }
}

async fn serve(
    mut socket: TcpStream,
    behind: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    encrypted: &AtomicUsize,
    plain: &AtomicUsize,
) -> std::io::Result<()> {
    let mut first = [0; 8];
    socket.read_exact(&mut first).await?;
    let mut server = TcpStream::connect(behind).await?;
    if first != SSL_REQUEST {
        plain.fetch_add(1, Ordering::SeqCst);
        server.write_all(&first).await?;
        copy_bidirectional(&mut socket, &mut server).await?;
        return Ok(());
    }
    let Some(acceptor) = acceptor else {
        socket.write_all(b"N").await?;
        plain.fetch_add(1, Ordering::SeqCst);
        copy_bidirectional(&mut socket, &mut server).await?;
        return Ok(());
    };
    socket.write_all(b"S").await?;
    let mut socket = acceptor.accept(socket).await?;
    encrypted.fetch_add(1, Ordering::SeqCst);
    copy_bidirectional(&mut socket, &mut server).await?;
    Ok(())
}

fn config() -> ServerConfig {
    let certificates =
        CertificateDer::pem_file_iter(certificate("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificate("server.key.pem")).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap()
}
