//! Certificates, for every client of ours that speaks TLS: rustls on aws-lc-rs.

use std::error::Error;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// It is always named, because the process may have installed none, or another crate's.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The authorities in this PEM text, or the system's.
pub(crate) fn roots(given: Option<&[u8]>) -> Result<RootCertStore, Box<dyn Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    match given {
        Some(pem) => {
            for certificate in certificates(pem)? {
                roots.add(certificate)?;
            }
        }
        // Some of a system's certificates are often malformed; the others do.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

/// The certificates in a PEM text, of which there is at least one.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Box<dyn Error + Send + Sync>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Err("no certificate in PEM form in it".into());
    }
    Ok(found)
}
