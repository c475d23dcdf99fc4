//! Traces as OTLP, with the warnings where Jaeger's clients look for them: in an attribute of the span.

use std::collections::HashMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::api::jaeger::{traces, warnings};
use crate::store::otlp;

/// Holds an array of strings.
const ATTRIBUTE: &str = "@jaeger@warnings";

/// Raw, they are as they were sent.
pub(super) fn request(traces: &[traces::Trace], is_raw: bool) -> ExportTraceServiceRequest {
    let mut request = otlp::request(traces.iter().flat_map(|trace| &trace.spans));
    if is_raw {
        return request;
    }
    let mut of_spans = HashMap::new();
    for trace in traces {
        let mut warned = warnings::of_spans(trace);
        if let (Some(first), Some(warning)) = (warned.first_mut(), warnings::of_trace(trace)) {
            first.push(warning);
        }
        for (span, warnings) in trace.spans.iter().zip(warned) {
            if !warnings.is_empty() {
                let start = u64::try_from(span.start_ns).unwrap_or(0);
                of_spans.insert((span.trace_id.to_bytes(), span.span_id.to_bytes(), start), warnings);
            }
        }
    }
    let spans = request.resource_spans.iter_mut().flat_map(|group| &mut group.scope_spans);
    for span in spans.flat_map(|group| &mut group.spans) {
        let mut warnings = key(span).and_then(|key| of_spans.remove(&key)).unwrap_or_default();
        let sent = span.links.len();
        span.links.retain(|link| link.trace_id.iter().any(|byte| *byte != 0));
        warnings.extend(warnings::of_links(sent - span.links.len()));
        if !warnings.is_empty() {
            span.attributes.push(attribute(warnings));
        }
    }
    request
}

fn key(span: &Span) -> Option<([u8; 16], [u8; 8], u64)> {
    let (trace_id, span_id) = (span.trace_id.as_slice(), span.span_id.as_slice());
    Some((trace_id.try_into().ok()?, span_id.try_into().ok()?, span.start_time_unix_nano))
}

fn attribute(warnings: Vec<String>) -> KeyValue {
    let text = |warning| AnyValue { value: Some(Value::StringValue(warning)) };
    let array = ArrayValue { values: warnings.into_iter().map(text).collect() };
    let value = AnyValue { value: Some(Value::ArrayValue(array)) };
    KeyValue { key: ATTRIBUTE.to_owned(), value: Some(value), key_strindex: 0 }
}
