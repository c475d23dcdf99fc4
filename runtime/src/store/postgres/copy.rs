//! A batch in the binary format of COPY
//! (<https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format").

use bytes::{BufMut as _, Bytes, BytesMut};

use super::values::Time;
use crate::store::batch::id_number;
use crate::store::span::StoredSpan;

/// The columns that are written, in their order.
pub(super) const COLUMNS: &str = "trace_id, span_id, parent_span_id, start_ns, duration_ns, start_time, end_time, resource_id, \
     flags, dropped_attributes, dropped_events, dropped_links, kind, status, service_name, operation_name, error_message, \
     error_type, task_id, plan_id, agent_id, tool_id, trace_state, attributes, events, links";

/// How many they are.
const COUNT: i16 = 26;

/// Bytes that are sent in one go.
const PIECE: usize = 256 * 1024;

/// The batch, in pieces.
pub(super) fn encode(spans: &[&StoredSpan]) -> Vec<Bytes> {
    let mut out = BytesMut::with_capacity(PIECE + 8 * 1024);
    let mut pieces = Vec::new();
    out.put_slice(b"PGCOPY\n\xff\r\n\0");
    // No flags, no extension of the header.
    out.put_u64(0);
    for span in spans {
        row(&mut out, span);
        if out.len() >= PIECE {
            pieces.push(out.split().freeze());
        }
    }
    out.put_i16(-1);
    pieces.push(out.freeze());
    pieces
}

fn row(out: &mut BytesMut, span: &StoredSpan) {
    out.put_i16(COUNT);
    bytes(out, &span.trace_id.to_bytes());
    eight(out, id_number(span.span_id));
    if span.is_root() {
        null(out);
    } else {
        eight(out, id_number(span.parent_span_id));
    }
    eight(out, span.start_ns);
    eight(out, span.duration_ns);
    eight(out, Time(span.start_ns).microseconds());
    eight(out, Time(span.end_ns()).microseconds());
    eight(out, span.resource.id);
    for number in [span.flags, span.dropped_attributes, span.dropped_events, span.dropped_links] {
        out.put_i32(4);
        out.put_i32(number);
    }
    for number in [span.kind, span.status] {
        out.put_i32(2);
        out.put_i16(number);
    }
    bytes(out, span.service_name.as_bytes());
    bytes(out, span.operation_name.as_bytes());
    text(out, span.error_message.as_deref());
    text(out, span.error_type.as_deref());
    for id in &span.ids {
        text(out, id.as_deref());
    }
    text(out, span.trace_state.as_deref());
    json(out, &span.attributes_json);
    for list in [&span.events_json, &span.links_json] {
        // Most spans have neither events nor links.
        if list == "[]" { null(out) } else { json(out, list) }
    }
}

fn null(out: &mut BytesMut) {
    out.put_i32(-1);
}

fn eight(out: &mut BytesMut, value: i64) {
    out.put_i32(8);
    out.put_i64(value);
}

/// The length in front. A value beyond 2 GiB cannot come this far: a span is bounded.
fn bytes(out: &mut BytesMut, value: &[u8]) {
    out.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
    out.put_slice(value);
}

fn text(out: &mut BytesMut, value: Option<&str>) {
    match value {
        Some(value) => bytes(out, value.as_bytes()),
        None => null(out),
    }
}

fn json(out: &mut BytesMut, value: &str) {
    out.put_i32(i32::try_from(value.len() + 1).unwrap_or(i32::MAX));
    // The version of the binary format.
    out.put_u8(1);
    out.put_slice(value.as_bytes());
}
