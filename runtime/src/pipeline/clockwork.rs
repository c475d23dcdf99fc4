//! The collector's clocks: takes anchors, converts readings, gives the counter up when it proves unsteady.

use std::time::Instant;

use super::timeline::{Anchor, Steadiness, Timeline, Times, system_time};
use crate::diagnostics;
use crate::span::clock;
use crate::span::record::{Record, flag};

/// Whether the kernel still trusts the counter is asked this often, in nanoseconds.
const ASK_KERNEL_EVERY: u64 = 60 * 1_000_000_000;

pub(super) struct Clockwork {
    origin: Instant,
    counter: Option<&'static quanta::Clock>,
    timeline: Option<Timeline>,
    asked_kernel_at: u64,
}

impl Clockwork {
    /// Calibrates the counter, which takes about a millisecond, and has new spans use it.
    pub(super) fn start() -> Self {
        let mut clockwork =
            Self { origin: Instant::now(), counter: None, timeline: None, asked_kernel_at: 0 };
        if let Some(counter) = clock::calibrate() {
            clockwork.counter = Some(counter);
            clockwork.timeline = Some(Timeline::new(ns_per_tick(counter), clockwork.anchor(counter)));
        }
        clockwork
    }

    pub(super) fn uses_ticks(&self) -> bool {
        self.counter.is_some() && clock::uses_ticks()
    }

    /// The tightest of five brackets: a thread that lost its processor between two readings gives a bad anchor.
    fn anchor(&self, counter: &quanta::Clock) -> Anchor {
        let mut best = (u64::MAX, Anchor { ticks: 0, wall_ns: 0, monotonic_ns: 0 });
        for _ in 0..5 {
            let before = counter.raw();
            let wall_ns = clock::wall_ns();
            let monotonic_ns = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let width = counter.raw().saturating_sub(before);
            if width < best.0 {
                best = (width, Anchor { ticks: before + width / 2, wall_ns, monotonic_ns });
            }
        }
        best.1
    }

    pub(super) fn take_anchor(&mut self) {
        let Some(counter) = self.counter else { return };
        let anchor = self.anchor(counter);
        let Some(timeline) = &mut self.timeline else { return };
        let told = timeline.add(anchor);
        let ask_kernel =
            told != Steadiness::Steady || anchor.monotonic_ns - self.asked_kernel_at > ASK_KERNEL_EVERY;
        let mut unsteady = told == Steadiness::Unsteady;
        if ask_kernel {
            self.asked_kernel_at = anchor.monotonic_ns;
            unsteady |= !clock::counter_is_trusted();
        }
        if unsteady && clock::uses_ticks() {
            // The timeline stays: spans that began with ticks end with ticks.
            clock::distrust();
            diagnostics::warn(format_args!(
                "the processor's time stamp counter is not steady; spans are timed by the system's clock from here on"
            ));
        }
    }

    pub(super) fn times(&self, record: &Record) -> Times {
        match &self.timeline {
            Some(timeline) if record.flags & flag::TICKS != 0 => timeline.times(record.start, record.end),
            _ => {
                // The wall clock may have been set back while the span was open.
                let adjusted = record.end < record.start;
                Times {
                    start: system_time(record.start),
                    end: system_time(record.end.max(record.start)),
                    adjusted,
                }
            }
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn ns_per_tick(counter: &quanta::Clock) -> f64 {
    const TICKS: u64 = 1 << 40;
    counter.delta_as_nanos(0, TICKS) as f64 / TICKS as f64
}
