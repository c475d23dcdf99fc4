//! What a thread knows of its spans: its innermost leaf, its id generator, its counters.
//!
//! Plain cells without a destructor, so that they can be read at any moment of a thread's life.

use std::cell::Cell;
use std::panic::catch_unwind;

use opentelemetry::Context;

use super::counters::{self, ThreadStats};
use super::exchange;
use super::ids::Ids;
use super::leaf::Leaf;
use super::live::FreeCells;

pub(super) struct Local {
    /// The innermost span that OpenTelemetry's context does not name.
    pub(super) leaf: Cell<Leaf>,
    /// Somebody wrote to a leaf that is open on this thread.
    pub(super) leaf_writes: Cell<bool>,
    /// Of a thread that is prepared, see [`stats`](Self::stats).
    pub(super) ids: Ids,
    pub(super) live: FreeCells,
    stats: Cell<Option<&'static ThreadStats>>,
    /// This thread's chunk is gone, or OpenTelemetry's context is: nothing is recorded any more.
    dead: Cell<bool>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            leaf: Cell::new(Leaf::NONE),
            leaf_writes: Cell::new(false),
            ids: Ids::new(),
            live: FreeCells::new(),
            stats: Cell::new(None),
            dead: Cell::new(false),
        }
    };
}

#[inline]
pub(super) fn with<T>(f: impl FnOnce(&Local) -> T) -> T {
    LOCAL.with(f)
}

impl Local {
    /// This thread's counters; on its first span, prepares the thread. `None` when it can no longer record.
    #[inline]
    pub(super) fn stats(&self) -> Option<&'static ThreadStats> {
        match self.stats.get() {
            None => self.prepare(),
            stats => stats,
        }
    }

    #[cold]
    fn prepare(&self) -> Option<&'static ThreadStats> {
        if self.dead.get() {
            return None;
        }
        // Destructors run in the opposite order of first use. OpenTelemetry's context is used first, so that it is
        // there for as long as this thread counts as alive. It panics when it is gone already: in the destructor of
        // another thread-local, on a thread that records for the first time.
        if catch_unwind(|| Context::map_current(|_| ())).is_err() {
            self.dead.set(true);
            return None;
        }
        exchange::register_thread();
        self.ids.seed();
        self.stats.set(Some(counters::lend()));
        self.stats.get()
    }
}

/// Whether this thread's storage, ours and OpenTelemetry's, can be used: not in the last destructors of a thread.
#[inline]
pub(crate) fn is_there() -> bool {
    with(|local| local.stats().is_some())
}

/// The thread's chunk is being torn down.
pub(super) fn thread_ends() {
    with(|local| {
        local.dead.set(true);
        local.live.give_up();
        if let Some(stats) = local.stats.take() {
            counters::give_back(stats);
        }
    });
}
