//! How much memory a span holds, about: what the byte bounds count.

use opentelemetry::KeyValue;
use opentelemetry::trace::{Event, Link, Status};
use opentelemetry_sdk::trace::SpanData;

use crate::span::limits::heap_bytes;

pub(crate) fn span_bytes(span: &SpanData) -> usize {
    let events: usize = span
        .events
        .events
        .iter()
        .map(|event| size_of::<Event>() + event.name.len() + attribute_bytes(&event.attributes))
        .sum();
    let links: usize =
        span.links.links.iter().map(|link| size_of::<Link>() + attribute_bytes(&link.attributes)).sum();
    let status = match &span.status {
        Status::Error { description } => description.len(),
        Status::Unset | Status::Ok => 0,
    };
    size_of::<SpanData>() + attribute_bytes(&span.attributes) + events + links + status
}

fn attribute_bytes(attributes: &[KeyValue]) -> usize {
    attributes.iter().map(|attribute| size_of::<KeyValue>() + heap_bytes(&attribute.value)).sum()
}
