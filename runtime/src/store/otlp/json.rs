//! Reading a request in OTLP JSON.
//!
//! `opentelemetry-proto` can do so too, with its feature `with-serde`, but not all that senders write: version 0.33.1 refuses
//! `{"arrayValue":{}}`, a double written as `"NaN"`, and any unknown field within a value.
//!
//! Beyond the letter of OTLP, 64-bit numbers may be numbers, enums may be names, and `null` is as good as absent: protobuf's
//! own JSON has all of this, and so have senders.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de};

use super::common::any_value::Value as Any;
use super::common::{self, AnyValue, KeyValue};
use super::{DecodeError, ExportTraceServiceRequest, MOST_MESSAGES, trace};

/// The request in this text. Bytes that are no UTF-8 become U+FFFD.
pub(crate) fn from_json(body: &[u8]) -> Result<ExportTraceServiceRequest, DecodeError> {
    // Each message is an object, and each item of a list is a message. serde would take arrays for objects.
    if body.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() > MOST_MESSAGES {
        return Err(DecodeError::TooMany);
    }
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(DecodeError::Malformed { encoding: "JSON", why: "it is no object".to_owned() });
    }
    let request: Request = serde_json::from_str(&String::from_utf8_lossy(body))
        .map_err(|error| DecodeError::Malformed { encoding: "JSON", why: error.to_string() })?;
    Ok(ExportTraceServiceRequest { resource_spans: into(request.resource_spans) })
}

fn into<A: Into<B>, B>(items: Vec<A>) -> Vec<B> {
    items.into_iter().map(Into::into).collect()
}

/// `null` is what is absent.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

/// Structures whose fields may all be absent or null.
macro_rules! messages {
    ($($name:ident { $($field:ident: $kind:ty),* $(,)? })*) => {$(
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct $name {
            $(#[serde(deserialize_with = "or_default")] $field: $kind,)*
        }
    )*};
}

messages! {
    Request { resource_spans: Vec<ResourceSpans> }
    ResourceSpans { resource: Resource, scope_spans: Vec<ScopeSpans>, schema_url: String }
    Resource { attributes: Vec<Pair>, dropped_attributes_count: Number<u32> }
    ScopeSpans { scope: Scope, spans: Vec<Span>, schema_url: String }
    Scope { name: String, version: String, attributes: Vec<Pair>, dropped_attributes_count: Number<u32> }
    Span {
        trace_id: Hex,
        span_id: Hex,
        trace_state: String,
        parent_span_id: Hex,
        flags: Number<u32>,
        name: String,
        kind: Kind,
        start_time_unix_nano: Number<u64>,
        end_time_unix_nano: Number<u64>,
        attributes: Vec<Pair>,
        dropped_attributes_count: Number<u32>,
        events: Vec<Event>,
        dropped_events_count: Number<u32>,
        links: Vec<Link>,
        dropped_links_count: Number<u32>,
        status: Status,
    }
    Event { time_unix_nano: Number<u64>, name: String, attributes: Vec<Pair>, dropped_attributes_count: Number<u32> }
    Link {
        trace_id: Hex,
        span_id: Hex,
        trace_state: String,
        attributes: Vec<Pair>,
        dropped_attributes_count: Number<u32>,
        flags: Number<u32>,
    }
    Status { message: String, code: Code }
    Pair { key: String, value: Val }
    Values { values: Vec<Val> }
    Pairs { values: Vec<Pair> }
}

impl From<ResourceSpans> for trace::ResourceSpans {
    fn from(group: ResourceSpans) -> Self {
        let resource = opentelemetry_proto::tonic::resource::v1::Resource {
            attributes: into(group.resource.attributes),
            dropped_attributes_count: group.resource.dropped_attributes_count.0,
            entity_refs: Vec::new(),
        };
        Self { resource: Some(resource), scope_spans: into(group.scope_spans), schema_url: group.schema_url }
    }
}

impl From<ScopeSpans> for trace::ScopeSpans {
    fn from(group: ScopeSpans) -> Self {
        let scope = common::InstrumentationScope {
            name: group.scope.name,
            version: group.scope.version,
            attributes: into(group.scope.attributes),
            dropped_attributes_count: group.scope.dropped_attributes_count.0,
        };
        Self { scope: Some(scope), spans: into(group.spans), schema_url: group.schema_url }
    }
}

impl From<Span> for trace::Span {
    fn from(span: Span) -> Self {
        Self {
            trace_id: span.trace_id.0,
            span_id: span.span_id.0,
            trace_state: span.trace_state,
            parent_span_id: span.parent_span_id.0,
            flags: span.flags.0,
            name: span.name,
            kind: span.kind.0,
            start_time_unix_nano: span.start_time_unix_nano.0,
            end_time_unix_nano: span.end_time_unix_nano.0,
            attributes: into(span.attributes),
            dropped_attributes_count: span.dropped_attributes_count.0,
            events: into(span.events),
            dropped_events_count: span.dropped_events_count.0,
            links: into(span.links),
            dropped_links_count: span.dropped_links_count.0,
            status: Some(trace::Status { message: span.status.message, code: span.status.code.0 }),
        }
    }
}

impl From<Event> for trace::span::Event {
    fn from(event: Event) -> Self {
        Self {
            time_unix_nano: event.time_unix_nano.0,
            name: event.name,
            attributes: into(event.attributes),
            dropped_attributes_count: event.dropped_attributes_count.0,
        }
    }
}

impl From<Link> for trace::span::Link {
    fn from(link: Link) -> Self {
        Self {
            trace_id: link.trace_id.0,
            span_id: link.span_id.0,
            trace_state: link.trace_state,
            attributes: into(link.attributes),
            dropped_attributes_count: link.dropped_attributes_count.0,
            flags: link.flags.0,
        }
    }
}

impl From<Pair> for KeyValue {
    fn from(pair: Pair) -> Self {
        Self { key: pair.key, value: Some(pair.value.into()), key_strindex: 0 }
    }
}

impl From<Val> for AnyValue {
    fn from(value: Val) -> Self {
        Self { value: value.0 }
    }
}

/// An id in hex.
#[derive(Default)]
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes
            .map(Self)
            .ok_or_else(|| Error::custom("an id is not in hex, as OTLP JSON has them; base64 is not read"))
    }
}

/// A number, or a string with one.
struct Number<N>(N);

impl<N: Default> Default for Number<N> {
    fn default() -> Self {
        Self(N::default())
    }
}

impl<'de, N> Deserialize<'de> for Number<N>
where
    N: TryFrom<u64> + TryFrom<i64> + std::str::FromStr,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<N>(PhantomData<N>);

        impl<N: TryFrom<u64> + TryFrom<i64> + std::str::FromStr> Visitor<'_> for Reader<N> {
            type Value = Number<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number in range, or a string with one")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number<N>, E> {
                let out = || E::invalid_value(de::Unexpected::Unsigned(number), &self);
                N::try_from(number).map(Number).map_err(|_| out())
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number<N>, E> {
                let out = || E::invalid_value(de::Unexpected::Signed(number), &self);
                N::try_from(number).map(Number).map_err(|_| out())
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number<N>, E> {
                text.parse().map(Number).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Reader(PhantomData))
    }
}

/// A number, or the name that the protocol gives it.
macro_rules! enums {
    ($($name:ident from $kind:ty;)*) => {$(
        #[derive(Default)]
        struct $name(i32);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reader;

                impl Visitor<'_> for Reader {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("the number of an enum")
                    }

                    // A number that nobody knows yet is none of ours.
                    fn visit_u64<E: Error>(self, number: u64) -> Result<$name, E> {
                        Ok($name(number.try_into().unwrap_or(0)))
                    }

                    fn visit_i64<E: Error>(self, _: i64) -> Result<$name, E> {
                        Ok($name(0))
                    }

                    fn visit_str<E: Error>(self, name: &str) -> Result<$name, E> {
                        Ok($name(<$kind>::from_str_name(name).map_or(0, |kind| kind as i32)))
                    }
                }

                deserializer.deserialize_any(Reader)
            }
        }
    )*};
}

enums! {
    Kind from trace::span::SpanKind;
    Code from trace::status::StatusCode;
}

/// A value of any type.
#[derive(Default)]
struct Val(Option<Any>);

impl<'de> Deserialize<'de> for Val {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Val;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object such as {\"stringValue\": \"..\"}")
            }

            fn visit_unit<E: Error>(self) -> Result<Val, E> {
                Ok(Val(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Val, A::Error> {
                let mut value = None;
                while let Some(key) = map.next_key::<String>()? {
                    let read = match &*key {
                        "stringValue" => map.next_value::<Option<String>>()?.map(Any::StringValue),
                        "boolValue" => map.next_value::<Option<bool>>()?.map(Any::BoolValue),
                        "intValue" => {
                            map.next_value::<Option<Number<i64>>>()?.map(|number| Any::IntValue(number.0))
                        }
                        "doubleValue" => {
                            map.next_value::<Option<Double>>()?.map(|number| Any::DoubleValue(number.0))
                        }
                        "arrayValue" => map
                            .next_value::<Option<Values>>()?
                            .map(|items| Any::ArrayValue(common::ArrayValue { values: into(items.values) })),
                        "kvlistValue" => map.next_value::<Option<Pairs>>()?.map(|pairs| {
                            Any::KvlistValue(common::KeyValueList { values: into(pairs.values) })
                        }),
                        "bytesValue" => {
                            map.next_value::<Option<Base64>>()?.map(|bytes| Any::BytesValue(bytes.0))
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            None
                        }
                    };
                    value = read.or(value);
                }
                Ok(Val(value))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// A number, or a string with one, or one of protobuf's words.
struct Double(f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Double;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, `NaN`, `Infinity` or `-Infinity`")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Double, E> {
                Ok(Double(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Double, E> {
                Ok(Double(number as f64))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Double, E> {
                Ok(Double(number as f64))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Double, E> {
                // Rust's own parser knows these three words, and numbers.
                text.parse().map(Double).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// Bytes in either of the two alphabets, as protobuf's JSON allows.
struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(&*text).or_else(|_| URL_SAFE.decode(&*text));
        bytes.map(Self).map_err(|_| Error::custom("a value of bytes is not in base64"))
    }
}
