//! What queries are asked.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanId, SpanKind, TraceId};

use super::error::StoreError;

/// Which spans are meant. Everything that is said must hold for one and the same span; nothing said means all.
///
/// ```
/// use std::time::Duration;
/// use throughline::store::{Filter, Outcome};
///
/// let slow_failures = Filter::new().service("shop").outcome(Outcome::Error).min_duration(Duration::from_millis(200));
/// assert_eq!(slow_failures.service.as_deref(), Some("shop"));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Filter {
    /// The trace.
    pub trace_id: Option<TraceId>,
    /// `service.name`, exactly.
    pub service: Option<String>,
    /// The span's name, exactly.
    pub operation: Option<String>,
    /// A part of the span's name, without regard to case.
    pub operation_contains: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// OTLP's number of its status: 0 unset, 1 ok, 2 error.
    pub status: Option<i16>,
    /// Its kind.
    pub kind: Option<SpanKind>,
    /// `task_id`, `plan_id`, `agent_id` and `tool_id`, exactly.
    pub ids: [Option<String>; 4],
    /// Attributes by key and value. The value matches a string, and the number or boolean that it spells.
    pub attributes: Vec<(String, String)>,
    /// Attributes of the span, of one of its events, of its resource or of its scope, by key and value. The keys
    /// `otel.scope.name` and `otel.scope.version` mean the scope's own name and version, as OpenTelemetry's mapping to
    /// other formats has them.
    pub attributes_anywhere: Vec<(String, String)>,
    /// Shortest duration.
    pub min_duration: Option<Duration>,
    /// Longest duration.
    pub max_duration: Option<Duration>,
    /// Earliest start, included: of the trace in [`Store::list`](super::Store::list), of the span elsewhere.
    pub from: Option<SystemTime>,
    /// Latest start, excluded.
    pub to: Option<SystemTime>,
    /// Earliest start of the span itself, included, and latest, excluded. In [`Store::list`](super::Store::list) such
    /// a trace may begin up to a day before.
    pub span_range: Option<(SystemTime, SystemTime)>,
}

/// How a span ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Without an error status.
    Success,
    /// With an error status whose `error.type` is no timeout.
    Error,
    /// With an error status whose `error.type` is `timeout` or `deadline_exceeded`.
    Timeout,
}

impl Filter {
    /// All spans.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Spans of this trace.
    #[must_use]
    pub fn trace_id(mut self, id: TraceId) -> Self {
        self.trace_id = Some(id);
        self
    }

    /// Spans of this service.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// Spans with this name.
    #[must_use]
    pub fn operation(mut self, name: impl Into<String>) -> Self {
        self.operation = Some(name.into());
        self
    }

    /// Spans with this in their name, without regard to case.
    #[must_use]
    pub fn operation_contains(mut self, part: impl Into<String>) -> Self {
        self.operation_contains = Some(part.into());
        self
    }

    /// Spans that ended so.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// Spans with this status, by OTLP's number: 0 unset, 1 ok, 2 error.
    #[must_use]
    pub fn status(mut self, number: i16) -> Self {
        self.status = Some(number);
        self
    }

    /// Spans of this kind.
    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Spans with this `task_id`.
    #[must_use]
    pub fn task_id(self, id: impl Into<String>) -> Self {
        self.id(0, id.into())
    }

    /// Spans with this `plan_id`.
    #[must_use]
    pub fn plan_id(self, id: impl Into<String>) -> Self {
        self.id(1, id.into())
    }

    /// Spans with this `agent_id`.
    #[must_use]
    pub fn agent_id(self, id: impl Into<String>) -> Self {
        self.id(2, id.into())
    }

    /// Spans with this `tool_id`.
    #[must_use]
    pub fn tool_id(self, id: impl Into<String>) -> Self {
        self.id(3, id.into())
    }

    fn id(mut self, index: usize, id: String) -> Self {
        if let Some(slot) = self.ids.get_mut(index) {
            *slot = Some(id);
        }
        self
    }

    /// Spans with this attribute; several may be asked for.
    #[must_use]
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((key.into(), value.into()));
        self
    }

    /// Spans with this attribute, or with an event, a resource or a scope that has it; several may be asked for.
    #[must_use]
    pub fn attribute_anywhere(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes_anywhere.push((key.into(), value.into()));
        self
    }

    /// Spans of at least this duration.
    #[must_use]
    pub fn min_duration(mut self, duration: Duration) -> Self {
        self.min_duration = Some(duration);
        self
    }

    /// Spans of at most this duration.
    #[must_use]
    pub fn max_duration(mut self, duration: Duration) -> Self {
        self.max_duration = Some(duration);
        self
    }

    /// From this time on.
    #[must_use]
    pub fn from(mut self, time: SystemTime) -> Self {
        self.from = Some(time);
        self
    }

    /// Before this time.
    #[must_use]
    pub fn to(mut self, time: SystemTime) -> Self {
        self.to = Some(time);
        self
    }

    /// Spans that themselves begin from the first time on and before the second.
    #[must_use]
    pub fn span_range(mut self, from: SystemTime, to: SystemTime) -> Self {
        self.span_range = Some((from, to));
        self
    }

    /// Whether it asks for more than a trace and a time.
    pub(crate) fn asks_for_a_span(&self) -> bool {
        let of_a_trace = Self { trace_id: self.trace_id, from: self.from, to: self.to, ..Self::default() };
        *self != of_a_trace
    }

    /// Whether an index leads to the spans, newest first.
    pub(crate) fn is_indexed(&self) -> bool {
        self.service.is_some()
            || self.operation.is_some()
            || self.operation_contains.is_some()
            || matches!(self.outcome, Some(Outcome::Error | Outcome::Timeout))
            || self.status == Some(2)
            || self.ids.iter().any(Option::is_some)
    }
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// At most this many; default 50.
    pub limit: usize,
    /// Go on where the list with this [`TraceList::next`](super::TraceList::next) ended.
    pub after: Option<TraceCursor>,
    /// Skip this many; for numbered pages. A cursor is faster, and no trace is seen twice when new ones arrive.
    pub offset: usize,
    /// Whether the whole list is counted, up to 10,000; default true.
    pub count: bool,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: 50, after: None, offset: 0, count: true }
    }
}

impl Page {
    /// The newest `limit` traces.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// What comes after a cursor.
    #[must_use]
    pub fn after(mut self, cursor: TraceCursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Skips this many.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Whether the whole list is counted.
    #[must_use]
    pub fn count(mut self, count: bool) -> Self {
        self.count = count;
        self
    }
}

/// A place in a list of traces: start and id of the last one. As text it goes through URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceCursor {
    pub(crate) start_ns: i64,
    pub(crate) trace_id: TraceId,
}

impl std::fmt::Display for TraceCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.start_ns, self.trace_id)
    }
}

impl std::str::FromStr for TraceCursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let (start, id) = text.split_once('-').ok_or(StoreError::Cursor)?;
        Ok(Self { start_ns: start_ns(start)?, trace_id: trace_id(id)? })
    }
}

fn start_ns(text: &str) -> Result<i64, StoreError> {
    text.parse().ok().filter(|start| *start >= 0).ok_or(StoreError::Cursor)
}

fn trace_id(text: &str) -> Result<TraceId, StoreError> {
    TraceId::from_hex(text).ok().filter(|_| is_hex(text, 32)).ok_or(StoreError::Cursor)
}

fn span_id(text: &str) -> Result<SpanId, StoreError> {
    SpanId::from_hex(text).ok().filter(|_| is_hex(text, 16)).ok_or(StoreError::Cursor)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A place in the spans of a trace: start and id of the last one. As text it goes through URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanCursor {
    pub(crate) start_ns: i64,
    pub(crate) span_id: SpanId,
}

impl std::fmt::Display for SpanCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.start_ns, self.span_id)
    }
}

impl std::str::FromStr for SpanCursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let (start, id) = text.split_once('-').ok_or(StoreError::Cursor)?;
        Ok(Self { start_ns: start_ns(start)?, span_id: span_id(id)? })
    }
}

/// A place in the order in which spans were stored. As text it is an event id of a live tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailCursor {
    /// When (PostgreSQL), or under which row number (SQLite).
    pub(crate) at: i64,
    /// Rows of one transaction have one time: then the ids order them.
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
}

impl std::fmt::Display for TailCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.at, self.trace_id, self.span_id)
    }
}

impl std::str::FromStr for TailCursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let (at, ids) = text.split_once('-').ok_or(StoreError::Cursor)?;
        let (trace, span) = ids.split_once('-').ok_or(StoreError::Cursor)?;
        let at = at.parse().map_err(|_| StoreError::Cursor)?;
        Ok(Self { at, trace_id: trace_id(trace)?, span_id: span_id(span)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_foreign_ones_are_refused() {
        let cursor = TraceCursor { start_ns: 17, trace_id: TraceId::from(5_u128) };
        assert_eq!(cursor.to_string().parse::<TraceCursor>().unwrap(), cursor);
        let tail = TailCursor { at: -1, trace_id: TraceId::from(5_u128), span_id: SpanId::from(6_u64) };
        for wrong in [
            "",
            "17",
            "17-",
            "x-00000000000000000000000000000005",
            "17-5",
            "17-+0000000000000000000000000000005",
            "';drop",
        ] {
            assert!(wrong.parse::<TraceCursor>().is_err(), "{wrong}");
            assert!(wrong.parse::<SpanCursor>().is_err(), "{wrong}");
            assert!(wrong.parse::<TailCursor>().is_err(), "{wrong}");
        }
        assert!(tail.to_string().parse::<TailCursor>().is_err(), "a negative place is none");
    }

    #[test]
    fn time_and_trace_alone_ask_for_no_span() {
        let now = SystemTime::now();
        assert!(!Filter::new().trace_id(TraceId::from(1_u128)).from(now).to(now).asks_for_a_span());
        assert!(Filter::new().attribute("k", "v").asks_for_a_span());
        assert!(!Filter::new().attribute("k", "v").is_indexed());
    }
}
