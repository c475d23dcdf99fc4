//! Spans that the stock SDK made: counted and handed over like ours.

use super::counters::{self, DropReason};
use super::exchange;
use super::local::{self, Local};
use super::record::Entry;

pub(crate) fn count_started() {
    match local::with(Local::stats) {
        Some(stats) => stats.count_started(),
        None => counters::started_late(),
    }
}

pub(crate) fn push(mut entry: Entry, heap_bytes: usize) {
    let refused = match local::with(Local::stats) {
        Some(stats) => {
            stats.count_ended();
            exchange::push_with_heap(&mut entry, heap_bytes)
        }
        None => Some(DropReason::ThreadExit),
    };
    if let Some(reason) = refused {
        counters::dropped(reason, 1);
    }
}

/// Counts a span that is larger than one span may be.
pub(crate) fn too_large() {
    match local::with(Local::stats) {
        Some(stats) => {
            stats.count_ended();
            counters::dropped(DropReason::TooLarge, 1);
        }
        None => counters::dropped(DropReason::ThreadExit, 1),
    }
}
