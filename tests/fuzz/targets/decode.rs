//! `#[derive(KafkaMessage)]`: what was decoded from any key, value and headers is encoded so that it decodes to the same.
#![no_main]

use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;
use rdkafka::message::{OwnedMessage, Timestamp};
use throughline::KafkaMessage;
use throughline::kafka::{CreationContext, Headers, Raw, Record};
use throughline_fuzz::{header, parts, telemetry};

#[derive(KafkaMessage, Clone, Debug, PartialEq)]
#[kafka(topic = "orders", event = "order.placed", version = 2, content_type = "application/json")]
struct Order {
    #[kafka(key)]
    id: Option<u32>,
    #[kafka(header = "x-tenant")]
    tenant: String,
    #[kafka(header = "x-attempt")]
    attempt: Option<u8>,
    #[kafka(header = "x-tag")]
    tags: Vec<String>,
    #[kafka(header = "x-plan", baggage)]
    plan: Option<String>,
    #[kafka(timestamp)]
    at: SystemTime,
    #[kafka(partition)]
    partition: Option<i32>,
    #[kafka(trace)]
    trace: CreationContext,
    #[kafka(headers)]
    rest: Headers,
    amount: u64,
    lines: Vec<(String, i16)>,
    note: Option<String>,
}

#[derive(KafkaMessage, Clone, Debug, PartialEq)]
#[kafka(topic = "blobs", codec = Raw)]
struct Blob {
    #[kafka(key)]
    name: String,
    #[kafka(payload)]
    bytes: Vec<u8>,
}

fn deliver(record: &Record) -> OwnedMessage {
    let record = record.to_future_record();
    OwnedMessage::new(
        record.payload.map(<[u8]>::to_vec),
        record.key.map(<[u8]>::to_vec),
        record.topic.to_owned(),
        record.timestamp.map_or(Timestamp::NotAvailable, Timestamp::CreateTime),
        record.partition.unwrap_or(0),
        0,
        record.headers,
    )
}

fn again<T: KafkaMessage>(message: &T) -> T {
    let record = message.to_record().expect("what was decoded can be encoded");
    T::from_message(&deliver(&record)).expect("what was encoded can be decoded")
}

// The first part is key and value, the others are headers.
fuzz_target!(|input: &[u8]| {
    telemetry();
    let mut parts = parts(input);
    let first = parts.next().unwrap_or_default();
    let (key, value) = header(first);
    let mut headers = Headers::new();
    for (name, value) in parts.map(header) {
        match value {
            Some(value) => headers.push(name, value),
            None => headers.push_null(name),
        }
    }
    let time = i64::try_from(input.len()).unwrap_or(0) * 1_000 - 5_000;
    let message = OwnedMessage::new(
        value,
        (!key.is_empty()).then_some(key),
        "orders".to_owned(),
        Timestamp::CreateTime(time),
        1,
        9,
        Some(headers.to_owned_headers()),
    );
    if let Ok(order) = Order::from_message(&message) {
        let mut back = again(&order);
        // A received context is passed on; what comes back has its span, and the baggage of `plan` beside it.
        let span = |trace: &CreationContext| {
            use opentelemetry::trace::TraceContextExt as _;
            trace.context().map(|cx| cx.span().span_context().clone()).filter(|span| span.is_valid())
        };
        assert_eq!(span(&back.trace), span(&order.trace));
        back.trace = order.trace.clone();
        assert_eq!(back, order);
    }
    match Option::<Blob>::from_message(&message) {
        Ok(Some(blob)) => assert_eq!(again(&blob), blob),
        Ok(None) | Err(_) => {}
    }
});
