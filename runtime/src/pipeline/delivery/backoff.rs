//! How long to wait before the next attempt.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LARGEST: Duration = Duration::from_secs(30);

/// Exponential back-off from 200 ms to 30 s with full jitter: each wait is drawn evenly from nothing to the current
/// bound, so that the processes which lost the same collector do not come back in step.
pub(super) struct Backoff {
    bound: Duration,
    state: u64,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self::seeded(RandomState::new().build_hasher().finish())
    }

    pub(super) fn seeded(seed: u64) -> Self {
        Self { bound: FIRST, state: seed }
    }

    pub(super) fn reset(&mut self) {
        self.bound = FIRST;
    }

    /// The next wait, at most the current bound.
    pub(super) fn next_wait(&mut self) -> Duration {
        let bound = self.bound;
        self.bound = (bound * 2).min(LARGEST);
        // 53 bits are what a double holds; the quotient lies in 0..1.
        #[allow(clippy::cast_precision_loss)]
        let part = (self.random() >> 11) as f64 / (1_u64 << 53) as f64;
        bound.mul_f64(part)
    }

    /// SplitMix64: even enough for jitter, and reproducible from a seed.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_stays_below_its_doubling_bound() {
        let mut backoff = Backoff::seeded(7);
        let mut bound = FIRST;
        for _ in 0..20 {
            assert!(backoff.next_wait() <= bound);
            bound = (bound * 2).min(LARGEST);
        }
        assert_eq!(backoff.bound, LARGEST);
        backoff.reset();
        assert!(backoff.next_wait() <= FIRST);
    }

    #[test]
    fn jitter_uses_the_whole_range() {
        let mut backoff = Backoff::seeded(1);
        let waits: Vec<_> = (0..200)
            .map(|_| {
                backoff.reset();
                backoff.next_wait()
            })
            .collect();
        assert!(waits.iter().any(|wait| *wait < FIRST / 4));
        assert!(waits.iter().any(|wait| *wait > FIRST / 4 * 3));
    }
}
