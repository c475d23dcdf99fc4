//! How often a record is tried again, and how long each try waits.

use std::any::{Any, TypeId};
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// When a handler that failed is called again with the same record.
///
/// Retries happen in place: the lane of the record waits, so its partition (or key) stays in order, and nothing else
/// does. By default a record gets 5 attempts in all; the wait before the second is up to 100 ms, doubles each time up
/// to 30 s, and is drawn evenly from zero to that (full jitter), so that consumers which failed together do not come
/// back together. Every error is tried again unless [`when`](Self::when) says otherwise.
///
/// ```
/// use std::time::Duration;
/// use throughline::kafka::Backoff;
///
/// # #[derive(Debug)] enum ChargeError { Timeout, Refused }
/// # impl ChargeError { fn is_transient(&self) -> bool { matches!(self, ChargeError::Timeout) } }
/// let retry = Backoff::default().attempts(3).initial(Duration::from_millis(50)).when(ChargeError::is_transient);
/// assert_eq!(retry.longest_wait(2), Duration::from_millis(100));
/// ```
#[derive(Clone)]
#[must_use = "a backoff does nothing until it is given to a consumer"]
pub struct Backoff {
    attempts: u32,
    initial: Duration,
    factor: f64,
    max: Duration,
    jitter: bool,
    when: Option<When>,
}

type Predicate = dyn Fn(&dyn Any) -> bool + Send + Sync;

/// A predicate on errors of one type, kept without that type so that the consumer's builder does not carry it.
#[derive(Clone)]
struct When {
    error: TypeId,
    error_name: &'static str,
    holds: Arc<Predicate>,
}

impl Default for Backoff {
    /// 5 attempts in all, 100 ms, doubled up to 30 s, full jitter, every error.
    fn default() -> Self {
        Backoff {
            attempts: 5,
            initial: Duration::from_millis(100),
            factor: 2.0,
            max: Duration::from_secs(30),
            jitter: true,
            when: None,
        }
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff")
            .field("attempts", &self.attempts)
            .field("initial", &self.initial)
            .field("factor", &self.factor)
            .field("max", &self.max)
            .field("jitter", &self.jitter)
            .field("when", &self.when.as_ref().map(|when| when.error_name))
            .finish()
    }
}

impl Backoff {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// One attempt, so no retries.
    pub fn never() -> Self {
        Self::default().attempts(1)
    }

    /// Attempts in all, the first included; default 5. Zero counts as one.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Longest wait before the second attempt; default 100 ms.
    pub fn initial(mut self, initial: Duration) -> Self {
        self.initial = initial;
        self
    }

    /// What the longest wait is multiplied by from one attempt to the next; default 2. Below 1, or not a number, counts
    /// as 1: waits never shrink.
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = if factor >= 1.0 { factor } else { 1.0 };
        self
    }

    /// The longest wait there is; default 30 s.
    pub fn max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// Whether a wait is drawn from zero to its longest value (full jitter) or is that value; default true.
    pub fn jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }

    /// Tries again only where `predicate` holds. Other errors use up the attempts at once.
    ///
    /// `E` is the error type of the handler; a consumer with a handler of another one does not start. Panics, timeouts
    /// and undone acknowledgements are no `E` and are always tried again.
    pub fn when<E: 'static>(mut self, predicate: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        let holds = move |error: &dyn Any| error.downcast_ref::<E>().is_none_or(&predicate);
        self.when = Some(When {
            error: TypeId::of::<E>(),
            error_name: std::any::type_name::<E>(),
            holds: Arc::new(holds),
        });
        self
    }

    /// The longest wait after attempt number `attempt`, which is 1 for the first.
    pub fn longest_wait(&self, attempt: u32) -> Duration {
        // Beyond this, every factor but 1 has long passed any `max`; a factor of 1 stays 1.
        let exponent = i32::try_from(attempt.saturating_sub(1).min(1_000_000)).unwrap_or(i32::MAX);
        let wait = self.initial.as_secs_f64() * self.factor.powi(exponent);
        // Infinite, or too long for a `Duration`, is above `max` too.
        Duration::try_from_secs_f64(wait).map_or(self.max, |wait| wait.min(self.max))
    }

    /// The wait after attempt number `attempt`; `random` is evenly spread over 0 to 1.
    pub(super) fn wait(&self, attempt: u32, random: f64) -> Duration {
        let longest = self.longest_wait(attempt);
        if !self.jitter {
            return longest;
        }
        // `mul_f64` panics where rounding goes beyond the longest duration there is.
        Duration::try_from_secs_f64(longest.as_secs_f64() * random.clamp(0.0, 1.0))
            .unwrap_or(longest)
            .min(longest)
    }

    /// Attempts in all.
    pub(super) fn max_attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether an error of the handler is worth another attempt, whatever their number.
    pub(super) fn retries(&self, error: &dyn Any) -> bool {
        self.when.as_ref().is_none_or(|when| (when.holds)(error))
    }

    /// The type that the predicate looks at, if there is one and it is not `E`.
    pub(super) fn mismatch<E: 'static>(&self) -> Option<&'static str> {
        self.when.as_ref().filter(|when| when.error != TypeId::of::<E>()).map(|when| when.error_name)
    }
}

/// A number from 0 to 1 out of the operating system's randomness; waits need no better one.
pub(super) fn random() -> f64 {
    let bits = RandomState::new().hash_one(Instant::now()) >> 11;
    #[allow(clippy::cast_precision_loss)] // 53 bits are exact
    let fraction = bits as f64 / (1_u64 << 53) as f64;
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn backoffs() -> impl Strategy<Value = Backoff> {
        (0_u32..50, 0_u64..100_000, 0.0_f64..10.0, 0_u64..100_000, any::<bool>()).prop_map(
            |(attempts, initial, factor, max, jitter)| {
                Backoff::new()
                    .attempts(attempts)
                    .initial(Duration::from_millis(initial))
                    .factor(factor)
                    .max(Duration::from_millis(max))
                    .jitter(jitter)
            },
        )
    }

    proptest! {
        #[test]
        fn waits_grow_and_stay_below_the_longest(backoff in backoffs(), attempt in 0_u32..u32::MAX, random in 0.0_f64..=1.0) {
            let longest = backoff.longest_wait(attempt);
            prop_assert!(backoff.wait(attempt, random) <= longest);
            prop_assert!(longest <= backoff.max);
            prop_assert!(longest <= backoff.longest_wait(attempt.saturating_add(1)));
            prop_assert!(backoff.max_attempts() >= 1);
        }

        #[test]
        fn jitter_is_full(backoff in backoffs(), attempt in 1_u32..20, random in 0.0_f64..=1.0) {
            let longest = backoff.longest_wait(attempt);
            let backoff = backoff.jitter(true);
            prop_assert_eq!(backoff.wait(attempt, 0.0), Duration::ZERO);
            prop_assert_eq!(backoff.wait(attempt, 1.0), longest);
            let expected = longest.as_secs_f64() * random;
            prop_assert!((backoff.wait(attempt, random).as_secs_f64() - expected).abs() < 1e-6);
            prop_assert_eq!(backoff.jitter(false).wait(attempt, random), longest);
        }
    }

    #[test]
    fn the_default_is_five_attempts_doubling_from_100_ms_to_30_s() {
        let backoff = Backoff::default();
        assert_eq!(backoff.max_attempts(), 5);
        let waits: Vec<_> = (1..=11).map(|attempt| backoff.longest_wait(attempt).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn odd_numbers_are_taken() {
        let odd = Backoff::new().factor(f64::NAN).max(Duration::MAX);
        assert_eq!(odd.longest_wait(u32::MAX), Duration::from_millis(100));
        let endless = Backoff::new().factor(f64::INFINITY).max(Duration::MAX);
        assert_eq!(endless.longest_wait(2), Duration::MAX);
        assert_eq!(endless.wait(2, 1.0), Duration::MAX);
        assert_eq!(Backoff::never().max_attempts(), 1);
    }

    #[test]
    fn the_predicate_sees_errors_of_its_type_only() {
        let backoff = Backoff::new().when(|error: &String| error == "again");
        assert!(backoff.retries(&"again".to_owned()));
        assert!(!backoff.retries(&"never".to_owned()));
        assert!(backoff.retries(&7_u8));
        assert!(backoff.mismatch::<String>().is_none());
        assert!(backoff.mismatch::<u8>().is_some_and(|name| name.contains("String")));
        assert!(Backoff::new().mismatch::<u8>().is_none());
    }

    #[test]
    fn randomness_is_spread_over_zero_to_one() {
        let drawn: Vec<_> = (0..1000).map(|_| random()).collect();
        assert!(drawn.iter().all(|number| (0.0..=1.0).contains(number)));
        assert!(drawn.iter().any(|number| *number < 0.25) && drawn.iter().any(|number| *number > 0.75));
    }
}
