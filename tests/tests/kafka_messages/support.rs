//! One telemetry for the process, and messages as a broker hands them out.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use rdkafka::message::{OwnedMessage, Timestamp};
use throughline::kafka::{Headers, KafkaMessage, Record};
pub(crate) use throughline_tests::recorded::{named, root, spans, telemetry};

/// What a consumer gets of a record: a message of `rdkafka`'s with the headers as they go over the wire.
pub(crate) fn delivered(record: &Record) -> OwnedMessage {
    telemetry();
    let record = record.to_future_record();
    OwnedMessage::new(
        record.payload.map(<[u8]>::to_vec),
        record.key.map(<[u8]>::to_vec),
        record.topic.to_owned(),
        record.timestamp.map_or(Timestamp::NotAvailable, Timestamp::CreateTime),
        record.partition.unwrap_or(0),
        17,
        record.headers,
    )
}

/// A message made of a value and headers that somebody else wrote.
pub(crate) fn message(value: Option<&[u8]>, headers: &Headers) -> OwnedMessage {
    telemetry();
    OwnedMessage::new(
        value.map(<[u8]>::to_vec),
        None,
        "orders".to_owned(),
        Timestamp::CreateTime(1_000),
        3,
        17,
        Some(headers.to_owned_headers()),
    )
}

/// Through a record and a message and back.
pub(crate) fn round_trip<T: KafkaMessage>(message: &T) -> T {
    telemetry();
    T::from_message(&delivered(&message.to_record().unwrap())).unwrap()
}

/// A context with a remote span.
pub(crate) fn remote(trace: u128, span: u64) -> Context {
    let flags = TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_bytes(trace.to_be_bytes()), SpanId::from_bytes(span.to_be_bytes()));
    Context::new().with_remote_span_context(SpanContext::new(trace, span, flags, true, TraceState::NONE))
}

/// Headers as text, to compare with; null is `-`.
pub(crate) fn shown(headers: &Headers) -> Vec<String> {
    let value = |value: Option<&[u8]>| value.map_or("-".to_owned(), |value| value.escape_ascii().to_string());
    headers.iter().map(|(name, header)| format!("{}={}", name.escape_ascii(), value(header))).collect()
}
