//! Spans that the stock SDK made: counted and handed over like ours.

use super::counters::{self, DropReason};
use super::exchange;
use super::local::{self, Local};
use super::record::Entry;

pub(crate) fn count_started() {
    if let Some(stats) = local::with(Local::stats) {
        stats.count_started();
    }
}

pub(crate) fn push(mut entry: Entry, heap_bytes: usize) {
    match local::with(Local::stats) {
        Some(stats) => {
            stats.count_ended();
            exchange::push_with_heap(&mut entry, heap_bytes);
        }
        None => counters::dropped(DropReason::ThreadExit, 1),
    }
}
