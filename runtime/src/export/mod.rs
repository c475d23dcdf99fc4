//! Where spans go: the console, an OTLP receiver, memory, any exporter of the OpenTelemetry SDK.

#[cfg(any(feature = "otlp", feature = "sqlite", feature = "postgres"))]
pub(crate) mod chain;
pub mod console;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod database;
pub(crate) mod json;
#[cfg(feature = "kafka-export")]
pub(crate) mod kafka;
pub mod memory;
mod object;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
#[cfg(any(feature = "otlp", feature = "kafka-export"))]
mod otlp_request;

pub(crate) use object::object;
