//! The clock of the hot path: the processor's tick counter where it can be trusted, else the system's clock.
//!
//! A reading is one `u64`. Which clock it came from travels with the span, which ends with the clock that it began
//! with; the collector turns readings into wall time (`pipeline::timeline`).

#[cfg(feature = "kafka")]
use std::cell::Cell;
use std::sync::OnceLock;
#[cfg(feature = "kafka")]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::ticks;

/// Whether new spans read ticks. Set once the counter is calibrated, cleared for good if it proves unsteady.
static TICKS: AtomicBool = AtomicBool::new(false);
static COUNTER: OnceLock<quanta::Clock> = OnceLock::new();

/// A point in time as the hot path reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) value: u64,
    /// Ticks of the counter, or nanoseconds since the epoch.
    pub(crate) is_ticks: bool,
}

/// Reads the clock that new spans use.
#[inline(always)]
pub(crate) fn now() -> Reading {
    let is_ticks = TICKS.load(Ordering::Relaxed);
    Reading { value: read(is_ticks), is_ticks }
}

/// Reads the clock that a span began with.
#[inline(always)]
pub(crate) fn read(is_ticks: bool) -> u64 {
    if is_ticks { ticks::read() } else { wall_ns() }
}

/// The counter, once it is calibrated.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn counter() -> Option<&'static quanta::Clock> {
    COUNTER.get()
}

/// The system's clock, in nanoseconds since the epoch.
#[cold]
#[inline(never)]
pub(crate) fn wall_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// Ticks of half a millisecond; zero while the counter is not used.
#[cfg(feature = "kafka")]
static HALF_A_MILLISECOND: AtomicU64 = AtomicU64::new(0);

/// Milliseconds since the epoch by the system's clock, at most half a millisecond old: whoever asks for each of a million
/// messages a second looks at the counter instead, which costs a third.
#[cfg(feature = "kafka")]
pub(crate) fn wall_ms() -> i64 {
    thread_local! {
        static LAST: Cell<(u64, i64)> = const { Cell::new((0, 0)) };
    }
    let read = || i64::try_from(wall_ns() / 1_000_000).unwrap_or(i64::MAX);
    let ticks_valid = HALF_A_MILLISECOND.load(Ordering::Relaxed);
    if ticks_valid == 0 {
        return read();
    }
    LAST.with(|last| {
        let now = ticks::read();
        let (at, ms) = last.get();
        if now.wrapping_sub(at) < ticks_valid {
            return ms;
        }
        let ms = read();
        last.set((now, ms));
        ms
    })
}

/// Calibrates the counter, if this machine has one to trust, and switches new spans over. Takes up to 200 ms of
/// processor time, so the collector does it and not set-up.
pub(crate) fn calibrate() -> Option<&'static quanta::Clock> {
    if !counter_is_trusted() {
        return None;
    }
    let counter = COUNTER.get_or_init(quanta::Clock::new);
    // Where it finds no counter to trust, `quanta` answers by the system's clock, in other units.
    let before = ticks::read();
    let reading = counter.raw();
    if !(before..=ticks::read()).contains(&reading) {
        return None;
    }
    #[cfg(feature = "kafka")]
    {
        const MANY_TICKS: u64 = 1 << 30;
        let ns = counter.delta_as_nanos(0, MANY_TICKS).max(1);
        HALF_A_MILLISECOND.store(500_000 * MANY_TICKS / ns, Ordering::Relaxed);
    }
    TICKS.store(true, Ordering::Release);
    Some(counter)
}

/// Goes back to the system's clock, for good.
pub(crate) fn distrust() {
    TICKS.store(false, Ordering::Release);
    #[cfg(feature = "kafka")]
    HALF_A_MILLISECOND.store(0, Ordering::Relaxed);
}

pub(crate) fn uses_ticks() -> bool {
    TICKS.load(Ordering::Relaxed)
}

/// On x86-64 the counter runs at one rate through all power states only with the invariant-TSC bit, which `quanta`
/// looks at; and the kernel may have found that it differs between sockets, which only the kernel's choice of clock
/// source tells.
pub(crate) fn counter_is_trusted() -> bool {
    if cfg!(not(any(target_arch = "x86_64", target_arch = "aarch64"))) {
        return false;
    }
    if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        let source =
            std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
        return source.is_ok_and(|source| source.trim() == "tsc");
    }
    true
}
