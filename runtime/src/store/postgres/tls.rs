//! TLS to the server, on rustls.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::encryption::{Mode, Ssl};
use crate::store::error::StoreError;
use crate::tls::{provider, roots};

/// Makes the TLS half of connections.
pub(super) type Connector = MakeRustlsConnect;

pub(super) fn connector(ssl: &Ssl) -> Result<Connector, StoreError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&error))?;
    // As libpq has it: who names an authority wants it to be asked.
    let chain = match ssl.mode {
        Mode::VerifyCa | Mode::VerifyFull => true,
        Mode::Require => ssl.authorities.is_some(),
        Mode::Prefer | Mode::Disable => false,
    };
    let config = if ssl.mode == Mode::VerifyFull {
        builder.with_root_certificates(authorities(ssl)?)
    } else {
        let chain = if chain {
            let roots = Arc::new(authorities(ssl)?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            Some(verifier.map_err(|error| wrong(&error))?)
        } else {
            None
        };
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName { chain, provider }))
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

fn authorities(ssl: &Ssl) -> Result<rustls::RootCertStore, StoreError> {
    let Some(path) = &ssl.authorities else { return roots(None).map_err(|error| wrong(error.as_ref())) };
    let because = |error: &dyn std::fmt::Display| StoreError::Url {
        why: format!("names the authorities {} in `sslrootcert`: {error}", path.display()).into(),
    };
    let pem = std::fs::read(path).map_err(|error| because(&error))?;
    roots(Some(&pem)).map_err(|error| because(&error))
}

fn wrong(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::refused(format!("TLS cannot be set up: {error}"))
}

/// Takes a certificate for any name; of any authority too if there is no `chain`.
#[derive(Debug)]
struct AnyName {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
