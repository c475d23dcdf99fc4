//! The runner's own metrics, `throughline.messaging.consumer.*` (kafka.md 3.5); empty without the feature `metrics`.

#[cfg(feature = "metrics")]
mod gauges;
#[cfg(feature = "metrics")]
mod instruments;

use std::sync::Arc;
use std::time::Duration;

use super::counters::Count;
use super::engine::Engine;

/// Shows a runner to the gauges as long as it lives.
#[inline]
pub(super) fn register(engine: &Arc<Engine>) {
    #[cfg(feature = "metrics")]
    gauges::register(engine);
    #[cfg(not(feature = "metrics"))]
    let _ = engine;
}

/// Makes the gauges, if the program has set a meter provider since the last look.
#[inline]
pub(super) fn look() {
    #[cfg(feature = "metrics")]
    instruments::make();
}

/// Events that concern records of a topic.
#[inline]
pub(super) fn counted(what: Count, times: u64, topic: &str, engine: &Engine) {
    #[cfg(feature = "metrics")]
    instruments::counted(what, times, Some(topic), engine);
    #[cfg(not(feature = "metrics"))]
    let _ = (what, times, topic, engine);
}

/// Events that concern no topic in particular.
#[inline]
pub(super) fn happened(what: Count, engine: &Engine) {
    #[cfg(feature = "metrics")]
    instruments::counted(what, 1, None, engine);
    #[cfg(not(feature = "metrics"))]
    let _ = (what, engine);
}

/// A rebalance, and how long its callback took.
#[inline]
pub(super) fn rebalanced(what: Count, took: Duration, engine: &Engine) {
    happened(what, engine);
    #[cfg(feature = "metrics")]
    instruments::rebalance_took(what, took, engine);
    #[cfg(not(feature = "metrics"))]
    let _ = took;
}
