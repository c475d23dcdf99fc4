//! What a thread knows of its spans: its innermost leaf, its id generator, its counters.
//!
//! Plain cells without a destructor, so that they can be read at any moment of a thread's life.

use std::cell::Cell;

use super::counters::{self, ThreadStats};
use super::leaf::Leaf;
use super::live::FreeCells;
use super::{exchange, ids};

pub(super) struct Local {
    /// The innermost span that OpenTelemetry's context does not name.
    pub(super) leaf: Cell<Leaf>,
    /// Somebody wrote to a leaf that is open on this thread.
    pub(super) leaf_writes: Cell<bool>,
    /// One cell a word, which stay in registers; an array in a cell is copied as a whole.
    ids: [Cell<u64>; 4],
    pub(super) live: FreeCells,
    stats: Cell<Option<&'static ThreadStats>>,
    /// This thread's chunk is gone: nothing is recorded any more.
    dead: Cell<bool>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            leaf: Cell::new(Leaf::NONE),
            leaf_writes: Cell::new(false),
            ids: [const { Cell::new(0) }; 4],
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
    /// The next id; of a thread that is prepared, see [`stats`](Self::stats).
    #[inline(always)]
    pub(super) fn next_id(&self) -> u64 {
        ids::next(&self.ids)
    }

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
        exchange::register_thread();
        ids::seed(&self.ids);
        self.stats.set(Some(counters::lend()));
        self.stats.get()
    }
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
