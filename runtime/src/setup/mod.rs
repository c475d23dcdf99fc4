//! Turning tracing on: settings, global registration, and the guard that turns it off again.

mod choice;
mod effective;
mod endpoint;
mod environment;
mod error;
mod otlp;
mod parse;
mod resource;
mod sampling;
mod settings;

pub use choice::{ConsoleFormat, Exporter, LogFormat, OtlpProtocol, Propagator};
pub use effective::{EffectiveConfig, Setting, Source};
pub use error::{SetupError, Warning};
