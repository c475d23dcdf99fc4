//! Turning tracing on: settings, global registration, and the guard that turns it off again.
//!
//! | file | holds |
//! |---|---|
//! | `builder` | `Setup`: what can be said in code |
//! | `environment`, `parse`, `endpoint` | reading variables |
//! | `settings`, `resource`, `sampling`, `otlp`, `database`, `kafka`, `choice` | deciding, by precedence |
//! | `effective`, `error` | what was decided, by whom; what was refused |
//! | `install`, `subscriber` | starting and registering |
//! | `telemetry`, `signal`, `panic_hook` | the guard, and other ways to end |

mod builder;
mod choice;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod database;
mod effective;
// Without the exporter its settings are still read, for the error that names the feature.
#[cfg_attr(not(feature = "otlp"), allow(dead_code))]
mod endpoint;
mod environment;
mod error;
mod install;
#[cfg(feature = "kafka-export")]
mod kafka;
#[cfg_attr(not(feature = "otlp"), allow(dead_code))]
mod otlp;
mod panic_hook;
mod parse;
mod resource;
mod sampling;
mod settings;
mod signal;
#[cfg(feature = "tracing")]
mod subscriber;
mod telemetry;

pub use builder::Setup;
pub use choice::{ConsoleFormat, Exporter, LogFormat, OtlpProtocol};
pub use effective::{EffectiveConfig, Setting, Source};
pub use error::{SetupError, Warning};
#[cfg(feature = "otlp")]
pub(crate) use otlp::OtlpSettings;
pub use signal::shutdown_signal;
pub use telemetry::Telemetry;

/// Sets tracing up with everything else from the environment: `Setup::new(service_name).install()`.
///
/// ```
/// # fn main() -> Result<(), throughline::SetupError> {
/// # if true { return Ok(()) }
/// let _telemetry = throughline::setup_tracing("planner")?; // spans go out until this is dropped
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of [`Setup::install`].
pub fn setup_tracing(service_name: impl Into<String>) -> Result<Telemetry, SetupError> {
    Setup::new(service_name).install()
}
