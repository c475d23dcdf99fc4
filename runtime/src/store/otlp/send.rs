//! Rows as a request.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry::trace::{SpanId, TraceId};
use serde_json::{Map, Value as Json};

use super::ExportTraceServiceRequest;
use super::common::any_value::Value as Any;
use super::common::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use super::trace::span::{Event, Link};
use super::trace::{ResourceSpans, ScopeSpans, Span, Status};
use crate::store::span::{StoredResource, StoredSpan};

/// One request with the spans grouped by resource and scope, in their order.
pub(crate) fn request<'a>(spans: impl IntoIterator<Item = &'a StoredSpan>) -> ExportTraceServiceRequest {
    let mut groups: Vec<ResourceSpans> = Vec::new();
    let mut resources: HashMap<&str, usize> = HashMap::new();
    let mut scopes: HashMap<(&str, &str), usize> = HashMap::new();
    for span in spans {
        let StoredResource { resource_json, scope_json, .. } = &*span.resource;
        let group = *resources.entry(resource_json).or_insert_with(|| {
            groups.push(resource_spans(resource_json));
            groups.len() - 1
        });
        let Some(group) = groups.get_mut(group) else { continue };
        let scope = *scopes.entry((resource_json, scope_json)).or_insert_with(|| {
            group.scope_spans.push(scope_spans(scope_json));
            group.scope_spans.len() - 1
        });
        if let Some(scope) = group.scope_spans.get_mut(scope) {
            scope.spans.push(message(span));
        }
    }
    ExportTraceServiceRequest { resource_spans: groups }
}

fn resource_spans(resource_json: &str) -> ResourceSpans {
    let attributes = pairs(parsed(resource_json));
    let resource = opentelemetry_proto::tonic::resource::v1::Resource { attributes, ..Default::default() };
    ResourceSpans { resource: Some(resource), ..ResourceSpans::default() }
}

fn scope_spans(scope_json: &str) -> ScopeSpans {
    let mut scope = parsed(scope_json);
    let schema_url = text(&mut scope, "schema_url");
    let scope = InstrumentationScope {
        name: text(&mut scope, "name"),
        version: text(&mut scope, "version"),
        attributes: attributes(&mut scope),
        dropped_attributes_count: 0,
    };
    ScopeSpans { scope: Some(scope), spans: Vec::new(), schema_url }
}

fn message(span: &StoredSpan) -> Span {
    Span {
        trace_id: span.trace_id.to_bytes().to_vec(),
        span_id: span.span_id.to_bytes().to_vec(),
        trace_state: span.trace_state.clone().unwrap_or_default(),
        parent_span_id: if span.is_root() { Vec::new() } else { span.parent_span_id.to_bytes().to_vec() },
        flags: span.flags.cast_unsigned(),
        name: span.operation_name.clone(),
        kind: span.kind.into(),
        start_time_unix_nano: time(span.start_ns),
        end_time_unix_nano: time(span.end_ns()),
        attributes: pairs(span.attributes()),
        dropped_attributes_count: span.dropped_attributes.try_into().unwrap_or(0),
        events: items(&span.events_json).map(event).collect(),
        dropped_events_count: span.dropped_events.try_into().unwrap_or(0),
        links: items(&span.links_json).map(link).collect(),
        dropped_links_count: span.dropped_links.try_into().unwrap_or(0),
        status: (span.status != 0).then(|| Status {
            code: span.status.into(),
            message: span.error_message.clone().unwrap_or_default(),
        }),
    }
}

fn event(mut event: Map<String, Json>) -> Event {
    Event {
        time_unix_nano: time(event.get("time_ns").and_then(Json::as_i64).unwrap_or(0)),
        name: text(&mut event, "name"),
        dropped_attributes_count: number(&event, "dropped_attributes"),
        attributes: attributes(&mut event),
    }
}

fn link(mut link: Map<String, Json>) -> Link {
    let trace_id = TraceId::from_hex(&text(&mut link, "trace_id")).unwrap_or(TraceId::INVALID);
    let span_id = SpanId::from_hex(&text(&mut link, "span_id")).unwrap_or(SpanId::INVALID);
    let flags = link.get("flags").and_then(Json::as_i64).and_then(|flags| i32::try_from(flags).ok());
    Link {
        trace_id: trace_id.to_bytes().to_vec(),
        span_id: span_id.to_bytes().to_vec(),
        trace_state: text(&mut link, "trace_state"),
        flags: flags.unwrap_or(0).cast_unsigned(),
        dropped_attributes_count: number(&link, "dropped_attributes"),
        attributes: attributes(&mut link),
    }
}

fn parsed(object: &str) -> Map<String, Json> {
    serde_json::from_str(object).unwrap_or_default()
}

fn items(array: &str) -> impl Iterator<Item = Map<String, Json>> {
    serde_json::from_str::<Vec<Map<String, Json>>>(array).unwrap_or_default().into_iter()
}

/// A time before 1970 is none.
fn time(nanoseconds: i64) -> u64 {
    nanoseconds.try_into().unwrap_or(0)
}

fn number(object: &Map<String, Json>, key: &str) -> u32 {
    object.get(key).and_then(Json::as_u64).and_then(|number| number.try_into().ok()).unwrap_or(0)
}

fn text(object: &mut Map<String, Json>, key: &str) -> String {
    match object.remove(key) {
        Some(Json::String(text)) => text,
        _ => String::new(),
    }
}

fn attributes(object: &mut Map<String, Json>) -> Vec<KeyValue> {
    match object.remove("attributes") {
        Some(Json::Object(attributes)) => pairs(attributes),
        _ => Vec::new(),
    }
}

fn pairs(attributes: Map<String, Json>) -> Vec<KeyValue> {
    attributes
        .into_iter()
        .map(|(key, value)| KeyValue { key, value: Some(any(value)), key_strindex: 0 })
        .collect()
}

fn any(value: Json) -> AnyValue {
    let value = match value {
        Json::Null => None,
        Json::Bool(value) => Some(Any::BoolValue(value)),
        Json::Number(number) => Some(match number.as_i64() {
            Some(number) => Any::IntValue(number),
            None => Any::DoubleValue(number.as_f64().unwrap_or(f64::NAN)),
        }),
        Json::String(text) => Some(Any::StringValue(text)),
        Json::Array(items) => {
            Some(Any::ArrayValue(ArrayValue { values: items.into_iter().map(any).collect() }))
        }
        Json::Object(object) => {
            Some(special(&object).unwrap_or_else(|| Any::KvlistValue(KeyValueList { values: pairs(object) })))
        }
    };
    AnyValue { value }
}

/// What JSON has no value for: an object with one key.
fn special(object: &Map<String, Json>) -> Option<Any> {
    let (1, Some((key, Json::String(text)))) = (object.len(), object.iter().next()) else {
        return None;
    };
    match key.as_str() {
        "$bytes" => STANDARD.decode(text).ok().map(Any::BytesValue),
        "$double" => text.parse().ok().map(Any::DoubleValue),
        _ => None,
    }
}
