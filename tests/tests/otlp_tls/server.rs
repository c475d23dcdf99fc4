//! An OTLP receiver behind TLS.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use super::certificate;

/// What the server wants of its client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    Nothing,
    ForACertificate,
}

type Names = Arc<Mutex<Vec<String>>>;

pub(crate) struct TlsServer {
    protocol: &'static str,
    port: u16,
    names: Names,
}

impl TlsServer {
    pub(crate) fn both(asks: Asks) -> [Self; 2] {
        [http(asks), grpc(asks)]
    }

    pub(crate) fn protocol(&self) -> &'static str {
        self.protocol
    }

    pub(crate) fn url(&self) -> String {
        let path = if self.protocol == "grpc" { "" } else { "/v1/traces" };
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// The names of the spans that arrived.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.lock().expect("no code panics under it").clone()
    }
}

fn keep(names: &Names, request: &ExportTraceServiceRequest) {
    let spans = request.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans);
    names.lock().expect("no code panics under it").extend(spans.map(|span| span.name.clone()));
}

fn http(asks: Asks) -> TlsServer {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let config = Arc::new(server_config(asks));
    let names = Names::default();
    let kept = Arc::clone(&names);
    thread::spawn(move || {
        for connection in listener.incoming() {
            // A handshake that fails is what some of the tests are about.
            let _ = serve(connection.expect("a connection"), &config, &kept);
        }
    });
    TlsServer { protocol: "http/protobuf", port, names }
}

fn serve(mut socket: TcpStream, config: &Arc<ServerConfig>, names: &Names) -> std::io::Result<()> {
    let mut connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut stream = Stream::new(&mut connection, &mut socket);
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        seen.extend_from_slice(&buffer[..count]);
        let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&seen[..end]).to_ascii_lowercase();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse().ok())
            .expect("a length");
        if let Some(body) = seen.get(end + 4..end + 4 + length) {
            keep(names, &ExportTraceServiceRequest::decode(body).expect("an OTLP request"));
            break;
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    stream.flush()
}

fn server_config(asks: Asks) -> ServerConfig {
    let certificates = CertificateDer::pem_file_iter(certificate("server.pem"))
        .expect("a file")
        .map(|c| c.expect("PEM"))
        .collect();
    let key = PrivateKeyDer::from_pem_file(certificate("server.key.pem")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match asks {
        Asks::Nothing => builder.with_no_client_auth(),
        Asks::ForACertificate => {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_file(certificate("authority.pem")).expect("PEM"))
                .expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    builder.with_single_cert(certificates, key).expect("certificate and key")
}

fn grpc(asks: Asks) -> TlsServer {
    let read = |name| fs::read(certificate(name)).expect("a file");
    let mut tls =
        ServerTlsConfig::new().identity(Identity::from_pem(read("server.pem"), read("server.key.pem")));
    if asks == Asks::ForACertificate {
        tls = tls.client_ca_root(Certificate::from_pem(read("authority.pem")));
    }
    let names = Names::default();
    let service = TraceServiceServer::new(Grpc(Arc::clone(&names)));
    let (tell, port) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("an address").port()).expect("somebody waits");
            Server::builder()
                .tls_config(tls)
                .expect("TLS")
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("it serves");
        });
    });
    TlsServer { protocol: "grpc", port: port.recv().expect("the server starts"), names }
}

struct Grpc(Names);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        keep(&self.0, request.get_ref());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
