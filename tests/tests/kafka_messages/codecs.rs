//! What becomes of the value: codecs, payload fields, tombstones.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use rdkafka::message::OwnedMessage;
use serde::{Deserialize, Serialize};
use throughline::KafkaMessage;
use throughline::kafka::{BoxError, Codec, DecodeError, EncodeError, Headers, Record, Tombstone};

use super::support::{delivered, message, round_trip, telemetry};

#[derive(KafkaMessage, Clone, Debug, PartialEq)]
#[kafka(topic = "blobs", codec = Raw)]
struct Blob {
    #[kafka(key)]
    id: Option<String>,
    #[kafka(payload)]
    data: Option<Vec<u8>>,
    /// In no record: a field that serde skips is none of the body.
    #[serde(skip)]
    seen: u8,
    #[serde(skip, default = "three")]
    three: u8,
}

fn three() -> u8 {
    3
}

/// kafka.md D-8: null, empty and absent stay three things.
#[test]
fn null_and_empty_values_stay_two_things() {
    for (id, data) in [
        (None, None),
        (None, Some(vec![])),
        (Some(String::new()), None),
        (Some("a".to_owned()), Some(vec![0xff, 0])),
    ] {
        let blob = Blob { id, data, seen: 0, three: 3 };
        let record = blob.to_record().unwrap();
        assert_eq!(record.value().is_none(), blob.data.is_none());
        assert_eq!(record.key().is_none(), blob.id.is_none());
        assert_eq!(round_trip(&blob), blob);
    }
    let seen = Blob { id: None, data: None, seen: 9, three: 9 };
    assert_eq!(round_trip(&seen), Blob { seen: 0, three: 3, ..seen });
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "blobs", codec = Raw)]
struct Fixed {
    #[kafka(payload)]
    data: [u8; 4],
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "blobs", codec = Raw)]
struct Text {
    #[kafka(payload)]
    text: String,
}

#[test]
fn raw_values_that_do_not_fit_are_told() {
    telemetry();
    assert_eq!(round_trip(&Fixed { data: *b"abcd" }), Fixed { data: *b"abcd" });
    assert_eq!(round_trip(&Text { text: "ä".to_owned() }), Text { text: "ä".to_owned() });
    let short = Record::to("blobs").with_value("abc");
    let error = Fixed::from_message(&short).unwrap_err();
    assert!(
        matches!(&error, DecodeError::Value { source } if source.to_string() == "3 bytes are no `[u8; 4]`"),
        "{error:?}"
    );
    let bytes = Record::to("blobs").with_value([0xff]);
    assert!(matches!(Text::from_message(&bytes), Err(DecodeError::Value { .. })));
    let null = Record::to("blobs");
    assert!(matches!(Text::from_message(&null), Err(DecodeError::NullValue)));
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "scopes", codec = Protobuf, content_type = "application/x-protobuf")]
struct Scope {
    #[kafka(key)]
    id: u32,
    #[kafka(payload)]
    scope: InstrumentationScope,
}

#[test]
fn protobuf_is_a_codec_of_a_payload() {
    telemetry();
    let scope = InstrumentationScope { name: "orders".to_owned(), ..InstrumentationScope::default() };
    let message = Scope { id: 1, scope };
    let record = message.to_record().unwrap();
    assert_eq!(record.value().as_deref(), Some(&b"\x0a\x06orders"[..]));
    assert_eq!(round_trip(&message), message);
    let broken = Record::copy_of(&delivered(&record)).with_value(*b"\x0a\xff");
    assert!(matches!(Scope::from_message(&broken), Err(DecodeError::Value { .. })));
}

/// A payload of a type by itself, with JSON.
#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "events")]
struct Wrapped<T: Serialize + serde::de::DeserializeOwned> {
    #[kafka(header = "id")]
    id: u64,
    #[kafka(payload)]
    event: T,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    Placed { amount: u64 },
    Cancelled,
}

#[test]
fn an_enum_is_the_payload_of_a_struct() {
    telemetry();
    let placed = Wrapped { id: 1, event: Event::Placed { amount: 7 } };
    let record = placed.to_record().unwrap();
    assert_eq!(record.value().as_deref(), Some(&br#"{"type":"placed","amount":7}"#[..]));
    assert_eq!(round_trip(&placed), placed);
    assert_eq!(round_trip(&Wrapped { id: 1, event: Event::Cancelled }).event, Event::Cancelled);
}

/// A codec of the user's, on body fields and on a payload, that looks at the topic.
struct Framed;

impl<T: Serialize + serde::de::DeserializeOwned> Codec<T> for Framed {
    fn encode(value: &T, topic: &str) -> Result<Vec<u8>, BoxError> {
        let mut bytes = format!("{topic}:").into_bytes();
        serde_json::to_writer(&mut bytes, value)?;
        Ok(bytes)
    }

    fn decode(bytes: &[u8], topic: &str) -> Result<T, BoxError> {
        let json = bytes.strip_prefix(topic.as_bytes()).and_then(|rest| rest.strip_prefix(b":"));
        Ok(serde_json::from_slice(json.ok_or("another frame")?)?)
    }
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "framed", codec = Framed)]
struct FramedBody {
    #[kafka(key)]
    id: u8,
    amount: u64,
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "framed", codec = Framed)]
struct FramedPayload {
    #[kafka(payload)]
    lines: Option<Vec<u64>>,
}

#[test]
fn a_codec_of_the_users_takes_bodies_and_payloads() {
    telemetry();
    let body = FramedBody { id: 1, amount: 2 };
    assert_eq!(body.to_record().unwrap().value().as_deref(), Some(&br#"framed:{"amount":2}"#[..]));
    assert_eq!(round_trip(&body), body);
    for lines in [None, Some(vec![]), Some(vec![1, 2])] {
        let payload = FramedPayload { lines };
        assert_eq!(round_trip(&payload), payload);
    }
    let elsewhere = Record::copy_of(&delivered(&body.to_record().unwrap())).with_topic("other");
    assert!(matches!(FramedBody::from_message(&elsewhere), Err(DecodeError::Value { .. })));
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "maps")]
struct NotJson {
    map: std::collections::BTreeMap<(u8, u8), u8>,
}

#[test]
fn a_value_that_the_codec_refuses_is_an_error() {
    let error = NotJson { map: [((1, 2), 3)].into() }.to_record().unwrap_err();
    let EncodeError::Value { topic, source } = &error else { panic!("{error:?}") };
    assert_eq!((*topic, source.to_string().as_str()), ("maps", "key must be a string"));
    assert_eq!(error.kind(), "EncodeError::Value");
}

#[derive(KafkaMessage, Clone, Debug, PartialEq)]
#[kafka(topic = "orders", event = "order")]
struct Order {
    #[kafka(key)]
    id: u64,
    #[kafka(header = "x-tenant")]
    tenant: String,
    amount: u64,
}

const ORDER: Order = Order { id: 7, tenant: String::new(), amount: 12 };

#[test]
fn a_tombstone_has_the_key_and_no_value() {
    telemetry();
    let tombstone = Tombstone::of(&ORDER).unwrap();
    assert_eq!(Tombstone::<Order>::TOPIC, "orders");
    assert_eq!(tombstone, Tombstone::new("7"));
    let record = tombstone.to_record().unwrap();
    assert_eq!((record.key(), record.value(), record.headers().len()), (Some(&b"7"[..]), &None, 0));
    assert_eq!(round_trip(&tombstone), tombstone);
    assert!(matches!(
        Tombstone::<Order>::from_message(&ORDER.to_record().unwrap()),
        Err(DecodeError::NotNull)
    ));
}

#[test]
fn an_optional_message_is_null_or_the_message() {
    let null = Tombstone::<Order>::new("7").to_record().unwrap();
    assert!(matches!(
        Order::from_message(&null),
        Err(DecodeError::MissingHeader { .. } | DecodeError::NullValue)
    ));
    let read: Record<Option<Order>> = Record::read(&delivered(&null)).unwrap();
    assert_eq!((read.key(), read.value()), (Some(&b"7"[..]), &None));
    assert_eq!(round_trip(&Some(ORDER)), Some(ORDER));
    assert_eq!(round_trip(&None::<Order>), None);
    // An empty value is none that was deleted.
    let empty = message(Some(b""), &Headers::new().with("x-tenant", "acme"));
    assert!(Option::<Order>::from_message(&empty).is_err());
}

#[test]
fn a_record_that_is_decoded_is_not_decoded_again() {
    let record: Record<Order> = Record::read(&delivered(&ORDER.to_record().unwrap())).unwrap();
    assert_eq!(record.value(), &ORDER);
    assert_eq!(record.value_bytes(), Some(13));
    assert_eq!(throughline::kafka::ConsumedMessage::value(&record), None);
    assert!(matches!(Order::from_message(&record), Err(DecodeError::ValueGone)));
    assert!(matches!(Option::<Order>::from_message(&record), Err(DecodeError::ValueGone)));
    assert!(matches!(record.map(|order| order.amount).into_value(), 12));
}

/// `OwnedMessage` is what a fuzzer can make of bytes.
#[test]
fn every_form_of_a_message_is_read() {
    let owned: OwnedMessage = delivered(&ORDER.to_record().unwrap());
    assert_eq!(Order::from_message(&owned).unwrap(), ORDER);
    assert_eq!(Order::from_message(&&owned).unwrap(), ORDER);
    assert_eq!(Order::from_message(&Record::copy_of(&owned)).unwrap(), ORDER);
    assert_eq!(Order::from_message(&Box::new(Record::copy_of(&owned))).unwrap(), ORDER);
    assert_eq!(Order::from_message(&Arc::new(owned)).unwrap(), ORDER);
}
