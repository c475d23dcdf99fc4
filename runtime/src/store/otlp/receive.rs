//! A request's spans as rows.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry::trace::{SpanId, TraceId};

use super::common::any_value::Value as Any;
use super::common::{AnyValue, KeyValue};
use super::trace::span::{Event, Link};
use super::trace::{ResourceSpans, ScopeSpans, Span};
use super::{ExportTraceServiceRequest, trace};
use crate::store::json::{self, Attribute};
use crate::store::lift::{LONGEST_ID, Lift};
use crate::store::span::{
    LONGEST_NAME, StoredResource, StoredSpan, attributes_of, clean, count, cut, scope_json,
};

/// What a request holds.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) spans: Vec<StoredSpan>,
    pub(crate) rejected: Rejected,
}

/// The spans that are none, by reason.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Rejected(BTreeMap<Reason, usize>);

/// Why a span is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    TraceId,
    SpanId,
    Parent,
    Time,
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Self::TraceId => "with a trace id that is not 16 bytes, or all zero",
            Self::SpanId => "with a span id that is not 8 bytes, or all zero",
            Self::Parent => "with a parent span id that is not 8 bytes",
            Self::Time => "with a time after the year 2262",
        }
    }
}

impl Rejected {
    pub(crate) fn count(&self) -> usize {
        self.0.values().sum()
    }
}

impl fmt::Display for Rejected {
    /// `2 with a trace id ..; 1 with ..`; nothing when there are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (reason, number)) in self.0.iter().enumerate() {
            write!(f, "{}{number} {}", if index > 0 { "; " } else { "" }, reason.text())?;
        }
        Ok(())
    }
}

/// The rows of all spans that can be stored.
pub(crate) fn rows(request: ExportTraceServiceRequest, lift: &Lift) -> Received {
    let mut received = Received::default();
    for group in request.resource_spans {
        resource_spans(group, lift, &mut received);
    }
    received
}

fn resource_spans(group: ResourceSpans, lift: &Lift, received: &mut Received) {
    let mut attributes = group.resource.unwrap_or_default().attributes;
    // As the exporter `database` does: one resource is one row, whatever the order.
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    let service_name = cut(&text(&attributes, "service.name").unwrap_or_default(), LONGEST_NAME);
    let mut resource_json = String::new();
    json::object(&mut resource_json, &attributes);
    for scope in group.scope_spans {
        let resource = Arc::new(StoredResource::new(resource_json.clone(), scope_of(&scope)));
        for span in scope.spans {
            match row(&span, &service_name, &resource, lift) {
                Ok(row) => received.spans.push(row),
                Err(reason) => *received.rejected.0.entry(reason).or_default() += 1,
            }
        }
    }
}

fn scope_of(group: &ScopeSpans) -> String {
    let given = |text: &'_ str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let none = super::common::InstrumentationScope::default();
    let scope = group.scope.as_ref().unwrap_or(&none);
    let (version, schema_url) = (given(&scope.version), given(&group.schema_url));
    scope_json(&scope.name, version.as_deref(), schema_url.as_deref(), &scope.attributes)
}

fn row(
    span: &Span,
    service_name: &str,
    resource: &Arc<StoredResource>,
    lift: &Lift,
) -> Result<StoredSpan, Reason> {
    let start_ns = time(span.start_time_unix_nano)?;
    let (status, error_message) = status(span.status.as_ref());
    let mut attributes_json = String::with_capacity(32 * (span.attributes.len().min(64) + 1));
    json::object(&mut attributes_json, &span.attributes);
    let ids = [0, 1, 2, 3].map(|index| {
        let keys = lift.keys.get(index).map_or(&[][..], Vec::as_slice);
        let id = keys.iter().find_map(|key| text(&span.attributes, key))?;
        Some(id.into_owned()).filter(|id| id.len() <= LONGEST_ID)
    });
    Ok(StoredSpan {
        trace_id: trace_id(&span.trace_id)?,
        span_id: span_id(&span.span_id).filter(|id| *id != SpanId::INVALID).ok_or(Reason::SpanId)?,
        parent_span_id: parent(&span.parent_span_id)?,
        operation_name: cut(&span.name, LONGEST_NAME),
        service_name: service_name.to_owned(),
        kind: i16::try_from(span.kind).ok().filter(|kind| (0..=5).contains(kind)).unwrap_or(0),
        status,
        error_message,
        error_type: text(&span.attributes, "error.type")
            .or_else(|| exception_type(&span.events))
            .map(Cow::into_owned),
        start_ns,
        // A clock that was set back made an end before the start.
        duration_ns: time(span.end_time_unix_nano)?.saturating_sub(start_ns).max(0),
        ids,
        attributes_json,
        events_json: events(&span.events)?,
        links_json: links(&span.links),
        resource: Arc::clone(resource),
        trace_state: Some(clean(&span.trace_state)).filter(|state| !state.is_empty()),
        flags: span.flags.cast_signed(),
        dropped_attributes: count(span.dropped_attributes_count),
        dropped_events: count(span.dropped_events_count),
        dropped_links: count(span.dropped_links_count),
        created_us: 0,
    })
}

fn trace_id(bytes: &[u8]) -> Result<TraceId, Reason> {
    let id = bytes.try_into().map(TraceId::from_bytes).map_err(|_| Reason::TraceId)?;
    if id == TraceId::INVALID { Err(Reason::TraceId) } else { Ok(id) }
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    bytes.try_into().ok().map(SpanId::from_bytes)
}

fn parent(bytes: &[u8]) -> Result<SpanId, Reason> {
    if bytes.is_empty() { Ok(SpanId::INVALID) } else { span_id(bytes).ok_or(Reason::Parent) }
}

fn time(nanoseconds: u64) -> Result<i64, Reason> {
    i64::try_from(nanoseconds).map_err(|_| Reason::Time)
}

fn status(status: Option<&trace::Status>) -> (i16, Option<String>) {
    match status {
        Some(status) if status.code == 2 => (2, Some(clean(&status.message)).filter(|text| !text.is_empty())),
        Some(status) if status.code == 1 => (1, None),
        _ => (0, None),
    }
}

fn events(events: &[Event]) -> Result<String, Reason> {
    let mut out = String::from("[");
    for (index, event) in events.iter().enumerate() {
        out.push_str(if index > 0 { ",{\"name\":" } else { "{\"name\":" });
        json::string(&mut out, &event.name);
        out.push_str(",\"time_ns\":");
        json::integer(&mut out, time(event.time_unix_nano)?);
        attributes_of(&mut out, &event.attributes, event.dropped_attributes_count);
    }
    out.push(']');
    Ok(out)
}

/// A link to something that cannot be an id leads nowhere, and is left out.
fn links(links: &[Link]) -> String {
    let mut out = String::from("[");
    for link in links {
        let (Ok(trace_id), Some(span_id)) = (trace_id(&link.trace_id), span_id(&link.span_id)) else {
            continue;
        };
        out.push_str(if out.len() > 1 { ",{\"trace_id\":" } else { "{\"trace_id\":" });
        json::string(&mut out, &trace_id.to_string());
        out.push_str(",\"span_id\":");
        json::string(&mut out, &span_id.to_string());
        if !link.trace_state.is_empty() {
            out.push_str(",\"trace_state\":");
            json::string(&mut out, &link.trace_state);
        }
        out.push_str(",\"flags\":");
        json::integer(&mut out, link.flags.cast_signed().into());
        attributes_of(&mut out, &link.attributes, link.dropped_attributes_count);
    }
    out.push(']');
    out
}

fn exception_type(events: &[Event]) -> Option<Cow<'_, str>> {
    let exception = events.iter().rev().find(|event| event.name == "exception")?;
    text(&exception.attributes, "exception.type")
}

/// An attribute as a text, if it is a single value.
fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<Cow<'a, str>> {
    let attribute = attributes.iter().rev().find(|attribute| attribute.key == key)?;
    Some(match attribute.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) if text.contains('\0') => clean(text).into(),
        Any::StringValue(text) => text.into(),
        Any::BoolValue(value) => value.to_string().into(),
        Any::IntValue(value) => value.to_string().into(),
        Any::DoubleValue(value) => value.to_string().into(),
        _ => return None,
    })
}

impl Attribute for KeyValue {
    fn key(&self) -> &str {
        &self.key
    }

    fn write_value(&self, out: &mut String) {
        value(out, self.value.as_ref());
    }
}

/// As deep as it is: what decodes a request ends at a hundred messages within one another.
fn value(out: &mut String, value: Option<&AnyValue>) {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => json::string(out, text),
        Some(Any::BoolValue(value)) => out.push_str(if *value { "true" } else { "false" }),
        Some(Any::IntValue(value)) => json::integer(out, *value),
        Some(Any::DoubleValue(value)) => json::double(out, *value),
        Some(Any::ArrayValue(items)) => {
            out.push('[');
            for (index, item) in items.values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                self::value(out, Some(item));
            }
            out.push(']');
        }
        Some(Any::KvlistValue(pairs)) => json::object(out, &pairs.values),
        Some(Any::BytesValue(bytes)) => {
            out.push_str("{\"$bytes\":\"");
            STANDARD.encode_string(bytes, out);
            out.push_str("\"}");
        }
        // An index into a table that only profiles have says nothing here.
        Some(Any::StringValueStrindex(_)) | None => out.push_str("null"),
    }
}
