//! The body: what serde's attributes say on the struct and on its fields holds for the value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use throughline::KafkaMessage;
use throughline::kafka::{BoxError, CreationContext, DecodeError, Headers, Record};

use super::support::{round_trip, telemetry};

/// The struct derives serde's traits, too, as for a database; the marked fields are not in the body for that.
#[derive(KafkaMessage, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kafka(topic = "orders")]
struct Both {
    #[kafka(key)]
    id: u64,
    #[kafka(trace)]
    trace: CreationContext,
    #[kafka(headers)]
    rest: Headers,
    amount: u64,
}

fn json<T: KafkaMessage>(message: &T) -> String {
    telemetry();
    String::from_utf8(message.to_record().unwrap().value().clone().unwrap()).unwrap()
}

fn read<T: KafkaMessage>(json: &str) -> Result<T, DecodeError> {
    telemetry();
    T::from_message(&Record::to("orders").with_key("1").with_value(json))
}

#[test]
fn marked_fields_are_not_in_the_body() {
    let both = Both { id: 7, trace: CreationContext::none(), rest: Headers::new(), amount: 12 };
    assert_eq!(json(&both), r#"{"amount":12}"#);
    assert_eq!(round_trip(&both), both);
}

#[derive(KafkaMessage, Debug, Default, PartialEq)]
#[kafka(topic = "orders")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Attributes {
    #[kafka(key)]
    id: u64,
    total_amount: u64,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    discount_code: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    count: u8,
    #[serde(with = "text")]
    big: u128,
    #[serde(serialize_with = "upper", deserialize_with = "lower")]
    r#loop: String,
    #[serde(skip)]
    cache: Vec<u8>,
    #[serde(alias = "also")]
    aliased: i8,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Generic over exactly the field's own type: a reference to a reference would not do.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[allow(clippy::ptr_arg)] // the shape that serde asks for
fn upper<S: serde::Serializer>(value: &String, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_uppercase())
}

fn lower<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(String::deserialize(deserializer)?.to_lowercase())
}

#[test]
fn attributes_of_serde_hold_for_the_body() {
    let full = Attributes {
        id: 1,
        total_amount: 2,
        kind: "b2b".to_owned(),
        discount_code: None,
        count: 0,
        big: u128::MAX,
        r#loop: "abc".to_owned(),
        cache: vec![1, 2, 3],
        aliased: -1,
    };
    let expected = r#"{"totalAmount":2,"type":"b2b","big":"340282366920938463463374607431768211455","loop":"ABC","aliased":-1}"#;
    assert_eq!(json(&full), expected);
    assert_eq!(round_trip(&full), Attributes { cache: vec![], ..full });
    let also = r#"{"totalAmount":2,"type":"b2b","big":"1","loop":"ABC","also":3,"discountCode":"x"}"#;
    let also: Attributes = read(also).unwrap();
    assert_eq!((also.aliased, also.discount_code.as_deref()), (3, Some("x")));
    let unknown = r#"{"totalAmount":2,"type":"b2b","big":"1","loop":"","aliased":3,"id":1}"#;
    let error = read::<Attributes>(unknown).unwrap_err();
    assert!(
        matches!(&error, DecodeError::Value { source } if source.to_string().contains("`id`")),
        "{error:?}"
    );
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
#[serde(default)]
struct Defaults {
    #[kafka(key)]
    id: u64,
    amount: u64,
    note: String,
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults { id: 0, amount: 42, note: "none".to_owned() }
    }
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
#[serde(default = "eleven", rename = "Renamed", expecting = "an order")]
struct DefaultsByFunction<T: Serialize + DeserializeOwned + Clone = u8> {
    amount: u64,
    other: Option<T>,
}

fn eleven<T: Serialize + DeserializeOwned + Clone>() -> DefaultsByFunction<T> {
    DefaultsByFunction { amount: 11, other: None }
}

#[test]
fn missing_fields_come_out_of_the_whole_default() {
    assert_eq!(read::<Defaults>("{}").unwrap(), Defaults { id: 1, ..Defaults::default() });
    let one = read::<Defaults>(r#"{"amount":1}"#).unwrap();
    assert_eq!(one, Defaults { id: 1, amount: 1, note: "none".to_owned() });
    assert_eq!(read::<DefaultsByFunction>("{}").unwrap(), eleven());
    let error = read::<DefaultsByFunction>("7").unwrap_err();
    assert!(format!("{error:?}").contains("expected an order"), "{error:?}");
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
#[serde(transparent)]
struct Transparent {
    #[kafka(header = "x")]
    x: u8,
    lines: Vec<u8>,
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
#[serde(tag = "type")]
struct Tagged {
    amount: u64,
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
struct Flat {
    #[kafka(key)]
    id: u64,
    amount: u64,
    #[serde(flatten)]
    others: BTreeMap<String, u64>,
}

#[test]
fn transparent_tagged_and_flat_bodies_are_serdes() {
    let transparent = Transparent { x: 1, lines: vec![1, 2] };
    assert_eq!(json(&transparent), "[1,2]");
    assert_eq!(round_trip(&transparent), transparent);
    let tagged = Tagged { amount: 1 };
    assert_eq!(json(&tagged), r#"{"type":"Tagged","amount":1}"#);
    assert_eq!(round_trip(&tagged), tagged);
    let flat = Flat { id: 1, amount: 2, others: [("a".to_owned(), 1)].into() };
    assert_eq!(json(&flat), r#"{"amount":2,"a":1}"#);
    assert_eq!(round_trip(&flat), flat);
}

/// Parameters in the body, in a marked field, in both and in neither; bounds before and in the where clause.
#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
struct Generic<'a, K, T: Serialize + DeserializeOwned, U, const N: usize>
where
    K: Display + FromStr,
    K::Err: Into<BoxError>,
    U: Serialize + DeserializeOwned + Debug,
{
    #[kafka(key)]
    id: K,
    #[kafka(header = "size")]
    size: [u8; N],
    value: T,
    #[serde(bound(deserialize = "U: DeserializeOwned"))]
    more: Vec<U>,
    name: Cow<'a, str>,
}

#[test]
fn generic_messages_need_the_bounds_of_their_codec_alone() {
    let generic = Generic {
        id: 7_u16,
        size: [1, 2, 3],
        value: Some(1.5),
        more: vec!["a".to_owned()],
        name: Cow::Borrowed("b"),
    };
    assert_eq!(json(&generic), r#"{"value":1.5,"more":["a"],"name":"b"}"#);
    assert_eq!(round_trip(&generic), generic);
}

/// Names that the expansion uses, too.
#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
struct Names {
    #[kafka(key)]
    write: u8,
    #[kafka(header = "read")]
    read: u8,
    message: u8,
    body: u8,
    serializer: u8,
    whole: u8,
}

#[test]
fn names_of_the_expansion_are_free() {
    let names = Names { write: 1, read: 2, message: 3, body: 4, serializer: 5, whole: 6 };
    assert_eq!(round_trip(&names), names);
}

#[test]
fn messages_can_be_declared_in_functions_and_by_macros() {
    macro_rules! message {
        ($name:ident, $topic:literal, $field:ident: $ty:ty) => {
            #[derive(KafkaMessage, Debug, PartialEq)]
            #[kafka(topic = $topic)]
            struct $name {
                #[kafka(header = "h")]
                header: Option<$ty>,
                $field: $ty,
            }
        };
    }
    message!(Local, "local", amount: u64);
    let local = Local { header: Some(1), amount: 7 };
    assert_eq!(Local::TOPIC, "local");
    assert_eq!(round_trip(&local), local);
}

#[test]
fn a_body_that_is_no_value_of_the_struct_is_told_with_its_cause() {
    for text in ["", "{", "null", "[]", "{\"amount\":-1}", "{\"amount\":1} x", "\u{0}"] {
        let error = read::<Both>(text).unwrap_err();
        assert!(matches!(error, DecodeError::Value { .. }), "{text}: {error:?}");
        assert!(!error.to_string().contains("amount"), "{error}");
    }
}
