//! Entries that tell when they are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the drops of each entry. Of the standard library also under loom: it watches, it takes no part.
#[derive(Clone, Debug)]
pub(crate) struct Drops(Arc<[AtomicUsize]>);

impl Drops {
    pub(crate) fn new(entries: usize) -> Self {
        Self((0..entries).map(|_| AtomicUsize::new(0)).collect())
    }

    pub(crate) fn entry(&self, number: usize) -> Counted {
        Counted { halves: [Box::new(number), Box::new(!number)], drops: self.clone() }
    }

    /// How often each entry was dropped so far.
    pub(crate) fn each(&self) -> Vec<usize> {
        self.0.iter().map(|drops| drops.load(Ordering::Relaxed)).collect()
    }
}

/// An entry on the heap, in two halves that must agree.
#[derive(Debug)]
pub(crate) struct Counted {
    halves: [Box<usize>; 2],
    drops: Drops,
}

impl Counted {
    /// Its number, if it is whole.
    pub(crate) fn number(&self) -> usize {
        assert_eq!(*self.halves[0], !*self.halves[1], "the entry is torn");
        *self.halves[0]
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops.0[self.number()].fetch_add(1, Ordering::Relaxed);
    }
}
