//! Timeouts of any length, as points in time.

use std::time::{Duration, Instant};

/// When `timeout` is over. For ever is a year: the clock's range ends somewhere, and `Instant + Duration::MAX` panics.
pub(crate) fn after(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_ever_is_far_away() {
        assert!(after(Duration::MAX) > Instant::now() + Duration::from_secs(24 * 3600));
        assert!(after(Duration::ZERO) <= Instant::now());
    }
}
