//! Certificates for both transports: rustls on aws-lc-rs, with the system's authorities unless others are given.

use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use super::{OtlpConfig, OtlpError};

/// For HTTP.
pub(super) fn rustls_config(config: &OtlpConfig) -> Result<ClientConfig, OtlpError> {
    let builder = builder(roots(config.certificate.as_deref())?)?;
    match &config.client_identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let certificates = certificates("the client's certificate", certificate)?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| tls("the client's key", &error))?;
            builder
                .with_client_auth_cert(certificates, key)
                .map_err(|error| tls("the client's certificate and key", &error))
        }
    }
}

/// For a client that will not need it; no certificate is loaded.
pub(super) fn unused() -> Result<ClientConfig, OtlpError> {
    Ok(builder(RootCertStore::empty())?.with_no_client_auth())
}

/// The provider is named, because the process may have installed none, or another crate's.
fn builder(roots: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, OtlpError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| tls("TLS", &error))?
        .with_root_certificates(roots))
}

/// For gRPC.
#[cfg(feature = "otlp-grpc")]
pub(super) fn tonic_config(config: &OtlpConfig) -> tonic::transport::ClientTlsConfig {
    use tonic::transport::{Certificate, ClientTlsConfig, Identity};
    let tls = match &config.certificate {
        Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    match &config.client_identity {
        Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
        None => tls,
    }
}

fn roots(given: Option<&[u8]>) -> Result<RootCertStore, OtlpError> {
    let mut roots = RootCertStore::empty();
    match given {
        Some(pem) => {
            for certificate in certificates("the authority's certificate", pem)? {
                roots.add(certificate).map_err(|error| tls("the authority's certificate", &error))?;
            }
        }
        // Some of a system's certificates are often malformed; the others do.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, OtlpError> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| tls(what, &error))?;
    if found.is_empty() {
        return Err(OtlpError::Tls { what, why: "no certificate in PEM form in it".to_owned() });
    }
    Ok(found)
}

fn tls(what: &'static str, error: &dyn std::error::Error) -> OtlpError {
    OtlpError::Tls { what, why: crate::export::chain::chain(error) }
}
