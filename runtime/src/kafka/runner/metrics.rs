//! The runner's own metrics, `throughline.messaging.consumer.*`; empty without the feature `metrics`.

use std::sync::Arc;
use std::time::Duration;

use super::counters::Count;
use super::engine::Engine;
use super::generation::Generation;

pub(super) fn counted(_what: Count, _times: u64, _topic: &str, _engine: &Engine) {}

pub(super) fn committed(_outcome: Count, _engine: &Engine) {}

pub(super) fn rebalanced(_what: Count, _took: Duration, _engine: &Engine) {}

pub(super) fn lag(_generation: &Arc<Generation>) {}
