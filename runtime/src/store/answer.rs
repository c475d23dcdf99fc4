//! What stores answer.

use std::time::Duration;

use opentelemetry::trace::TraceId;

use super::filter::{TailCursor, TraceCursor};
use super::span::StoredSpan;

/// What became of a batch; the three add up to its spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Stored by this call.
    pub inserted: usize,
    /// Stored before: the same trace, span and start.
    pub duplicate: usize,
    /// Refused: older than the retention, more than a year ahead, or a value that the database cannot hold.
    pub rejected: usize,
}

/// One trace.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TraceSummary {
    /// Its id.
    pub trace_id: TraceId,
    /// Start of the first span, in nanoseconds since 1970.
    pub start_ns: i64,
    /// End of the last span, in nanoseconds since 1970.
    pub end_ns: i64,
    /// The root span, or the earliest one while the root is missing. `None` when retention took it.
    pub head: Option<StoredSpan>,
    /// Spans stored.
    pub span_count: u64,
    /// Spans with an error status.
    pub error_count: u64,
    /// Spans whose parent is not stored.
    pub orphan_count: u64,
    /// The services in it, sorted.
    pub services: Vec<String>,
}

impl TraceSummary {
    /// Its place in the list.
    #[must_use]
    pub fn cursor(&self) -> TraceCursor {
        TraceCursor { start_ns: self.start_ns, trace_id: self.trace_id }
    }
}

/// A part of a list of traces, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct TraceList {
    /// The traces.
    pub traces: Vec<TraceSummary>,
    /// How many there are in the whole list; `None` when they were not counted. Counting takes no longer than listing, so it
    /// looks at 10,000 traces, or, where the filter asks for a span, at the newest 5,000 spans of the operation, service, id
    /// or error that it names, or, where it names none or has an end, at the newest 1,000 traces before that.
    pub total: Option<u64>,
    /// Whether there may be more than `total`.
    pub total_capped: bool,
    /// Where the next part begins; `None` at the end.
    pub next: Option<TraceCursor>,
}

/// What one service has in one trace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceCount {
    /// The trace.
    pub trace_id: TraceId,
    /// `service.name`.
    pub service: String,
    /// Its spans.
    pub spans: u64,
    /// Those with an error status.
    pub errors: u64,
}

/// Counts and durations of a set of spans.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SpanStats {
    /// Spans.
    pub count: u64,
    /// Those with an error status, timeouts among them.
    pub errors: u64,
    /// Those that timed out.
    pub timeouts: u64,
    /// Sum of the durations, in nanoseconds.
    pub sum_ns: u128,
    /// The nearest-rank percentiles 50, 90, 95 and 99 of the duration, in nanoseconds: each is the duration of a span.
    pub percentiles_ns: [i64; 4],
}

impl SpanStats {
    /// Errors by spans, 0 to 1; 0 for no spans.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // a ratio
    pub fn error_rate(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.errors as f64 / self.count as f64 }
    }

    /// Mean duration in nanoseconds; 0 for no spans.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // a mean
    pub fn mean_ns(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_ns as f64 / self.count as f64 }
    }
}

/// Statistics of the spans of a time range.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// All of them.
    pub all: SpanStats,
    /// Distinct traces among them.
    pub traces: u64,
    /// By service, sorted by name.
    pub by_service: Vec<(String, SpanStats)>,
    /// By service and operation, sorted.
    pub by_operation: Vec<(String, String, SpanStats)>,
    /// By time, when a width was asked for: the start of each bucket that has spans, in nanoseconds since 1970.
    pub by_time: Vec<(i64, SpanStats)>,
}

/// How many spans took how long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latency {
    /// Upper bound, included, and the spans between the bound before and this one. The last has no bound.
    pub buckets: Vec<(Option<Duration>, u64)>,
    /// All spans.
    pub count: u64,
    /// Sum of their durations, in nanoseconds.
    pub sum_ns: u128,
}

/// Calls from one service to another, or to something that makes no spans, such as a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edge {
    /// Who calls.
    pub parent: String,
    /// Who is called.
    pub child: String,
    /// How often.
    pub calls: u64,
    /// How often with an error status.
    pub errors: u64,
    /// Nearest-rank percentile 95 of the duration, in nanoseconds: as the called side saw it if it makes spans.
    pub p95_ns: i64,
}

/// Spans in the order in which they were stored.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Tail {
    /// The spans.
    pub spans: Vec<StoredSpan>,
    /// Where to go on; `None` while nothing was ever stored.
    pub cursor: Option<TailCursor>,
}

/// What [`Store::maintain`](super::Store::maintain) did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintained {
    /// Partitions made ahead.
    pub partitions_made: Vec<String>,
    /// Partitions that retention dropped.
    pub partitions_dropped: Vec<String>,
    /// Traces that retention, or the size of the file, removed from the summaries.
    pub traces_removed: u64,
    /// Another process was at it: nothing was done.
    pub busy: bool,
}

/// The state of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreHealth {
    /// Version of the schema.
    pub schema: i32,
    /// What it takes on disk, in bytes.
    pub size_bytes: u64,
    /// Start of the oldest trace, in nanoseconds since 1970.
    pub oldest_ns: Option<i64>,
    /// Start of the newest trace, in nanoseconds since 1970.
    pub newest_ns: Option<i64>,
}
