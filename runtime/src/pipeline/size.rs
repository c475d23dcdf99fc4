//! How much memory a span holds, about: what the byte bounds count.

use opentelemetry::KeyValue;
use opentelemetry::trace::{Event, Link};
use opentelemetry_sdk::trace::SpanData;

use crate::span::limits::{MAX_SPAN_BYTES, attribute_bytes, heap_bytes, status_bytes};

pub(crate) fn span_bytes(span: &SpanData) -> usize {
    let events: usize = span
        .events
        .events
        .iter()
        .map(|event| size_of::<Event>() + event.name.len() + bytes_of_all(&event.attributes))
        .sum();
    let links: usize =
        span.links.links.iter().map(|link| size_of::<Link>() + bytes_of_all(&link.attributes)).sum();
    size_of::<SpanData>()
        + span.name.len()
        + bytes_of_all(&span.attributes)
        + events
        + links
        + status_bytes(&span.status)
}

/// Leaves out the largest attributes until the span owns no more than it may; false if that did not help.
pub(crate) fn fit(span: &mut SpanData) -> bool {
    let mut bytes = span_bytes(span);
    while bytes > MAX_SPAN_BYTES {
        let size = |attribute: &KeyValue| heap_bytes(&attribute.value);
        let largest = span.attributes.iter().map(size).enumerate().max_by_key(|(_, bytes)| *bytes);
        let dropped = match largest.filter(|(_, bytes)| *bytes > 0) {
            Some((at, _)) => {
                span.dropped_attributes_count += 1;
                attribute_bytes(&span.attributes.swap_remove(at))
            }
            None => match span.events.events.pop() {
                Some(event) => {
                    span.events.dropped_count += 1;
                    size_of::<Event>() + event.name.len() + bytes_of_all(&event.attributes)
                }
                None => return false,
            },
        };
        bytes = bytes.saturating_sub(dropped);
    }
    true
}

fn bytes_of_all(attributes: &[KeyValue]) -> usize {
    attributes.iter().map(attribute_bytes).sum()
}
