//! A span and a trace as the answers have them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::SpanId;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use crate::export::json::rfc3339;
use crate::store::{StoredSpan, TraceSummary, kind_word};

/// One span.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Span {
    /// `<trace_id>-<span_id>`.
    id: String,
    /// 32 hex digits.
    trace_id: String,
    /// 16 hex digits; zeros in a trace whose first span retention took.
    span_id: String,
    /// 16 hex digits; null for a root.
    #[schema(required)]
    parent_span_id: Option<String>,
    #[schema(required)]
    task_id: Option<String>,
    #[schema(required)]
    plan_id: Option<String>,
    #[schema(required)]
    agent_id: Option<String>,
    #[schema(required)]
    tool_id: Option<String>,
    /// The span's name.
    operation_name: String,
    /// `service.name` of its resource.
    service_name: String,
    #[schema(value_type = KindName)]
    kind: &'static str,
    #[schema(format = DateTime)]
    start_time: String,
    #[schema(format = DateTime)]
    end_time: String,
    duration_ms: f64,
    /// Start in nanoseconds since 1970, in decimal.
    start_ns: String,
    /// Duration in nanoseconds, in decimal.
    duration_ns: String,
    #[schema(value_type = super::filter::StatusWord)]
    status: &'static str,
    #[schema(value_type = StatusCode)]
    status_code: &'static str,
    #[schema(required)]
    error_message: Option<String>,
    #[schema(required)]
    error_type: Option<String>,
    /// Doubles that JSON cannot hold, and bytes, are objects with the key `$double` or `$bytes`.
    #[schema(value_type = Object)]
    attributes: Box<RawValue>,
    events: Vec<Event>,
    links: Vec<Link>,
    /// The attributes of whoever made it.
    #[schema(value_type = Object)]
    resource: Box<RawValue>,
    /// When it was stored.
    #[schema(format = DateTime)]
    created_at: String,
}

/// OTLP's kind of a span.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code)] // for the document
pub(crate) enum KindName {
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

/// OTLP's status of a span.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "UPPERCASE")]
#[allow(dead_code)] // for the document
pub(crate) enum StatusCode {
    Unset,
    Ok,
    Error,
}

/// Something that happened during a span.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Event {
    name: String,
    #[schema(format = DateTime)]
    time: String,
    /// In nanoseconds since 1970, in decimal.
    time_ns: String,
    #[schema(value_type = Object)]
    attributes: Box<RawValue>,
}

/// A span that this one has to do with, without being below it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Link {
    trace_id: String,
    span_id: String,
    #[schema(value_type = Object)]
    attributes: Box<RawValue>,
}

/// One trace: its root span, or the earliest one while the root is missing, and what is known of the whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Trace {
    #[serde(flatten)]
    head: Span,
    /// Spans stored.
    span_count: u64,
    /// Spans with an error status, timeouts among them.
    error_count: u64,
    /// Spans whose parent is not stored.
    orphan_count: u64,
    /// The services in it, sorted.
    services: Vec<String>,
}

impl From<StoredSpan> for Span {
    fn from(span: StoredSpan) -> Self {
        let (trace_id, span_id) = (span.trace_id.to_string(), span.span_id.to_string());
        let [task_id, plan_id, agent_id, tool_id] = span.ids.clone();
        Self {
            id: format!("{trace_id}-{span_id}"),
            parent_span_id: (!span.is_root()).then(|| span.parent_span_id.to_string()),
            task_id,
            plan_id,
            agent_id,
            tool_id,
            kind: kind_name(span.kind),
            start_time: time(span.start_ns),
            end_time: time(span.end_ns()),
            duration_ms: milliseconds(span.duration_ns),
            start_ns: span.start_ns.to_string(),
            duration_ns: span.duration_ns.to_string(),
            status: span.outcome(),
            status_code: match span.status {
                2 => "ERROR",
                1 => "OK",
                _ => "UNSET",
            },
            events: parsed::<StoredEvent>(&span.events_json).into_iter().map(Event::from).collect(),
            links: parsed(&span.links_json),
            resource: raw(span.resource.resource_json.clone()),
            created_at: time(span.created_us.saturating_mul(1_000)),
            operation_name: span.operation_name,
            service_name: span.service_name,
            error_message: span.error_message,
            error_type: span.error_type,
            attributes: raw(span.attributes_json),
            trace_id,
            span_id,
        }
    }
}

impl From<TraceSummary> for Trace {
    fn from(trace: TraceSummary) -> Self {
        let head = match trace.head {
            Some(head) => Span::from(head),
            None => gone(&trace),
        };
        Self {
            head,
            span_count: trace.span_count,
            error_count: trace.error_count,
            orphan_count: trace.orphan_count,
            services: trace.services,
        }
    }
}

/// What is left of a trace whose first span is gone.
fn gone(trace: &TraceSummary) -> Span {
    let span_id = SpanId::INVALID.to_string();
    let duration_ns = trace.end_ns.saturating_sub(trace.start_ns);
    let has_failed = trace.error_count > 0;
    Span {
        id: format!("{}-{span_id}", trace.trace_id),
        trace_id: trace.trace_id.to_string(),
        span_id,
        parent_span_id: None,
        task_id: None,
        plan_id: None,
        agent_id: None,
        tool_id: None,
        operation_name: String::new(),
        service_name: trace.services.first().cloned().unwrap_or_default(),
        kind: kind_name(0),
        start_time: time(trace.start_ns),
        end_time: time(trace.end_ns),
        duration_ms: milliseconds(duration_ns),
        start_ns: trace.start_ns.to_string(),
        duration_ns: duration_ns.to_string(),
        status: if has_failed { "error" } else { "success" },
        status_code: if has_failed { "ERROR" } else { "UNSET" },
        error_message: None,
        error_type: None,
        attributes: raw("{}".to_owned()),
        events: Vec::new(),
        links: Vec::new(),
        resource: raw("{}".to_owned()),
        created_at: time(trace.end_ns),
    }
}

/// An event as the store has it.
#[derive(Deserialize)]
struct StoredEvent {
    name: String,
    time_ns: i64,
    attributes: Box<RawValue>,
}

impl From<StoredEvent> for Event {
    fn from(event: StoredEvent) -> Self {
        Self {
            name: event.name,
            time: time(event.time_ns),
            time_ns: event.time_ns.to_string(),
            attributes: event.attributes,
        }
    }
}

/// An array of the store. What somebody else wrote there and is none counts as empty.
fn parsed<T: for<'j> Deserialize<'j>>(json: &str) -> Vec<T> {
    serde_json::from_str(json).unwrap_or_default()
}

/// Text that is a JSON object already.
fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).unwrap_or_else(|_| to_raw_value(&Map::new()).unwrap_or_default())
}

/// The word for OTLP's number of a kind.
pub(super) fn kind_name(number: i16) -> &'static str {
    kind_word(number).unwrap_or("unspecified")
}

/// A time of the store in RFC 3339.
pub(super) fn time(ns: i64) -> String {
    rfc3339(system_time(ns))
}

/// A time of the store.
pub(super) fn system_time(ns: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
}

#[allow(clippy::cast_precision_loss)] // a fraction is what is wanted
pub(super) fn milliseconds(ns: i64) -> f64 {
    ns as f64 / 1e6
}
