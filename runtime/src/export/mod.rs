//! Where spans go: the console, an OTLP receiver, memory, any exporter of the OpenTelemetry SDK.

// Set-up, the caller of the constructors, is not there yet.
#[allow(dead_code)]
pub mod console;
#[allow(dead_code)]
mod json;
pub mod memory;
#[allow(dead_code)]
mod object;
#[cfg(feature = "otlp")]
#[allow(dead_code)]
pub(crate) mod otlp;

// Set-up chooses among them.
#[allow(unused_imports)]
pub(crate) use object::object;
