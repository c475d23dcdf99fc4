//! What set-up refuses, and what it only warns of.

use std::fmt;
use std::io;

/// Why tracing could not be set up: only what would lose traces in silence.
///
/// Everything else is a [`Warning`], unless [`Setup::strict`](crate::Setup::strict) makes an error of it. No message
/// contains a header value, a password or a token.
///
/// `Debug` prints the message and its causes, too, because that is what a `main` which returns this error shows.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// This process has been set up before. The first set-up stays as it is.
    #[error("tracing is already set up in this process; reach it by `Telemetry::current()`")]
    AlreadyInstalled,

    /// A setting that decides where traces go cannot be understood.
    #[error("{setting} is `{value}`; expected {expected}")]
    Invalid {
        /// The variable, or the method of `Setup`, that gave the value.
        setting: String,
        /// The value, with secrets cut out.
        value: String,
        /// What would have been accepted.
        expected: String,
    },

    /// A setting asks for something that this build does not contain.
    #[error(
        "{setting} asks for {what}, which needs the feature `{feature}`; add it to `throughline` in Cargo.toml{instead}"
    )]
    FeatureMissing {
        /// The variable, or the method of `Setup`, that asked for it.
        setting: String,
        /// What it asked for.
        what: String,
        /// The Cargo feature that brings it.
        feature: &'static str,
        /// Another way out, or nothing.
        instead: &'static str,
    },

    /// A certificate or key cannot be read.
    #[error("{setting} names the file `{path}`, which cannot be read; correct the path or unset it")]
    Unreadable {
        /// The variable that names the file.
        setting: String,
        /// The file.
        path: String,
        /// Why it cannot be read.
        #[source]
        source: io::Error,
    },

    /// An exporter cannot be built from its settings: a header, a certificate or a key that cannot be used.
    #[error("the exporter `{exporter}` cannot be built from its settings")]
    Exporter {
        /// The exporter's name, such as `otlp`.
        exporter: &'static str,
        /// What it cannot use.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The operating system gives us no thread.
    #[error("a thread of the tracing pipeline cannot be started")]
    Thread {
        /// What the operating system says.
        #[source]
        source: io::Error,
    },

    /// `Setup::strict(true)` was asked for, and there are warnings.
    #[error("{}", strict(.warnings))]
    Strict {
        /// What would only have been a warning.
        warnings: Vec<Warning>,
    },
}

impl fmt::Debug for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

fn strict(warnings: &[Warning]) -> String {
    let list: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    format!("set-up is strict, and not all settings can be followed: {}", list.join("; "))
}

/// A setting that could not be followed and was treated as if it were not there, or something else worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The variable, or the method of `Setup`, that is meant.
    pub setting: String,
    /// What is wrong with it, what would be accepted, and what holds instead.
    pub message: String,
}

impl Warning {
    pub(crate) fn new(setting: impl Into<String>, message: impl Into<String>) -> Self {
        Self { setting: setting.into(), message: message.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.setting, self.message)
    }
}
