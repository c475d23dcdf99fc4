//! Whether a span is recorded. Parent-based sampling is decided on the spot; any other sampler is asked.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use opentelemetry_sdk::trace::{Sampler, ShouldSample};

/// What annotated functions do, as one byte that every call reads.
pub(super) mod state {
    /// No set-up yet, switched off, or shut down: spans cost one load.
    pub(in crate::span) const OFF: u8 = 0;
    /// Parent-based sampling: decided in line.
    pub(in crate::span) const ON: u8 = 1;
    /// A sampler that must be asked.
    pub(in crate::span) const ASK: u8 = 2;
}

static STATE: AtomicU8 = AtomicU8::new(state::OFF);
/// A root is sampled if the lower half of its trace id, shifted right by one, is below this.
static ROOT_BOUND: AtomicU64 = AtomicU64::new(0);
static CUSTOM: OnceLock<Box<dyn ShouldSample>> = OnceLock::new();

/// How spans are sampled.
#[derive(Debug)]
pub(crate) enum SamplerSetting {
    AlwaysOn,
    AlwaysOff,
    Ratio(f64),
    ParentBasedAlwaysOn,
    ParentBasedAlwaysOff,
    ParentBasedRatio(f64),
    Custom(Box<dyn ShouldSample>),
}

impl SamplerSetting {
    /// The same decision, for the stock SDK.
    pub(crate) fn to_sdk(&self) -> Box<dyn ShouldSample> {
        let parent_based = |root: Sampler| Box::new(Sampler::ParentBased(Box::new(root)));
        match self {
            Self::AlwaysOn => Box::new(Sampler::AlwaysOn),
            Self::AlwaysOff => Box::new(Sampler::AlwaysOff),
            Self::Ratio(ratio) => Box::new(Sampler::TraceIdRatioBased(*ratio)),
            Self::ParentBasedAlwaysOn => parent_based(Sampler::AlwaysOn),
            Self::ParentBasedAlwaysOff => parent_based(Sampler::AlwaysOff),
            Self::ParentBasedRatio(ratio) => parent_based(Sampler::TraceIdRatioBased(*ratio)),
            Self::Custom(sampler) => sampler.clone(),
        }
    }

    /// The ratio that roots are sampled by, if the decision can be made in line.
    fn parent_based_ratio(&self) -> Option<f64> {
        match self {
            Self::ParentBasedAlwaysOn => Some(1.0),
            Self::ParentBasedAlwaysOff => Some(0.0),
            Self::ParentBasedRatio(ratio) => Some(*ratio),
            Self::AlwaysOn | Self::AlwaysOff | Self::Ratio(_) | Self::Custom(_) => None,
        }
    }
}

/// Switches recording on.
pub(crate) fn switch_on(setting: &SamplerSetting) {
    let state = match setting.parent_based_ratio() {
        Some(ratio) => {
            ROOT_BOUND.store(bound(ratio), Ordering::Relaxed);
            state::ON
        }
        None => {
            let _ = CUSTOM.set(setting.to_sdk());
            state::ASK
        }
    };
    STATE.store(state, Ordering::Release);
}

/// Switches recording off: spans that are open end as usual, new ones are not made.
pub(crate) fn switch_off() {
    STATE.store(state::OFF, Ordering::Release);
}

#[inline]
pub(super) fn current_state() -> u8 {
    STATE.load(Ordering::Relaxed)
}

pub(super) fn custom() -> Option<&'static dyn ShouldSample> {
    CUSTOM.get().map(AsRef::as_ref)
}

/// The SDK's formula, so that both give the same answer for the same trace id.
#[inline]
pub(super) fn samples_root(trace_id_low: u64) -> bool {
    (trace_id_low >> 1) < ROOT_BOUND.load(Ordering::Relaxed)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn bound(ratio: f64) -> u64 {
    (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanKind, TraceId};
    use opentelemetry_sdk::trace::SamplingDecision;

    #[test]
    fn the_same_trace_gets_the_same_answer_from_the_sdk() {
        let ids = crate::span::ids::Ids::new();
        ids.seed();
        for ratio in [0.0, 0.1, 0.5, 0.999, 1.0] {
            let sdk = Sampler::TraceIdRatioBased(ratio);
            for _ in 0..1_000 {
                let [high, low] = ids.next_trace();
                let id = TraceId::from((u128::from(high) << 64) | u128::from(low));
                let theirs = sdk.should_sample(None, id, "x", &SpanKind::Internal, &[], &[]).decision;
                assert_eq!(
                    (low >> 1) < bound(ratio),
                    theirs == SamplingDecision::RecordAndSample,
                    "{id} at {ratio}"
                );
            }
        }
    }
}
