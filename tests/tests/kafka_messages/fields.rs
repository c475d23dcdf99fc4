//! Each kind of field, written and read.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use throughline::KafkaMessage;
use throughline::kafka::{DecodeError, Headers, Record};

use super::support::{delivered, message, round_trip, shown, telemetry};

#[derive(Clone, Debug, PartialEq)]
struct OrderId(u64);

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order-{}", self.0)
    }
}

impl FromStr for OrderId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("order-").ok_or("no order")?;
        number.parse().map(OrderId).map_err(|error: std::num::ParseIntError| error.to_string())
    }
}

/// Both sides, so the key is text.
#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders", event = "order.placed", version = 2, content_type = "application/json")]
struct Order {
    #[kafka(key)]
    id: OrderId,
    #[kafka(header = "x-tenant")]
    tenant: String,
    #[kafka(header = "X-Attempt")]
    attempt: Option<u32>,
    #[kafka(timestamp)]
    at: SystemTime,
    #[kafka(partition)]
    partition: Option<i32>,
    #[kafka(headers)]
    rest: Headers,
    amount: u64,
}

fn order() -> Order {
    Order {
        id: OrderId(7),
        tenant: "acme".to_owned(),
        attempt: Some(3),
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        partition: Some(2),
        rest: Headers::new().with("x-flow", "f1"),
        amount: 12,
    }
}

#[test]
fn every_part_goes_where_it_belongs() {
    telemetry();
    let record = order().to_record().unwrap();
    assert_eq!(Order::TOPIC, "orders");
    assert_eq!(record.topic(), "orders");
    assert_eq!(record.key(), Some(&b"order-7"[..]));
    assert_eq!(record.timestamp_ms(), Some(1_700_000_000_123));
    assert_eq!(record.partition(), Some(2));
    assert_eq!(record.value().as_deref(), Some(&b"{\"amount\":12}"[..]));
    let expected = [
        "event=order.placed",
        "version=2",
        "content-type=application/json",
        "x-tenant=acme",
        "X-Attempt=3",
        "x-flow=f1",
    ];
    assert_eq!(shown(record.headers()), expected);
    assert_eq!(round_trip(&order()), order());
}

/// kafka.md D-7: names are read ignoring case, written as the struct says.
#[test]
fn names_of_headers_are_read_ignoring_case() {
    let headers =
        Headers::new().with("X-TENANT", "acme").with("x-attempt", "1").with("EVENT", "order.placed");
    let read = Order::from_message(
        &Record::copy_of(&message(Some(b"{\"amount\":1}"), &headers)).with_key("order-1"),
    );
    let read = read.unwrap();
    assert_eq!((read.tenant.as_str(), read.attempt), ("acme", Some(1)));
    assert!(read.rest.is_empty(), "{:?}", read.rest);
}

fn refused(headers: &Headers) -> DecodeError {
    let message = Record::copy_of(&message(Some(b"{\"amount\":1}"), headers)).with_key("order-1");
    Order::from_message(&message).unwrap_err()
}

/// kafka.md D-7.
#[test]
fn a_header_that_does_not_fit_is_named() {
    let missing = refused(&Headers::new());
    assert!(matches!(missing, DecodeError::MissingHeader { header: "x-tenant" }), "{missing:?}");
    assert!(missing.to_string().contains("`x-tenant`"), "{missing}");
    let mut null = Headers::new();
    null.push_null("x-tenant");
    let null = refused(&null);
    assert!(matches!(null, DecodeError::NullHeader { header: "x-tenant" }), "{null:?}");
    let bytes = refused(&Headers::new().with("x-tenant", [0xff]));
    assert!(matches!(bytes, DecodeError::HeaderNotUtf8 { header: "x-tenant" }), "{bytes:?}");
    let number = refused(&Headers::new().with("x-tenant", "acme").with("x-attempt", "many"));
    assert!(matches!(number, DecodeError::Header { header: "X-Attempt", .. }), "{number:?}");
    assert!(std::error::Error::source(&number).is_some());
}

#[test]
fn another_event_on_the_topic_is_refused_and_an_unnamed_one_is_not() {
    let tenant = Headers::new().with("x-tenant", "acme");
    let other = refused(&tenant.clone().with("event", "order.cancelled"));
    assert!(matches!(other, DecodeError::OtherEvent { expected: "order.placed" }), "{other:?}");
    let unnamed = Record::copy_of(&message(Some(b"{\"amount\":1}"), &tenant)).with_key("order-1");
    assert_eq!(Order::from_message(&unnamed).unwrap().amount, 1);
}

#[test]
fn a_key_that_does_not_fit_is_told() {
    let headers = Headers::new().with("x-tenant", "acme");
    let record = Record::copy_of(&message(Some(b"{\"amount\":1}"), &headers));
    assert!(matches!(Order::from_message(&record), Err(DecodeError::NullKey)));
    let bytes = record.clone().with_key([0xff]);
    assert!(matches!(Order::from_message(&bytes), Err(DecodeError::KeyNotUtf8)));
    let text = record.with_key("invoice-1");
    assert!(matches!(Order::from_message(&text), Err(DecodeError::Key { .. })));
}

/// Bytes: neither `Display` nor `FromStr`.
#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
struct Bytes {
    #[kafka(key)]
    id: Option<[u8; 4]>,
    #[kafka(header = "one")]
    one: Vec<u8>,
    #[kafka(header = "each")]
    each: Vec<Vec<u8>>,
    #[kafka(header = "nullable")]
    nullable: Option<Option<Vec<u8>>>,
    #[kafka(header = "each-nullable")]
    each_nullable: Vec<Option<String>>,
}

#[test]
fn bytes_duplicates_and_null_values_have_types() {
    telemetry();
    let full = Bytes {
        id: Some([0, 0xff, 0, 1]),
        one: vec![0xff, 0],
        each: vec![vec![1], vec![], vec![1]],
        nullable: Some(None),
        each_nullable: vec![Some(String::new()), None, Some("a".to_owned())],
    };
    let record = full.to_record().unwrap();
    let expected = [
        "one=\\xff\\x00",
        "each=\\x01",
        "each=",
        "each=\\x01",
        "nullable=-",
        "each-nullable=",
        "each-nullable=-",
        "each-nullable=a",
    ];
    assert_eq!(shown(record.headers()), expected);
    assert_eq!(round_trip(&full), full);
    for nullable in [None, Some(None), Some(Some(vec![])), Some(Some(vec![7]))] {
        let bytes = Bytes { id: None, one: vec![], each: vec![], nullable, each_nullable: vec![] };
        assert_eq!(bytes.to_record().unwrap().key(), None);
        assert_eq!(round_trip(&bytes), bytes);
    }
    let short = full.to_record().unwrap().with_key("abc");
    assert!(matches!(Bytes::from_message(&short), Err(DecodeError::Key { .. })));
}

mod hex {
    use std::fmt::Write as _;

    pub(super) fn to_bytes(id: &super::Opaque) -> String {
        id.0.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<super::Opaque, String> {
        let digits = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let pairs = (0..digits.len()).step_by(2);
        let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2).unwrap_or(""), 16);
        pairs
            .map(|at| byte(at).map_err(|error| error.to_string()))
            .collect::<Result<_, _>>()
            .map(super::Opaque)
    }
}

#[derive(Debug, PartialEq)]
struct Opaque(Vec<u8>);

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
struct With {
    #[kafka(key, with = hex)]
    id: Opaque,
    #[kafka(header = "parent", with = hex)]
    parent: Option<Opaque>,
    #[kafka(header = "others", with = self::hex)]
    others: Vec<Opaque>,
}

#[test]
fn functions_of_the_users_write_what_has_no_form() {
    telemetry();
    let with =
        With { id: Opaque(vec![0xca, 0xfe]), parent: None, others: vec![Opaque(vec![1]), Opaque(vec![2])] };
    let record = with.to_record().unwrap();
    assert_eq!(record.key(), Some(&b"cafe"[..]));
    assert_eq!(shown(record.headers()), ["others=01", "others=02"]);
    assert_eq!(round_trip(&with), with);
    let wrong = Record::copy_of(&delivered(&record)).with_key("zz");
    assert!(matches!(With::from_message(&wrong), Err(DecodeError::Key { .. })));
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
struct Times {
    #[kafka(timestamp)]
    at: Option<SystemTime>,
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
struct Milliseconds {
    #[kafka(timestamp)]
    at: i64,
    #[kafka(partition)]
    partition: i32,
}

/// kafka.md F-M1: timestamps -1, -5, 0, `i64::MAX`.
#[test]
fn odd_timestamps_are_read_or_told() {
    telemetry();
    for ms in [-5, -1, 0, 1, i64::MAX, i64::MIN] {
        let record = Record::to("orders").with_value("{}").with_timestamp_ms(ms);
        assert_eq!(Milliseconds::from_message(&record).unwrap().at, ms);
        let read = Times::from_message(&record).unwrap();
        assert_eq!(read.to_record().unwrap().timestamp_ms(), Some(ms), "{read:?}");
    }
    let none = Record::to("orders").with_value("{}");
    assert_eq!(Times::from_message(&none).unwrap(), Times { at: None });
    assert!(matches!(Milliseconds::from_message(&none), Err(DecodeError::MissingTimestamp)));
}

#[test]
fn a_partition_is_a_hint_that_may_be_absent() {
    telemetry();
    let record = Milliseconds { at: 1, partition: -1 }.to_record().unwrap();
    assert_eq!(record.partition(), None);
    assert_eq!(Milliseconds::from_message(&record).unwrap().partition, -1);
    let read = Milliseconds::from_message(&delivered(&record.with_partition(4))).unwrap();
    assert_eq!(read.partition, 4);
}

const SHARED: &str = "shared.orders-1_a";

#[derive(KafkaMessage)]
#[kafka(topic = SHARED, version = "2024-10")]
struct Constant {}

#[test]
fn a_topic_may_be_a_constant() {
    telemetry();
    assert_eq!(Constant::TOPIC, SHARED);
    let record = Constant {}.to_record().unwrap();
    assert_eq!(record.value().as_deref(), Some(&b"{}"[..]));
    assert_eq!(shown(record.headers()), ["version=2024-10"]);
}
