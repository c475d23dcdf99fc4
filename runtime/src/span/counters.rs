//! Counters of the recording side: every span that ends is counted once, as collected or as dropped for a reason.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::fork;

/// Why a span did not reach the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// No room in the queue.
    QueueFull,
    /// Larger than one span may be.
    TooLarge,
    /// Ended after shutdown.
    AlreadyShutdown,
    /// Lost with a panic in the collector.
    Panic,
    /// Ended in a destructor that ran after this thread's buffers were gone.
    ThreadExit,
}

/// Spans that began when their thread's counters were gone already.
static LOST: AtomicU64 = AtomicU64::new(0);
static DROPPED: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

#[cold]
pub(crate) fn dropped(reason: DropReason, spans: u64) {
    if let Some(counter) = DROPPED.get(reason as usize) {
        counter.fetch_add(spans, Ordering::Relaxed);
    }
}

/// Counts a span that begins and ends in a destructor after its thread's buffers are gone.
#[cold]
pub(crate) fn lost() {
    started_late();
    dropped(DropReason::ThreadExit, 1);
}

/// Counts the start of a span whose end is counted by itself.
#[cold]
pub(crate) fn started_late() {
    LOST.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn dropped_so_far(reason: DropReason) -> u64 {
    DROPPED.get(reason as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
}

/// Counters with one writer, the thread that they are lent to: a plain load and store, no locked instruction.
#[derive(Debug, Default)]
pub(crate) struct ThreadStats {
    started: AtomicU64,
    ended: AtomicU64,
}

impl ThreadStats {
    #[inline]
    pub(crate) fn count_started(&self) {
        self.started.store(self.started.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn count_ended(&self) {
        self.ended.store(self.ended.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// All counters ever lent out, and those whose thread has ended. They are used again with their counts, so that
/// there are as many as threads ever recorded at once.
struct Registry {
    all: Vec<&'static ThreadStats>,
    free: Vec<&'static ThreadStats>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { all: Vec::new(), free: Vec::new() });

pub(crate) fn lend() -> &'static ThreadStats {
    if fork::is_child() {
        return Box::leak(Box::default());
    }
    let mut registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    registry.free.pop().unwrap_or_else(|| {
        let stats: &'static ThreadStats = Box::leak(Box::default());
        registry.all.push(stats);
        stats
    })
}

pub(crate) fn give_back(stats: &'static ThreadStats) {
    if fork::is_child() {
        return;
    }
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner).free.push(stats);
}

/// Spans started and ended so far, over all threads.
pub(crate) fn totals() -> (u64, u64) {
    let registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    // `ended` first: a span that starts and ends in between must not look like one that ended unstarted.
    let ended = registry.all.iter().map(|stats| stats.ended.load(Ordering::Relaxed)).sum();
    let started: u64 = registry.all.iter().map(|stats| stats.started.load(Ordering::Relaxed)).sum();
    (started + LOST.load(Ordering::Relaxed), ended)
}
