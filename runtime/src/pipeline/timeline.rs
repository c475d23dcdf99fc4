//! From the counter's ticks to wall time.
//!
//! The collector takes an anchor, a point known on all three clocks, each time it has read what is committed. Every
//! tick that it then converts lies between two anchors and is interpolated, so that one tick means one time in
//! whichever batch it comes. Where the clocks disagree (suspend, a migrated machine, a wall clock that was set) a new
//! era begins, and nothing is interpolated across.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One moment on three clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) ticks: u64,
    /// Nanoseconds since the epoch.
    pub(super) wall_ns: u64,
    /// Nanoseconds of the monotonic clock, since any fixed moment.
    pub(super) monotonic_ns: u64,
}

/// Anchors are kept each for this long, then one a minute.
const FINE: u64 = 3_600 * 1_000_000_000;
const MINUTE: u64 = 60 * 1_000_000_000;
/// The most anchors and eras ever kept: spans that began before the oldest are converted by it.
const MOST_ANCHORS: usize = 3_600 + 2 * 24 * 60;
const MOST_ERAS: usize = 16;

/// Disagreement of two clocks that is no drift: this much, and one part in a thousand of the time passed.
const STEP_NS: u64 = 50_000;

/// Three steps within an hour: the counter is not to be trusted.
const STEPS_TOLERATED: usize = 3;

#[derive(Debug, Default)]
struct Era {
    anchors: VecDeque<Anchor>,
}

/// The history of anchors.
#[derive(Debug)]
pub(super) struct Timeline {
    eras: VecDeque<Era>,
    /// Nanoseconds per tick, as calibrated; for ticks outside all anchors and to notice steps.
    ns_per_tick: f64,
    /// When eras began, on the monotonic clock.
    steps: VecDeque<u64>,
    /// Between the last two anchors, if nothing stepped there. Nearly all spans lie in it: the last one was taken a moment
    /// ago, and what is converted now has come since the one before.
    newest: Option<Stretch>,
}

/// From one anchor to the next.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: Anchor,
    /// Ticks.
    to: u64,
    /// Nanoseconds per tick.
    wall_rate: f64,
    monotonic_rate: f64,
}

impl Stretch {
    fn between(from: Anchor, to: Anchor) -> Self {
        let ticks = signed(to.ticks, from.ticks);
        Self {
            from,
            to: to.ticks,
            wall_rate: ratio(signed(to.wall_ns, from.wall_ns), ticks),
            monotonic_rate: ratio(signed(to.monotonic_ns, from.monotonic_ns), ticks),
        }
    }

    fn holds(&self, ticks: u64) -> bool {
        (self.from.ticks..self.to).contains(&ticks)
    }

    fn wall(&self, ticks: u64) -> u64 {
        along(self.from.wall_ns, signed(ticks, self.from.ticks), self.wall_rate)
    }

    fn monotonic(&self, ticks: u64) -> u64 {
        along(self.from.monotonic_ns, signed(ticks, self.from.ticks), self.monotonic_rate)
    }
}

/// A span's times, converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) start: SystemTime,
    pub(super) end: SystemTime,
    /// The span lies across a step: its end was derived from its start.
    pub(super) adjusted: bool,
}

/// What a new anchor told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Steadiness {
    Steady,
    /// A new era began.
    Stepped,
    /// Too many steps: go back to the system's clock.
    Unsteady,
}

impl Timeline {
    pub(super) fn new(ns_per_tick: f64, first: Anchor) -> Self {
        let era = Era { anchors: VecDeque::from([first]) };
        Self { eras: VecDeque::from([era]), ns_per_tick, steps: VecDeque::new(), newest: None }
    }

    /// Adds an anchor. Anchors come in order.
    pub(super) fn add(&mut self, anchor: Anchor) -> Steadiness {
        let last = self.last();
        let stepped = last.is_some_and(|last| self.is_step(last, anchor));
        self.newest = last.filter(|_| !stepped).map(|last| Stretch::between(last, anchor));
        if !stepped {
            if let Some(era) = self.eras.back_mut() {
                era.add(anchor);
            }
            return Steadiness::Steady;
        }
        self.eras.push_back(Era { anchors: VecDeque::from([anchor]) });
        if self.eras.len() > MOST_ERAS {
            self.eras.pop_front();
        }
        self.steps.push_back(anchor.monotonic_ns);
        while self.steps.front().is_some_and(|at| anchor.monotonic_ns.saturating_sub(*at) > FINE) {
            self.steps.pop_front();
        }
        if self.steps.len() >= STEPS_TOLERATED { Steadiness::Unsteady } else { Steadiness::Stepped }
    }

    fn last(&self) -> Option<Anchor> {
        self.eras.back().and_then(|era| era.anchors.back()).copied()
    }

    fn is_step(&self, last: Anchor, next: Anchor) -> bool {
        let monotonic = signed(next.monotonic_ns, last.monotonic_ns);
        let allowed = STEP_NS.saturating_add(monotonic.unsigned_abs() / 1_000);
        let by_ticks = self.ticks_to_ns(signed(next.ticks, last.ticks));
        let by_wall = signed(next.wall_ns, last.wall_ns);
        by_ticks.abs_diff(monotonic) > allowed || by_wall.abs_diff(monotonic) > allowed
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn ticks_to_ns(&self, ticks: i64) -> i64 {
        (ticks as f64 * self.ns_per_tick) as i64
    }

    /// The times of a span, from its ticks.
    pub(super) fn times(&self, start: u64, end: u64) -> Times {
        if let Some(newest) = self.newest.filter(|newest| newest.holds(start) && newest.holds(end)) {
            let (start, end) = (newest.wall(start), newest.wall(end));
            return Times { start: system_time(start), end: system_time(end.max(start)), adjusted: false };
        }
        let Some((era, start_wall, start_monotonic)) = self.locate(start) else {
            return Times { start: UNIX_EPOCH, end: UNIX_EPOCH, adjusted: true };
        };
        let Some((end_era, end_wall, end_monotonic)) = self.locate(end) else {
            return Times { start: system_time(start_wall), end: system_time(start_wall), adjusted: true };
        };
        let adjusted = era != end_era;
        let end_wall = if adjusted {
            start_wall.saturating_add(end_monotonic.saturating_sub(start_monotonic))
        } else {
            end_wall
        };
        // Two processors' counters may differ by some ticks: a span never ends before it starts.
        Times { start: system_time(start_wall), end: system_time(end_wall.max(start_wall)), adjusted }
    }

    /// The era of a tick, its wall time and its monotonic time.
    fn locate(&self, ticks: u64) -> Option<(usize, u64, u64)> {
        let mut eras = self.eras.iter().enumerate().rev();
        let began_before = |era: &Era| era.starts_at().is_some_and(|first| first <= ticks);
        let (index, era) = eras.clone().find(|(_, era)| began_before(era)).or_else(|| eras.next_back())?;
        let (wall, monotonic) = era.interpolate(ticks, self.ns_per_tick)?;
        Some((index, wall, monotonic))
    }
}

impl Era {
    fn starts_at(&self) -> Option<u64> {
        self.anchors.front().map(|anchor| anchor.ticks)
    }

    fn add(&mut self, anchor: Anchor) {
        self.anchors.push_back(anchor);
        // Thin out what has become old: of two neighbours less than a minute apart, the second goes. One look per
        // anchor added is enough, for one grows old per anchor added.
        let old = |at: &Anchor| anchor.monotonic_ns.saturating_sub(at.monotonic_ns) > FINE;
        let boundary = self.anchors.partition_point(old);
        if boundary >= 2
            && let (Some(before), Some(at)) = (self.anchors.get(boundary - 2), self.anchors.get(boundary - 1))
            && at.monotonic_ns.saturating_sub(before.monotonic_ns) < MINUTE
        {
            self.anchors.remove(boundary - 1);
        }
        if self.anchors.len() > MOST_ANCHORS {
            self.anchors.pop_front();
        }
    }

    /// Wall and monotonic time of a tick: between its two anchors, or beyond the outermost by the calibrated rate.
    fn interpolate(&self, ticks: u64, ns_per_tick: f64) -> Option<(u64, u64)> {
        let after = self.anchors.partition_point(|anchor| anchor.ticks <= ticks);
        let stretch = match (self.anchors.get(after.wrapping_sub(1)), self.anchors.get(after)) {
            (Some(before), Some(next)) => Stretch::between(*before, *next),
            (Some(only), None) | (None, Some(only)) => {
                Stretch { from: *only, to: only.ticks, wall_rate: ns_per_tick, monotonic_rate: ns_per_tick }
            }
            (None, None) => return None,
        };
        Some((stretch.wall(ticks), stretch.monotonic(ticks)))
    }
}

#[allow(clippy::cast_precision_loss)]
fn ratio(ns: i64, ticks: i64) -> f64 {
    ns as f64 / ticks.max(1) as f64
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn along(base_ns: u64, ticks: i64, rate: f64) -> u64 {
    base_ns.saturating_add_signed((ticks as f64 * rate) as i64)
}

fn signed(later: u64, earlier: u64) -> i64 {
    i64::try_from(i128::from(later) - i128::from(earlier)).unwrap_or(i64::MAX)
}

pub(super) fn system_time(ns_since_epoch: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(ns_since_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    /// Three ticks a nanosecond.
    const RATE: f64 = 1.0 / 3.0;
    const WALL: u64 = 1_700_000_000 * SECOND;

    /// Three clocks that a test moves by hand.
    struct Scripted {
        now: Anchor,
    }

    impl Scripted {
        fn start() -> (Self, Timeline) {
            let now = Anchor { ticks: 5_000, wall_ns: WALL, monotonic_ns: 7 * SECOND };
            (Self { now }, Timeline::new(RATE, now))
        }

        fn run(&mut self, ns: u64) -> Anchor {
            self.now.ticks += ns * 3;
            self.now.wall_ns += ns;
            self.now.monotonic_ns += ns;
            self.now
        }
    }

    fn wall(times: Times) -> (u64, u64) {
        let ns =
            |time: SystemTime| u64::try_from(time.duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
        (ns(times.start), ns(times.end))
    }

    #[test]
    fn ticks_between_anchors_are_interpolated() {
        let (mut clock, mut timeline) = Scripted::start();
        for _ in 0..3 {
            assert_eq!(timeline.add(clock.run(SECOND)), Steadiness::Steady);
        }
        let times = timeline.times(5_000 + 3 * SECOND / 2, 5_000 + 3 * SECOND);
        assert_eq!(wall(times), (WALL + SECOND / 2, WALL + SECOND));
        assert!(!times.adjusted);
    }

    #[test]
    fn a_tick_means_the_same_time_in_every_batch() {
        let (mut clock, mut timeline) = Scripted::start();
        timeline.add(clock.run(SECOND));
        let tick = 5_000 + SECOND;
        let first = timeline.times(tick, tick);
        for _ in 0..10_000 {
            timeline.add(clock.run(SECOND));
        }
        let (again, then) = (wall(timeline.times(tick, tick)).0, wall(first).0);
        assert!(again.abs_diff(then) < 1_000, "{again} {then}");
    }

    #[test]
    fn slew_of_500_ppm_is_followed() {
        let (mut clock, mut timeline) = Scripted::start();
        for _ in 0..100 {
            clock.run(SECOND);
            clock.now.wall_ns += 500_000;
            assert_eq!(timeline.add(clock.now), Steadiness::Steady);
        }
        let times = timeline.times(clock.now.ticks, clock.now.ticks);
        assert!(wall(times).0.abs_diff(clock.now.wall_ns) < 1_000);
    }

    #[test]
    fn a_wall_clock_set_back_keeps_lengths() {
        let (mut clock, mut timeline) = Scripted::start();
        let start = clock.run(SECOND);
        timeline.add(start);
        clock.run(SECOND);
        clock.now.wall_ns -= 3_600 * SECOND;
        assert_eq!(timeline.add(clock.now), Steadiness::Stepped);
        let times = timeline.times(start.ticks, clock.now.ticks);
        assert!(times.adjusted);
        let (start, end) = wall(times);
        assert_eq!(end - start, SECOND);
    }

    #[test]
    fn a_counter_that_stands_still_in_suspend_begins_an_era() {
        let (mut clock, mut timeline) = Scripted::start();
        let before = clock.run(SECOND);
        timeline.add(before);
        // Suspended for a minute: the wall clock went on.
        clock.now.wall_ns += 60 * SECOND;
        clock.run(SECOND);
        assert_eq!(timeline.add(clock.now), Steadiness::Stepped);
        let after = timeline.times(clock.now.ticks, clock.now.ticks);
        assert_eq!(wall(after).0, clock.now.wall_ns);
    }

    #[test]
    fn a_counter_that_changes_its_rate_is_noticed() {
        let (mut clock, mut timeline) = Scripted::start();
        timeline.add(clock.run(SECOND));
        clock.run(SECOND);
        clock.now.ticks += 3 * SECOND / 100;
        assert_eq!(timeline.add(clock.now), Steadiness::Stepped);
    }

    #[test]
    fn three_steps_in_an_hour_are_too_many() {
        let (mut clock, mut timeline) = Scripted::start();
        let mut told = Vec::new();
        for _ in 0..3 {
            clock.run(SECOND);
            clock.now.wall_ns += 10 * SECOND;
            told.push(timeline.add(clock.now));
        }
        assert_eq!(told, [Steadiness::Stepped, Steadiness::Stepped, Steadiness::Unsteady]);
    }

    #[test]
    fn a_span_never_ends_before_it_starts() {
        let (mut clock, mut timeline) = Scripted::start();
        let now = clock.run(SECOND);
        timeline.add(now);
        let (start, end) = wall(timeline.times(now.ticks, now.ticks - 30));
        assert_eq!(start, end);
    }

    #[test]
    fn the_history_is_bounded() {
        let (mut clock, mut timeline) = Scripted::start();
        for _ in 0..20_000 {
            timeline.add(clock.run(SECOND));
        }
        assert!(timeline.eras[0].anchors.len() <= MOST_ANCHORS);
    }
}
