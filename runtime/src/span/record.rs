//! The record: what a span leaves behind when it ends, as small as it can be.

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
    /// Attaches nothing.
    pub(crate) const LEAF: u8 = 4;
    /// The thread was unwinding already when the span began.
    pub(crate) const BEGAN_IN_PANIC: u8 = 8;
    /// The span ended by a panic.
    pub(crate) const PANICKED: u8 = 16;
    /// The future or stream was dropped before its end.
    pub(crate) const CANCELLED: u8 = 32;
}

/// One ended span, as the recording thread hands it over.
#[derive(Debug)]
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
}

impl Record {
    /// Bytes on the heap, which the budget counts beside the record itself.
    #[inline]
    pub(crate) fn heap_bytes(&self) -> usize {
        let values: usize = self.values.iter().map(FieldValue::heap_bytes).sum();
        values + self.side.as_ref().map_or(0, |side| side.bytes + size_of::<Side>())
    }
}

/// What travels from a recording thread to the collector.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A span of an annotated function.
    Span(Record),
    /// A span made through the stock SDK. Boxed: it is three times the size of ours.
    Foreign(Box<opentelemetry_sdk::trace::SpanData>),
}
