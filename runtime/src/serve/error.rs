//! Why the program cannot go on.

use std::io;
use std::net::SocketAddr;

use crate::setup::SetupError;
use crate::store::StoreError;

/// An error of the program, for people.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no threads can be started")]
    Runtime {
        #[source]
        source: io::Error,
    },
    #[error("nobody can listen on {address}; give another address by {flag} ADDRESS{off}")]
    Bind {
        address: SocketAddr,
        flag: &'static str,
        off: &'static str,
        #[source]
        source: io::Error,
    },
    #[error(
        "{address} can be reached from other machines: set THROUGHLINE_API_TOKEN (or --token), which requests must then \
         carry, or allow everybody by --insecure"
    )]
    Open { address: SocketAddr },
    #[error("{0}")]
    Argument(String),
    #[cfg(feature = "kafka")]
    #[error("spans cannot be read from Kafka")]
    Kafka(#[from] rdkafka::error::KafkaError),
}
