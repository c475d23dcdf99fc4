//! A span as the store holds it: one row.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Map, Value as Json};

use super::json::{self, Attribute};
use super::lift::{LONGEST_ID, Lift};
use crate::text::at_most;

/// Longest name of an operation or a service that is kept, in bytes: PostgreSQL indexes no more than 2,704 bytes.
pub(super) const LONGEST_NAME: usize = 1_024;

/// One span, as it is written and read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StoredSpan {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span it belongs under; [`SpanId::INVALID`] for a root.
    pub parent_span_id: SpanId,
    /// The span's name, at most 1,024 bytes of it.
    pub operation_name: String,
    /// `service.name` of the resource, at most 1,024 bytes of it.
    pub service_name: String,
    /// OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer, 0 not told.
    pub kind: i16,
    /// OTLP's number: 0 unset, 1 ok, 2 error.
    pub status: i16,
    /// The description of an error status.
    pub error_message: Option<String>,
    /// `error.type`, else `exception.type` of the last exception event.
    pub error_type: Option<String>,
    /// Start, in nanoseconds since 1970.
    pub start_ns: i64,
    /// Duration in nanoseconds.
    pub duration_ns: i64,
    /// `task_id`, `plan_id`, `agent_id` and `tool_id`, as [`Lift`] finds them.
    pub ids: [Option<String>; 4],
    /// The attributes, as a JSON object; [`attributes`](Self::attributes) parses it.
    pub attributes_json: String,
    /// The events, as a JSON array of `{name, time_ns, attributes, dropped_attributes}`.
    pub events_json: String,
    /// The links, as a JSON array of `{trace_id, span_id, trace_state, flags, attributes, dropped_attributes}`.
    pub links_json: String,
    /// Who made it.
    pub resource: Arc<StoredResource>,
    /// `tracestate`, when there is one.
    pub trace_state: Option<String>,
    /// OTLP's flags: the trace flags, and in bits 8 and 9 whether the parent was remote.
    pub flags: i32,
    /// Attributes that the limits cut off.
    pub dropped_attributes: i32,
    /// Events that the limits cut off.
    pub dropped_events: i32,
    /// Links that the limits cut off.
    pub dropped_links: i32,
    /// When it was stored, in microseconds since 1970; 0 before that.
    pub created_us: i64,
}

/// A resource and an instrumentation scope; each distinct pair is stored once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StoredResource {
    /// A hash of the two texts.
    pub id: i64,
    /// The resource's attributes, as a JSON object.
    pub resource_json: String,
    /// The scope, as a JSON object with `name`, `version`, `schema_url` and `attributes`.
    pub scope_json: String,
}

impl StoredResource {
    pub(crate) fn new(resource_json: String, scope_json: String) -> Self {
        // FNV-1a: the same in every process and version, which the hashes of the standard library do not promise.
        let bytes = resource_json.bytes().chain([0]).chain(scope_json.bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { id: hash.cast_signed(), resource_json, scope_json }
    }
}

impl StoredSpan {
    /// End, in nanoseconds since 1970.
    #[must_use]
    pub fn end_ns(&self) -> i64 {
        self.start_ns.saturating_add(self.duration_ns)
    }

    /// Whether the status is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.status == 2
    }

    /// Whether the span has no parent.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.parent_span_id == SpanId::INVALID
    }

    /// `success`, `timeout` or `error`, as the REST API has it.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match (self.is_error(), self.error_type.as_deref()) {
            (false, _) => "success",
            (true, Some(kind)) if TIMEOUTS.iter().any(|word| kind.eq_ignore_ascii_case(word)) => "timeout",
            (true, _) => "error",
        }
    }

    /// The attributes, parsed. Doubles that JSON cannot hold, and bytes, are objects with the key `$double` or `$bytes`.
    #[must_use]
    pub fn attributes(&self) -> Map<String, Json> {
        serde_json::from_str(&self.attributes_json).unwrap_or_default()
    }
}

/// Values of `error.type` that count as timeouts: gRPC's word among them.
pub(crate) const TIMEOUTS: [&str; 2] = ["timeout", "deadline_exceeded"];

/// Turns finished spans of the SDK into rows; for programs that write to a store by themselves. The exporter `database`
/// has its own.
///
/// ```
/// use opentelemetry_sdk::Resource;
/// use throughline::store::{Converter, Lift};
///
/// let resource = Resource::builder().with_service_name("planner").build();
/// let mut converter = Converter::new(&resource, Lift::default());
/// # let spans: Vec<opentelemetry_sdk::trace::SpanData> = Vec::new();
/// let rows: Vec<_> = spans.iter().map(|span| converter.convert(span)).collect();
/// # assert!(rows.is_empty());
/// ```
#[derive(Debug)]
pub struct Converter {
    lift: Lift,
    service_name: String,
    resource_json: String,
    /// The scopes met so far; a program has a few.
    scopes: Vec<(InstrumentationScope, Arc<StoredResource>)>,
}

/// More scopes than any program has by intention.
const MOST_SCOPES: usize = 64;

impl Converter {
    /// For the spans of this resource.
    #[must_use]
    pub fn new(resource: &Resource, lift: Lift) -> Self {
        let mut attributes: Vec<KeyValue> =
            resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
        // A resource is a hash map: its order differs from process to process, and so would the hash.
        attributes.sort_by(|a, b| a.key.cmp(&b.key));
        let mut resource_json = String::new();
        json::object(&mut resource_json, &attributes);
        let service_name = text(&attributes, "service.name").unwrap_or_default();
        Self { lift, service_name: cut(&service_name, LONGEST_NAME), resource_json, scopes: Vec::new() }
    }

    /// One span as a row.
    pub fn convert(&mut self, span: &SpanData) -> StoredSpan {
        let (status, error_message) = match &span.status {
            Status::Unset => (0, None),
            Status::Ok => (1, None),
            Status::Error { description } => (2, Some(clean(description)).filter(|text| !text.is_empty())),
        };
        let duration = span.end_time.duration_since(span.start_time).unwrap_or_default();
        let state = span.span_context.trace_state().header();
        let mut attributes_json = String::with_capacity(32 * (span.attributes.len() + 1));
        json::object(&mut attributes_json, &span.attributes);
        StoredSpan {
            trace_id: span.span_context.trace_id(),
            span_id: span.span_context.span_id(),
            parent_span_id: span.parent_span_id,
            operation_name: cut(&span.name, LONGEST_NAME),
            service_name: self.service_name.clone(),
            kind: kind_number(&span.span_kind),
            status,
            error_message,
            error_type: text(&span.attributes, "error.type").or_else(|| exception_type(span)),
            start_ns: nanoseconds(since_epoch(span.start_time)),
            duration_ns: nanoseconds(duration),
            ids: [0, 1, 2, 3].map(|index| lifted(span, self.lift.keys.get(index).map_or(&[], Vec::as_slice))),
            attributes_json,
            events_json: events(span),
            links_json: links(span),
            resource: self.resource(&span.instrumentation_scope),
            trace_state: Some(clean(&state)).filter(|state| !state.is_empty()),
            flags: flags(&span.span_context, span.parent_span_is_remote),
            dropped_attributes: count(span.dropped_attributes_count),
            dropped_events: count(span.events.dropped_count),
            dropped_links: count(span.links.dropped_count),
            created_us: 0,
        }
    }

    fn resource(&mut self, scope: &InstrumentationScope) -> Arc<StoredResource> {
        if let Some((_, known)) = self.scopes.iter().find(|(known, _)| known == scope) {
            return Arc::clone(known);
        }
        let attributes: Vec<KeyValue> = scope.attributes().cloned().collect();
        let out = scope_json(scope.name(), scope.version(), scope.schema_url(), &attributes);
        let stored = Arc::new(StoredResource::new(self.resource_json.clone(), out));
        if self.scopes.len() < MOST_SCOPES {
            self.scopes.push((scope.clone(), Arc::clone(&stored)));
        }
        stored
    }
}

/// A scope as it is stored.
pub(super) fn scope_json(
    name: &str,
    version: Option<&str>,
    schema_url: Option<&str>,
    attributes: &[impl Attribute],
) -> String {
    let mut out = String::from("{\"name\":");
    json::string(&mut out, name);
    for (key, text) in [("version", version), ("schema_url", schema_url)] {
        if let Some(text) = text {
            out.push(',');
            json::string(&mut out, key);
            out.push(':');
            json::string(&mut out, text);
        }
    }
    if !attributes.is_empty() {
        out.push_str(",\"attributes\":");
        json::object(&mut out, attributes);
    }
    out.push('}');
    out
}

/// OTLP's number of a kind.
pub(crate) fn kind_number(kind: &SpanKind) -> i16 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

/// The kinds with their words.
#[cfg(feature = "viewer")]
pub(crate) const KINDS: [(&str, SpanKind); 5] = [
    ("internal", SpanKind::Internal),
    ("server", SpanKind::Server),
    ("client", SpanKind::Client),
    ("producer", SpanKind::Producer),
    ("consumer", SpanKind::Consumer),
];

/// The word for OTLP's number of a kind; `None` when it is not told.
#[cfg(feature = "viewer")]
pub(crate) fn kind_word(number: i16) -> Option<&'static str> {
    KINDS.iter().find_map(|(word, kind)| (kind_number(kind) == number).then_some(*word))
}

/// Bit 8 says that bit 9 is known (`SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` of OTLP).
fn flags(context: &SpanContext, parent_is_remote: bool) -> i32 {
    i32::from(context.trace_flags().to_u8()) | 0x100 | if parent_is_remote { 0x200 } else { 0 }
}

fn events(span: &SpanData) -> String {
    let mut out = String::from("[");
    for (index, event) in span.events.iter().enumerate() {
        out.push_str(if index > 0 { ",{\"name\":" } else { "{\"name\":" });
        json::string(&mut out, &event.name);
        out.push_str(",\"time_ns\":");
        json::integer(&mut out, nanoseconds(since_epoch(event.timestamp)));
        attributes_of(&mut out, &event.attributes, event.dropped_attributes_count);
    }
    out.push(']');
    out
}

fn links(span: &SpanData) -> String {
    let mut out = String::from("[");
    for (index, link) in span.links.iter().enumerate() {
        let context = &link.span_context;
        out.push_str(if index > 0 { ",{\"trace_id\":" } else { "{\"trace_id\":" });
        json::string(&mut out, &context.trace_id().to_string());
        out.push_str(",\"span_id\":");
        json::string(&mut out, &context.span_id().to_string());
        let state = context.trace_state().header();
        if !state.is_empty() {
            out.push_str(",\"trace_state\":");
            json::string(&mut out, &state);
        }
        out.push_str(",\"flags\":");
        json::integer(&mut out, flags(context, context.is_remote()).into());
        attributes_of(&mut out, &link.attributes, link.dropped_attributes_count);
    }
    out.push(']');
    out
}

/// The end of an event or a link.
pub(super) fn attributes_of(out: &mut String, attributes: &[impl Attribute], dropped: u32) {
    out.push_str(",\"attributes\":");
    json::object(out, attributes);
    if dropped > 0 {
        out.push_str(",\"dropped_attributes\":");
        json::integer(out, dropped.into());
    }
    out.push('}');
}

fn exception_type(span: &SpanData) -> Option<String> {
    let exception = span.events.iter().rev().find(|event| event.name == "exception")?;
    text(&exception.attributes, "exception.type")
}

fn lifted(span: &SpanData, keys: &[String]) -> Option<String> {
    keys.iter().find_map(|key| text(&span.attributes, key)).filter(|id| id.len() <= LONGEST_ID)
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    attributes.iter().rev().find(|attribute| attribute.key.as_str() == key).map(|attribute| match &attribute
        .value
    {
        Value::String(text) => clean(text.as_str()),
        other => clean(&other.as_str()),
    })
}

/// Without U+0000, which PostgreSQL's text cannot hold.
pub(crate) fn clean(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}

/// Cleaned, and not longer than `longest` bytes: then the end is an ellipsis.
pub(crate) fn cut(text: &str, longest: usize) -> String {
    let text = clean(text);
    if text.len() <= longest {
        return text;
    }
    format!("{}…", at_most(&text, longest.saturating_sub('…'.len_utf8())))
}

pub(super) fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(crate) fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A time as the store counts it, in nanoseconds since 1970.
pub(crate) fn time_ns(time: SystemTime) -> i64 {
    nanoseconds(since_epoch(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::samples;

    fn converted(change: impl FnOnce(&mut SpanData)) -> StoredSpan {
        let mut span = samples::span(1, 2, 0, "a");
        change(&mut span);
        let resource = Resource::builder_empty().with_service_name("shop").build();
        Converter::new(&resource, Lift::default()).convert(&span)
    }

    #[test]
    fn first_alternative_that_is_there_becomes_the_id() {
        let span = converted(|span| {
            span.attributes = vec![KeyValue::new("task.id", 17), KeyValue::new("gen_ai.tool.name", "search")];
        });
        assert_eq!(span.ids, [Some("17".to_owned()), None, None, Some("search".to_owned())]);
        let long = converted(|span| span.attributes = vec![KeyValue::new("task_id", "x".repeat(256))]);
        assert_eq!(long.ids[0], None, "it stays an attribute");
        assert_eq!(long.attributes()["task_id"].as_str().unwrap().len(), 256);
    }

    #[test]
    fn long_names_are_cut_on_a_character_boundary() {
        let span = converted(|span| span.name = "é".repeat(600).into());
        assert!(span.operation_name.len() <= LONGEST_NAME);
        assert!(span.operation_name.ends_with("é…"));
    }

    #[test]
    fn equal_resources_have_equal_numbers_whatever_their_order() {
        let a = Resource::builder_empty()
            .with_attributes([KeyValue::new("x", 1), KeyValue::new("y", 2), KeyValue::new("z", 3)])
            .build();
        let b = Resource::builder_empty()
            .with_attributes([KeyValue::new("z", 3), KeyValue::new("y", 2), KeyValue::new("x", 1)])
            .build();
        let number = |resource: &Resource| {
            let span = samples::span(1, 1, 0, "a");
            Converter::new(resource, Lift::default()).convert(&span).resource.id
        };
        assert_eq!(number(&a), number(&b));
    }
}
