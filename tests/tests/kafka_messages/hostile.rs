//! Messages that anybody may have written: read or refused, never a panic.

use std::time::SystemTime;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use throughline::KafkaMessage;
use throughline::kafka::{CreationContext, DecodeError, Headers, Record, Tombstone};

use super::support::{delivered, message, telemetry};

#[derive(KafkaMessage, Debug)]
#[kafka(topic = "orders", event = "e", version = 1)]
struct Order {
    #[kafka(key)]
    key: u64,
    #[kafka(header = "one")]
    one: String,
    #[kafka(header = "two")]
    two: Option<f64>,
    #[kafka(header = "three")]
    three: Vec<u8>,
    #[kafka(header = "four")]
    four: Vec<char>,
    #[kafka(header = "five", baggage)]
    five: Option<String>,
    #[kafka(timestamp)]
    at: SystemTime,
    #[kafka(partition)]
    partition: Option<i32>,
    #[kafka(trace)]
    trace: CreationContext,
    #[kafka(headers)]
    rest: Headers,
    amount: i8,
    others: Option<Vec<Option<String>>>,
}

#[derive(KafkaMessage, Debug)]
#[kafka(topic = "orders", codec = Protobuf)]
struct Protobuf {
    #[kafka(payload)]
    value: KeyValue,
}

#[derive(KafkaMessage, Debug)]
#[kafka(topic = "orders", codec = Raw)]
struct Raw {
    #[kafka(key)]
    key: [u8; 2],
    #[kafka(payload)]
    value: String,
}

const NAMES: [&str; 10] =
    ["one", "two", "three", "Four", "five", "event", "version", "traceparent", "baggage", "TRACESTATE"];

/// The header that an error is about.
fn header_of(error: &DecodeError) -> Option<&'static str> {
    match error {
        DecodeError::MissingHeader { header }
        | DecodeError::NullHeader { header }
        | DecodeError::HeaderNotUtf8 { header }
        | DecodeError::Header { header, .. } => Some(header),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// kafka.md F-M1 to M3.
    #[test]
    fn any_bytes_are_read_or_refused(
        headers in vec(
            (
                prop_oneof![
                    6 => prop::sample::select(NAMES.to_vec()).prop_map(|name| name.as_bytes().to_vec()),
                    1 => vec(any::<u8>(), 0..20),
                ],
                option::weighted(0.9, prop_oneof![vec(any::<u8>(), 0..30), "[ -~]{0,3}".prop_map(String::into_bytes)]),
            ),
            0..14,
        ),
        key in option::weighted(0.9, prop_oneof![vec(any::<u8>(), 0..4), "[0-9]{1,4}".prop_map(String::into_bytes)]),
        value in option::weighted(0.95, prop_oneof![
            vec(any::<u8>(), 0..30),
            "\\{\"amount\":[0-9]{1,3}\\}".prop_map(String::into_bytes),
            "[\\[\\]{}\":,0-9a-z ]{0,20}".prop_map(String::into_bytes),
        ]),
        at in any::<Option<i64>>(),
    ) {
        telemetry();
        let mut record = Record::to("orders").with_timestamp_ms(at);
        record.headers_mut().extend(headers);
        record.set_key(key);
        record.set_value(value);
        let wire = delivered(&record);
        if let Err(error) = Order::from_message(&wire) {
            if let Some(header) = header_of(&error) {
                prop_assert!(error.to_string().contains(&format!("`{header}`")), "{error}");
            }
            prop_assert!(error.kind().starts_with("DecodeError::"));
        }
        let _ = Order::from_message(&record);
        let _ = Option::<Order>::from_message(&wire);
        let _ = Tombstone::<Order>::from_message(&wire);
        let _ = Protobuf::from_message(&wire);
        let _ = Raw::from_message(&wire);
        let copy = Record::copy_of(&wire);
        prop_assert_eq!(copy.value(), record.value());
        let _ = format!("{copy:?}");
    }
}

/// kafka.md F-M3: 100,001 headers, one of a megabyte, names of any size.
#[test]
fn a_flood_of_headers_is_read() {
    let mut headers =
        Headers::new().with("one", "1").with("x", vec![b'x'; 1 << 20]).with([b'n'; 32 * 1024], "");
    for _ in 0..100_001 {
        headers.push("f", "");
    }
    let mut record = Record::copy_of(&message(Some(b"{\"amount\":1}"), &headers)).with_key("1");
    record.headers_mut().push("three", "");
    let order = Order::from_message(&record).unwrap();
    assert_eq!((order.one.as_str(), order.amount), ("1", 1));
    assert_eq!(order.rest.len(), 100_003);
}

#[test]
fn nested_json_of_any_depth_is_refused_and_does_not_overflow() {
    let deep = "[".repeat(1 << 20);
    let record = Record::to("orders").with_key("1").with_header("one", "1").with_header("three", "");
    let record = record.with_timestamp_ms(1).with_value(format!("{{\"amount\":1,\"others\":{deep}"));
    telemetry();
    assert!(matches!(Order::from_message(&record), Err(DecodeError::Value { .. })));
}

#[test]
fn an_error_does_not_repeat_the_bytes_of_the_message() {
    let secret = Headers::new().with("one", "1").with("three", "").with("two", "secret");
    let record = Record::copy_of(&message(Some(b"{\"amount\":1}"), &secret)).with_key("1");
    let error = Order::from_message(&record).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}
