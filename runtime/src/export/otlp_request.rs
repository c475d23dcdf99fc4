//! Spans as the messages of OTLP, straight from the shared batch.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Array, InstrumentationScope, Key, KeyValue, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1 as proto;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;

/// The resource in OTLP's form, made once.
#[derive(Clone, Debug, Default)]
pub(super) struct EncodedResource {
    resource: ProtoResource,
    schema_url: String,
}

impl EncodedResource {
    pub(super) fn new(resource: &Resource) -> Self {
        let mut attributes: Vec<_> = resource.iter().map(|(key, value)| attribute(key, value)).collect();
        // The SDK keeps them in a map of no order; equal resources shall be equal bytes.
        attributes.sort_by(|a, b| a.key.cmp(&b.key));
        Self {
            resource: ProtoResource { attributes, ..ProtoResource::default() },
            schema_url: resource.schema_url().unwrap_or_default().to_owned(),
        }
    }
}

/// One request with the spans grouped by instrumentation scope, in their order.
pub(super) fn request(resource: &EncodedResource, spans: &[SpanData]) -> ExportTraceServiceRequest {
    let mut positions: HashMap<&InstrumentationScope, usize> = HashMap::new();
    let mut groups: Vec<proto::ScopeSpans> = Vec::new();
    for span in spans {
        let scope = &span.instrumentation_scope;
        let position = *positions.entry(scope).or_insert_with(|| {
            groups.push(proto::ScopeSpans {
                scope: Some(common::InstrumentationScope {
                    name: scope.name().to_owned(),
                    version: scope.version().unwrap_or_default().to_owned(),
                    attributes: attributes(scope.attributes()),
                    dropped_attributes_count: 0,
                }),
                spans: Vec::new(),
                schema_url: scope.schema_url().unwrap_or_default().to_owned(),
            });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(position) {
            group.spans.push(encode(span));
        }
    }
    ExportTraceServiceRequest {
        resource_spans: vec![proto::ResourceSpans {
            resource: Some(resource.resource.clone()),
            scope_spans: groups,
            schema_url: resource.schema_url.clone(),
        }],
    }
}

fn encode(span: &SpanData) -> proto::Span {
    let parent_span_id = match span.parent_span_id {
        SpanId::INVALID => Vec::new(),
        id => id.to_bytes().to_vec(),
    };
    proto::Span {
        trace_id: span.span_context.trace_id().to_bytes().to_vec(),
        span_id: span.span_context.span_id().to_bytes().to_vec(),
        trace_state: span.span_context.trace_state().header(),
        parent_span_id,
        flags: flags(&span.span_context, span.parent_span_is_remote),
        name: span.name.clone().into_owned(),
        kind: kind(&span.span_kind) as i32,
        start_time_unix_nano: nanos(span.start_time),
        end_time_unix_nano: nanos(span.end_time),
        attributes: attributes(&span.attributes),
        dropped_attributes_count: span.dropped_attributes_count,
        events: span
            .events
            .iter()
            .map(|event| proto::span::Event {
                time_unix_nano: nanos(event.timestamp),
                name: event.name.clone().into_owned(),
                attributes: attributes(&event.attributes),
                dropped_attributes_count: event.dropped_attributes_count,
            })
            .collect(),
        dropped_events_count: span.events.dropped_count,
        links: span.links.iter().map(link).collect(),
        dropped_links_count: span.links.dropped_count,
        status: Some(status(&span.status)),
    }
}

fn link(link: &Link) -> proto::span::Link {
    let context = &link.span_context;
    proto::span::Link {
        trace_id: context.trace_id().to_bytes().to_vec(),
        span_id: context.span_id().to_bytes().to_vec(),
        trace_state: context.trace_state().header(),
        attributes: attributes(&link.attributes),
        dropped_attributes_count: link.dropped_attributes_count,
        flags: flags(context, context.is_remote()),
    }
}

/// The W3C flags, and whether the context that they speak of is remote, which is always known here.
fn flags(context: &SpanContext, remote: bool) -> u32 {
    let remote = if remote { proto::SpanFlags::ContextIsRemoteMask as u32 } else { 0 };
    u32::from(context.trace_flags().to_u8()) | proto::SpanFlags::ContextHasIsRemoteMask as u32 | remote
}

fn kind(kind: &SpanKind) -> proto::span::SpanKind {
    match kind {
        SpanKind::Client => proto::span::SpanKind::Client,
        SpanKind::Consumer => proto::span::SpanKind::Consumer,
        SpanKind::Internal => proto::span::SpanKind::Internal,
        SpanKind::Producer => proto::span::SpanKind::Producer,
        SpanKind::Server => proto::span::SpanKind::Server,
    }
}

fn status(status: &Status) -> proto::Status {
    let (code, message) = match status {
        Status::Unset => (proto::status::StatusCode::Unset, String::new()),
        Status::Ok => (proto::status::StatusCode::Ok, String::new()),
        Status::Error { description } => (proto::status::StatusCode::Error, description.clone().into_owned()),
    };
    proto::Status { message, code: code as i32 }
}

fn attributes<'a>(attributes: impl IntoIterator<Item = &'a KeyValue>) -> Vec<common::KeyValue> {
    attributes.into_iter().map(|pair| attribute(&pair.key, &pair.value)).collect()
}

fn attribute(key: &Key, value: &Value) -> common::KeyValue {
    common::KeyValue { key: key.as_str().to_owned(), value: Some(any_value(value)), key_strindex: 0 }
}

fn any_value(value: &Value) -> common::AnyValue {
    use common::any_value::Value as Any;
    let array = |values: Vec<Any>| {
        let values = values.into_iter().map(|value| common::AnyValue { value: Some(value) }).collect();
        Any::ArrayValue(common::ArrayValue { values })
    };
    let value = match value {
        Value::Bool(value) => Any::BoolValue(*value),
        Value::I64(value) => Any::IntValue(*value),
        Value::F64(value) => Any::DoubleValue(*value),
        Value::String(value) => Any::StringValue(value.as_str().to_owned()),
        Value::Array(Array::Bool(items)) => array(items.iter().copied().map(Any::BoolValue).collect()),
        Value::Array(Array::I64(items)) => array(items.iter().copied().map(Any::IntValue).collect()),
        Value::Array(Array::F64(items)) => array(items.iter().copied().map(Any::DoubleValue).collect()),
        Value::Array(Array::String(items)) => {
            array(items.iter().map(|item| Any::StringValue(item.as_str().to_owned())).collect())
        }
        // The enum may grow; a text is better than a gap.
        other => Any::StringValue(other.as_str().into_owned()),
    };
    common::AnyValue { value: Some(value) }
}

/// Nanoseconds since the epoch; a time before it is the epoch, one after the year 2554 the last that fits.
fn nanos(time: SystemTime) -> u64 {
    let nanos = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    u64::try_from(nanos).unwrap_or(u64::MAX)
}
