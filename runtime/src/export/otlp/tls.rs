//! Certificates for both transports: rustls on aws-lc-rs, with the system's authorities unless others are given.

use rustls::client::WantsClientCert;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use super::{OtlpConfig, OtlpError};
use crate::tls::{certificates, provider, roots};

/// For HTTP.
pub(super) fn rustls_config(config: &OtlpConfig) -> Result<ClientConfig, OtlpError> {
    let roots = roots(config.certificate.as_deref())
        .map_err(|error| tls("the authority's certificate", error.as_ref()))?;
    let builder = builder(roots)?;
    match &config.client_identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let certificates =
                certificates(certificate).map_err(|error| tls("the client's certificate", error.as_ref()))?;
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

fn builder(roots: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, OtlpError> {
    Ok(ClientConfig::builder_with_provider(provider())
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

fn tls(what: &'static str, error: &dyn std::error::Error) -> OtlpError {
    OtlpError::Tls { what, why: crate::export::chain::chain(error) }
}
