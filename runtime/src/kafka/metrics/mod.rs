//! The conventions' four metrics of messaging clients (kafka.md M-1 to M-6); empty without the feature `metrics`.
//!
//! What is measured does not depend on the trace: a span that is not sampled, or tracing that is off, is measured all
//! the same. While no meter provider is set, nothing is measured and no attribute is built.

#[cfg(feature = "metrics")]
mod instruments;
mod process;
#[cfg(feature = "metrics")]
mod provider;

use std::borrow::Cow;

pub use process::{Measure, MeasuredProbe, MeasuredStream, in_span, traced, traced_stream};
#[cfg(feature = "metrics")]
pub(super) use provider::PerProvider;

/// What a measurement is told apart by (kafka.md M-6): never a key, an offset or a client id, of which there is no end.
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "read where metrics are compiled in"))]
pub(super) struct Measured<'a> {
    pub(super) operation: Cow<'a, str>,
    /// The operation's type.
    pub(super) kind: &'static str,
    pub(super) topic: Option<Cow<'a, str>>,
    pub(super) template: Option<Cow<'a, str>>,
    pub(super) group: Option<Cow<'a, str>>,
    pub(super) partition: Option<i32>,
    pub(super) server: Option<(Cow<'a, str>, u16)>,
    pub(super) error_type: Option<Cow<'a, str>>,
}

/// When an operation began, if anybody wants to know how long it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    #[cfg(feature = "metrics")]
    begun: Option<std::time::Instant>,
}

impl Timer {
    /// Measures nothing.
    pub(super) const fn off() -> Self {
        Timer {
            #[cfg(feature = "metrics")]
            begun: None,
        }
    }

    /// Whether it measures.
    pub(super) fn is_on(self) -> bool {
        #[cfg(feature = "metrics")]
        return self.begun.is_some();
        #[cfg(not(feature = "metrics"))]
        false
    }

    /// Reads the clock if a meter provider is set.
    #[inline]
    pub(super) fn start() -> Self {
        Timer {
            #[cfg(feature = "metrics")]
            begun: is_measured().then(std::time::Instant::now),
        }
    }
}

/// Whether measurements go anywhere.
#[inline]
pub(super) fn is_measured() -> bool {
    #[cfg(feature = "metrics")]
    return provider::is_set();
    #[cfg(not(feature = "metrics"))]
    false
}

/// M-1: how long a send, a receive or a commit took, from the start of its span to now.
#[inline]
pub(super) fn operation<'a>(timer: Timer, measured: impl FnOnce() -> Measured<'a>) {
    #[cfg(feature = "metrics")]
    if let Some(begun) = timer.begun {
        instruments::operation(begun.elapsed(), measured);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (timer, measured);
}

/// How long a message waited in the broker, once per delivery (kafka.md 3.5).
#[inline]
pub(super) fn queue<'a>(waited: std::time::Duration, measured: impl FnOnce() -> Measured<'a>) {
    #[cfg(feature = "metrics")]
    instruments::queue(waited, measured);
    #[cfg(not(feature = "metrics"))]
    let _ = (waited, measured);
}

/// M-2: records that the broker or librdkafka reported on, whether delivered or not.
#[inline]
pub(super) fn sent<'a>(records: u64, measured: impl FnOnce() -> Measured<'a>) {
    #[cfg(feature = "metrics")]
    instruments::sent(records, measured);
    #[cfg(not(feature = "metrics"))]
    let _ = (records, measured);
}

/// M-3: messages that reached the program, each once: not again for a retry.
#[inline]
#[cfg_attr(
    not(feature = "metrics"),
    allow(dead_code, reason = "a pull counts, a handler only if it is measured")
)]
pub(super) fn consumed<'a>(messages: u64, measured: impl FnOnce() -> Measured<'a>) {
    #[cfg(feature = "metrics")]
    if messages > 0 {
        instruments::consumed(messages, measured);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (messages, measured);
}
