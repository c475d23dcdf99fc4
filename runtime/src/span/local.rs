//! What a thread knows of its spans: the innermost one of ours, what it last attached, its id generator.
//!
//! Plain cells without a destructor, so that they can be read at any moment of a thread's life.

use std::cell::Cell;

use super::counters::{self, ThreadStats};
use super::{chunk, ids};

/// A span of ours, as its children need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Current {
    pub(super) trace: [u64; 2],
    /// Zero: none.
    pub(super) span: u64,
    pub(super) trace_flags: u8,
    pub(super) leaf: bool,
}

impl Current {
    pub(super) const NONE: Self = Self { trace: [0; 2], span: 0, trace_flags: 0, leaf: false };
}

pub(super) struct Local {
    /// The innermost span of ours that is open on this thread.
    pub(super) current: Cell<Current>,
    /// The span id that OpenTelemetry's context had when `current` became the innermost one. While the context
    /// still has it, `current` is the parent; any other id is a span that somebody else attached since.
    pub(super) attached: Cell<u64>,
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
            current: Cell::new(Current::NONE),
            attached: Cell::new(0),
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

    /// Whether this thread can still record; on its first span, prepares it.
    #[inline]
    pub(super) fn is_alive(&self) -> bool {
        self.stats.get().is_some() || self.prepare()
    }

    #[cold]
    fn prepare(&self) -> bool {
        if self.dead.get() {
            return false;
        }
        chunk::register_thread();
        self.stats.set(Some(counters::lend()));
        true
    }

    #[inline]
    pub(super) fn count_started(&self) {
        if let Some(stats) = self.stats.get() {
            stats.count_started();
        }
    }

    /// A span may end on a thread that never started one.
    #[inline]
    pub(super) fn count_ended(&self) -> bool {
        if !self.is_alive() {
            return false;
        }
        if let Some(stats) = self.stats.get() {
            stats.count_ended();
        }
        true
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
