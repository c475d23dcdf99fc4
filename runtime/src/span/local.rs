//! What a thread knows of its spans: its innermost leaf, its id generator, its counters.
//!
//! Plain cells without a destructor, so that they can be read at any moment of a thread's life.

use std::cell::Cell;

use super::counters::{self, ThreadStats};
use super::leaf::Leaf;
use super::{chunk, ids};

pub(super) struct Local {
    /// The innermost span that OpenTelemetry's context does not name.
    pub(super) leaf: Cell<Leaf>,
    /// Somebody wrote to a leaf that is open on this thread.
    pub(super) leaf_writes: Cell<bool>,
    ids: Cell<ids::State>,
    stats: Cell<Option<&'static ThreadStats>>,
    /// This thread's chunk is gone: nothing is recorded any more.
    dead: Cell<bool>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            leaf: Cell::new(Leaf::NONE),
            leaf_writes: Cell::new(false),
            ids: Cell::new([0; 4]),
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
    #[inline]
    pub(super) fn next_id(&self) -> u64 {
        let mut state = self.ids.get();
        if state[0] == 0 && state[1] == 0 {
            state = ids::seed();
        }
        let id = ids::next(&mut state);
        self.ids.set(state);
        id
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
        chunk::register_thread();
        self.stats.set(Some(counters::lend()));
        self.stats.get()
    }
}

/// The thread's chunk is being torn down.
pub(super) fn thread_ends() {
    with(|local| {
        local.dead.set(true);
        if let Some(stats) = local.stats.take() {
            counters::give_back(stats);
        }
    });
}
