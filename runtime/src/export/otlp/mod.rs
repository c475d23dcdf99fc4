//! OTLP: `http/protobuf` by a client of our own, and gRPC.
//!
//! Both are built on the messages of `opentelemetry-proto`, and not on `opentelemetry-otlp`, because the delivery needs
//! what that crate keeps to itself: the status, the receiver's pause, and the spans that a partial success refused.

#[cfg(feature = "otlp-grpc")]
mod grpc;
mod http;
mod pause;
#[cfg(feature = "otlp-tls")]
mod tls;

use std::fmt;
use std::time::Duration;

#[cfg(feature = "otlp-grpc")]
pub(crate) use self::grpc::grpc;
pub(crate) use self::http::http;

/// What an OTLP exporter is told; all of it read and parsed by set-up.
#[derive(Clone)]
#[cfg_attr(not(feature = "otlp-tls"), allow(dead_code))] // the certificates
pub(crate) struct OtlpConfig {
    /// For reports and log lines: `otlp`, `jaeger`.
    pub(crate) name: String,
    /// Over HTTP the full URL, over gRPC scheme, host and port.
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    /// For one attempt.
    pub(crate) timeout: Duration,
    /// Compress requests; without the feature `otlp-gzip` they go uncompressed.
    pub(crate) gzip: bool,
    /// PEM of the authorities to trust instead of the system's. Needs the feature `otlp-tls`, as `https` does.
    pub(crate) certificate: Option<Vec<u8>>,
    /// PEM of our own certificate, and of its key.
    pub(crate) client_identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for OtlpConfig {
    /// Without what may be secret: header values and keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpConfig")
            .field("name", &self.name)
            .field("timeout", &self.timeout)
            .field("gzip", &self.gzip)
            .finish_non_exhaustive()
    }
}

/// Why an OTLP exporter cannot be built from its settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum OtlpError {
    /// The URL of the receiver.
    #[error("the endpoint is no URL that can be sent to: {0}")]
    Url(String),
    /// A header that HTTP does not allow. The value is not told: it may be a token.
    #[error("header `{0}` has a name or value that HTTP does not allow")]
    Header(String),
    /// A certificate or key.
    #[cfg(feature = "otlp-tls")]
    #[error("{what}: {why}")]
    Tls { what: &'static str, why: String },
    /// The HTTP client itself.
    #[error("the HTTP client cannot be built: {0}")]
    Client(String),
}

/// How requests name their sender.
const USER_AGENT: &str = concat!("throughline/", env!("CARGO_PKG_VERSION"));

fn header_map(headers: &[(String, String)]) -> Result<::http::HeaderMap, OtlpError> {
    headers
        .iter()
        .map(|(name, value)| {
            let refused = || OtlpError::Header(name.clone());
            let key = ::http::HeaderName::try_from(name.as_str()).map_err(|_| refused())?;
            let mut value = ::http::HeaderValue::try_from(value.as_str()).map_err(|_| refused())?;
            value.set_sensitive(true);
            Ok((key, value))
        })
        .collect()
}
