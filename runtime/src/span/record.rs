//! The record: what a span leaves behind when it ends, as small as it can be.

use std::{mem, thread};

use super::clock::{self, Reading};
use super::limits;
use super::message::{Details, Given};
use super::side::Side;
use super::site::Site;
use super::value::FieldValue;

/// Values that a record holds in place. Further ones go to the side box.
pub(crate) const INLINE: usize = 2;

pub(crate) mod flag {
    /// The parent's context came from another process.
    pub(crate) const REMOTE_PARENT: u8 = 1;
    /// Start and end are ticks of the counter, not nanoseconds since the epoch.
    pub(crate) const TICKS: u8 = 2;
    /// The record owns memory besides itself, which the budget counts.
    pub(crate) const OWNS_HEAP: u8 = 4;
    /// The thread was unwinding already when the span began.
    pub(crate) const BEGAN_IN_PANIC: u8 = 8;
    /// The span ended by a panic.
    pub(crate) const PANICKED: u8 = 16;
    /// The future or stream was dropped before its end.
    pub(crate) const CANCELLED: u8 = 32;
    /// A custom sampler said `RecordOnly`: written to, never exported.
    pub(crate) const RECORD_ONLY: u8 = 64;
    /// A poll panicked; what ends the span by `Drop` later, perhaps after the panic was caught, is the consequence.
    pub(crate) const PANICKED_IN_POLL: u8 = 128;
}

/// One span, as the recording thread keeps it while it is open, and hands it over when it has ended.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) site: &'static Site,
    pub(crate) trace: [u64; 2],
    pub(crate) span: u64,
    /// Zero for a root.
    pub(crate) parent: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) flags: u8,
    /// W3C trace flags.
    pub(crate) trace_flags: u8,
    /// In the order of the site's keys.
    pub(crate) values: [FieldValue; INLINE],
    pub(crate) side: Option<Box<Side>>,
    /// What it has in common with the spans of other messages. Then the entry before this one has the details.
    pub(crate) given: Option<&'static Given>,
}

impl Record {
    /// Reads the clock: the last thing on the way in, what comes before is not the user's time.
    #[inline(always)]
    pub(super) fn start_now(&mut self) {
        self.start_at(clock::now());
    }

    #[inline(always)]
    pub(super) fn start_at(&mut self, begun: Reading) {
        if thread::panicking() {
            self.flags |= flag::BEGAN_IN_PANIC;
        }
        if begun.is_ticks {
            self.flags |= flag::TICKS;
        }
        self.start = begun.value;
    }

    /// Sets the value of one of the site's keys. In line, where a value's type is known this is two stores.
    #[inline(always)]
    pub(super) fn set(&mut self, index: usize, value: FieldValue) {
        if let FieldValue::Owned(_) | FieldValue::Array(_) = value {
            return self.set_owned(index, value);
        }
        match self.values.get_mut(index) {
            // Each key is set once: there is nothing to drop.
            Some(slot) => mem::forget(mem::replace(slot, value)),
            None => self.set_aside(index, value),
        }
    }

    /// A value of its own is cut to the limit here, before the queue holds it.
    #[inline(never)]
    fn set_owned(&mut self, index: usize, value: FieldValue) {
        let is_small = value.heap_bytes() <= limits::MAX_SPAN_BYTES / INLINE;
        match self.values.get_mut(index) {
            Some(slot) if is_small && limits::current().value_length.is_none() => {
                *slot = value;
                self.flags |= flag::OWNS_HEAP;
            }
            _ => self.set_aside(index, value),
        }
    }

    #[cold]
    #[inline(never)]
    fn set_aside(&mut self, index: usize, value: FieldValue) {
        let Some(key) = self.site.keys.get(index) else { return };
        if let Some(value) = value.into_value() {
            self.side().set_attribute(opentelemetry::KeyValue::new(*key, value));
        }
    }

    /// The side box, made if there is none.
    pub(super) fn side(&mut self) -> &mut Side {
        self.flags |= flag::OWNS_HEAP;
        self.side.get_or_insert_default()
    }

    /// Bytes on the heap, which the budget counts beside the record itself.
    #[inline]
    pub(crate) fn heap_bytes(&self) -> usize {
        if self.flags & flag::OWNS_HEAP == 0 {
            return 0;
        }
        let values: usize = self.values.iter().map(FieldValue::heap_bytes).sum();
        values + self.side.as_ref().map_or(0, |side| side.bytes + size_of::<Side>())
    }
}

impl Record {
    /// Leaves out the largest values until the span owns no more than it may; false if that did not help.
    pub(super) fn fit(&mut self) -> bool {
        while self.heap_bytes() > limits::MAX_SPAN_BYTES {
            let fields = self.values.iter().map(FieldValue::heap_bytes).enumerate();
            let field = fields.max_by_key(|(_, bytes)| *bytes).filter(|(_, bytes)| *bytes > 0);
            let written = self.side.as_ref().and_then(|side| side.largest_attribute());
            match (field, written) {
                (Some((at, bytes)), written) if written.is_none_or(|(_, other)| other < bytes) => {
                    self.side().dropped_attributes += 1;
                    if let Some(value) = self.values.get_mut(at) {
                        *value = FieldValue::Null;
                    }
                }
                (_, Some((at, _))) => self.side().drop_attribute(at),
                _ if self.side().drop_event() => {}
                _ => return false,
            }
        }
        true
    }
}

/// What travels from a recording thread to the collector.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A span of an annotated function.
    Span(Record),
    /// What the next record of the same chunk tells of its message.
    Message(Details),
    /// A span made through the stock SDK. Boxed: it is three times the size of ours.
    Foreign(Box<opentelemetry_sdk::trace::SpanData>),
    /// No entry: a span that is not open, and what is left where one was taken. Never handed over.
    Nothing,
}
