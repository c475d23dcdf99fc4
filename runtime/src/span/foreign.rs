//! Spans that the stock SDK made: counted and handed over like ours.

use super::chunk;
use super::counters::{self, DropReason};
use super::local::{self, Local};
use super::record::Entry;

pub(crate) fn count_started() {
    local::with(|local| {
        if local.is_alive() {
            local.count_started();
        }
    });
}

pub(crate) fn push(entry: Entry, heap_bytes: usize) {
    if local::with(Local::count_ended) {
        chunk::push(entry, heap_bytes);
    } else {
        counters::dropped(DropReason::ThreadExit, 1);
    }
}
