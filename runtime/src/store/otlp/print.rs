//! A request as OTLP JSON: names in lower camel case, ids in hex, 64-bit numbers as strings, enums as numbers. What is empty
//! or zero is left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use super::ExportTraceServiceRequest;
use super::common::any_value::Value as Any;
use super::common::{AnyValue, InstrumentationScope, KeyValue};
use super::trace::span::{Event, Link};
use super::trace::{ResourceSpans, ScopeSpans, Span, Status};

/// `{"resourceSpans": [..]}`; the array is there even when it is empty.
pub(crate) fn to_json(request: &ExportTraceServiceRequest) -> Json {
    json!({ "resourceSpans": request.resource_spans.iter().map(resource_spans).collect::<Vec<_>>() })
}

/// An object in the making.
#[derive(Default)]
struct Object(Map<String, Json>);

impl Object {
    fn with(mut self, key: &str, value: Json) -> Self {
        self.0.insert(key.to_owned(), value);
        self
    }

    fn text(self, key: &str, text: &str) -> Self {
        if text.is_empty() { self } else { self.with(key, text.into()) }
    }

    fn number<N: Into<Json> + Default + PartialEq>(self, key: &str, number: N) -> Self {
        if number == N::default() { self } else { self.with(key, number.into()) }
    }

    fn list<T>(self, key: &str, items: &[T], print: impl Fn(&T) -> Json) -> Self {
        if items.is_empty() { self } else { self.with(key, items.iter().map(print).collect()) }
    }

    fn attributes(self, attributes: &[KeyValue], dropped: u32) -> Self {
        self.list("attributes", attributes, pair).number("droppedAttributesCount", dropped)
    }

    fn done(self) -> Json {
        Json::Object(self.0)
    }
}

fn resource_spans(group: &ResourceSpans) -> Json {
    let resource = group.resource.clone().unwrap_or_default();
    Object::default()
        .with(
            "resource",
            Object::default().attributes(&resource.attributes, resource.dropped_attributes_count).done(),
        )
        .with("scopeSpans", group.scope_spans.iter().map(scope_spans).collect())
        .text("schemaUrl", &group.schema_url)
        .done()
}

fn scope_spans(group: &ScopeSpans) -> Json {
    Object::default()
        .with("scope", group.scope.as_ref().map_or_else(|| json!({}), scope))
        .with("spans", group.spans.iter().map(span).collect())
        .text("schemaUrl", &group.schema_url)
        .done()
}

fn scope(scope: &InstrumentationScope) -> Json {
    Object::default()
        .text("name", &scope.name)
        .text("version", &scope.version)
        .attributes(&scope.attributes, scope.dropped_attributes_count)
        .done()
}

fn span(span: &Span) -> Json {
    Object::default()
        .with("traceId", hex(&span.trace_id).into())
        .with("spanId", hex(&span.span_id).into())
        .text("traceState", &span.trace_state)
        .text("parentSpanId", &hex(&span.parent_span_id))
        .number("flags", span.flags)
        .text("name", &span.name)
        .number("kind", span.kind)
        .with("startTimeUnixNano", span.start_time_unix_nano.to_string().into())
        .with("endTimeUnixNano", span.end_time_unix_nano.to_string().into())
        .attributes(&span.attributes, span.dropped_attributes_count)
        .list("events", &span.events, event)
        .number("droppedEventsCount", span.dropped_events_count)
        .list("links", &span.links, link)
        .number("droppedLinksCount", span.dropped_links_count)
        .with("status", span.status.as_ref().map_or_else(|| json!({}), status))
        .done()
}

fn status(status: &Status) -> Json {
    Object::default().text("message", &status.message).number("code", status.code).done()
}

fn event(event: &Event) -> Json {
    Object::default()
        .with("timeUnixNano", event.time_unix_nano.to_string().into())
        .text("name", &event.name)
        .attributes(&event.attributes, event.dropped_attributes_count)
        .done()
}

fn link(link: &Link) -> Json {
    Object::default()
        .with("traceId", hex(&link.trace_id).into())
        .with("spanId", hex(&link.span_id).into())
        .text("traceState", &link.trace_state)
        .attributes(&link.attributes, link.dropped_attributes_count)
        .number("flags", link.flags)
        .done()
}

fn pair(pair: &KeyValue) -> Json {
    json!({ "key": pair.key, "value": pair.value.as_ref().map_or_else(|| json!({}), value) })
}

fn value(value: &AnyValue) -> Json {
    match &value.value {
        Some(Any::StringValue(text)) => json!({ "stringValue": text }),
        Some(Any::BoolValue(value)) => json!({ "boolValue": value }),
        Some(Any::IntValue(number)) => json!({ "intValue": number.to_string() }),
        Some(Any::DoubleValue(number)) => json!({ "doubleValue": double(*number) }),
        Some(Any::ArrayValue(items)) => {
            json!({ "arrayValue": { "values": items.values.iter().map(self::value).collect::<Vec<_>>() } })
        }
        Some(Any::KvlistValue(pairs)) => {
            json!({ "kvlistValue": { "values": pairs.values.iter().map(pair).collect::<Vec<_>>() } })
        }
        Some(Any::BytesValue(bytes)) => json!({ "bytesValue": STANDARD.encode(bytes) }),
        Some(Any::StringValueStrindex(_)) | None => json!({}),
    }
}

/// Protobuf's JSON has words for what is no number in JSON.
fn double(number: f64) -> Json {
    match number {
        number if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        number => number.into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
