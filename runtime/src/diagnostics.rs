//! The library's own log lines: what it tells about itself, one line per change of state.
//!
//! They go through `tracing` under the target `throughline` when the program has a subscriber, so that they land where
//! its other log lines land. Without one they go to standard error, because a wrong setting that nobody hears of is
//! how traces get lost in silence.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Target of every line of ours; set-up keeps it out of spans.
pub(crate) const TARGET: &str = "throughline";

/// From which importance on a line is written; `OTEL_LOG_LEVEL` sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Verbosity {
    Off = 0,
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
}

impl Verbosity {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Off => "none",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Info as u8);

/// The subscriber that is set only makes spans of what it sees and prints nothing.
static SUBSCRIBER_IS_SILENT: AtomicBool = AtomicBool::new(false);

pub(crate) fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

/// Set-up calls this when it installed a subscriber that has no layer for people.
#[cfg(feature = "tracing")]
pub(crate) fn subscriber_is_silent() {
    SUBSCRIBER_IS_SILENT.store(true, Ordering::Relaxed);
}

/// Something is lost or not as the user asked.
pub(crate) fn warn(line: fmt::Arguments<'_>) {
    if enabled(Verbosity::Warn) {
        if through_tracing() {
            tracing::warn!(target: TARGET, "{line}");
        } else {
            to_stderr("warning", line);
        }
    }
}

/// Something worth knowing once, such as the effective configuration or a recovery.
pub(crate) fn info(line: fmt::Arguments<'_>) {
    if enabled(Verbosity::Info) {
        if through_tracing() {
            tracing::info!(target: TARGET, "{line}");
        } else {
            to_stderr("info", line);
        }
    }
}

fn enabled(at: Verbosity) -> bool {
    VERBOSITY.load(Ordering::Relaxed) >= at as u8
}

fn through_tracing() -> bool {
    tracing::dispatcher::has_been_set() && !SUBSCRIBER_IS_SILENT.load(Ordering::Relaxed)
}

/// `eprintln!` would panic on a closed standard error.
fn to_stderr(level: &str, line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "throughline: {level}: {line}");
}
