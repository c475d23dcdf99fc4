//! kafka.md D-6, D-8: what was written is read, and what nobody knows goes through untouched.

use std::time::{Duration, SystemTime};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use throughline::KafkaMessage;
use throughline::kafka::{ConsumedMessage as _, CreationContext, Headers, Record};

use super::support::{delivered, telemetry};

type List = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Names of headers that the structs below or the propagator know, in any case.
const KNOWN: [&str; 10] = [
    "traceparent",
    "tracestate",
    "baggage",
    "event",
    "version",
    "x-tenant",
    "x-attempt",
    "x-plan",
    "raw",
    "each",
];

fn is_known(name: &[u8]) -> bool {
    KNOWN.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Bytes of any kind but NUL, at which librdkafka cuts a name.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-zA-Z-]{0,8}".prop_map(String::into_bytes),
        2 => vec(1_u8.., 0..12),
        1 => Just(b"duplicate".to_vec()),
    ]
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    option::weighted(0.8, vec(any::<u8>(), 0..24))
}

fn unknown() -> impl Strategy<Value = List> {
    vec((name().prop_filter("known", |name| !is_known(name)), value()), 0..8)
}

fn headers() -> impl Strategy<Value = Headers> {
    unknown().prop_map(|list| list.into_iter().collect())
}

/// A span that came with a message, or was set by hand, or none.
fn creation() -> impl Strategy<Value = CreationContext> {
    let state = prop_oneof![Just(""), Just("a=1"), Just("a=1,b@c=2 3")];
    let span = (1_u128.., 1_u64.., 0_u8..4, state).prop_map(|(trace, span, flags, state)| {
        Context::new().with_remote_span_context(SpanContext::new(
            TraceId::from_bytes(trace.to_be_bytes()),
            SpanId::from_bytes(span.to_be_bytes()),
            TraceFlags::new(flags),
            true,
            state.parse().unwrap_or(TraceState::NONE),
        ))
    });
    prop_oneof![
        Just(CreationContext::none()),
        span.clone().prop_map(CreationContext::custom),
        span.prop_map(CreationContext::received),
    ]
}

#[derive(KafkaMessage, Clone, Debug, PartialEq)]
#[kafka(topic = "orders", event = "order.placed", version = 2)]
struct Everything {
    #[kafka(key)]
    key: Option<Vec<u8>>,
    #[kafka(header = "x-tenant")]
    tenant: String,
    #[kafka(header = "X-Attempt")]
    attempt: Option<i64>,
    #[kafka(header = "x-plan", baggage)]
    plan: Option<String>,
    #[kafka(header = "raw")]
    raw: Option<Option<Vec<u8>>>,
    #[kafka(header = "each")]
    each: Vec<Option<Vec<u8>>>,
    #[kafka(timestamp)]
    at: SystemTime,
    #[kafka(trace)]
    trace: CreationContext,
    #[kafka(headers)]
    rest: Headers,
    amount: i64,
    #[serde(rename = "Text", default, skip_serializing_if = "String::is_empty")]
    text: String,
    lines: Vec<Option<u8>>,
}

fn everything() -> impl Strategy<Value = Everything> {
    let named = (
        value(),
        any::<String>(),
        any::<Option<i64>>(),
        any::<Option<String>>(),
        option::of(value()),
        vec(value(), 0..4),
    );
    let ms = -10_000_000_000_000_i64..10_000_000_000_000;
    let body = (any::<i64>(), any::<String>(), vec(any::<Option<u8>>(), 0..4));
    (named, ms, creation(), headers(), body).prop_map(|(named, ms, trace, rest, body)| {
        let (key, tenant, attempt, plan, raw, each) = named;
        let (amount, text, lines) = body;
        let distance = Duration::from_millis(ms.unsigned_abs());
        let at = if ms < 0 { SystemTime::UNIX_EPOCH - distance } else { SystemTime::UNIX_EPOCH + distance };
        Everything { key, tenant, attempt, plan, raw, each, at, trace, rest, amount, text, lines }
    })
}

#[derive(KafkaMessage, Clone, Debug, PartialEq)]
#[kafka(topic = "blobs", codec = Raw)]
struct Blob {
    #[kafka(key)]
    key: Option<Vec<u8>>,
    #[kafka(headers)]
    rest: Headers,
    #[kafka(payload)]
    data: Option<Vec<u8>>,
}

/// Takes a message apart only to send it on.
#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders", codec = Raw)]
struct Forward {
    #[kafka(key)]
    key: Option<Vec<u8>>,
    #[kafka(header = "x-tenant")]
    tenant: Option<Option<Vec<u8>>>,
    #[kafka(trace)]
    trace: CreationContext,
    #[kafka(headers)]
    rest: Headers,
    #[kafka(payload)]
    data: Option<Vec<u8>>,
}

fn list(headers: &Headers) -> List {
    headers.iter().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect()
}

fn named<'l>(list: &'l List, name: &str) -> impl Iterator<Item = &'l (Vec<u8>, Option<Vec<u8>>)> {
    list.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// D-6, by way of librdkafka's headers, and of a record alone.
    #[test]
    fn what_was_written_is_read(message in everything()) {
        telemetry();
        let record = message.to_record().unwrap();
        prop_assert_eq!(record.creation().is_custom(), message.trace.is_custom());
        let wire = delivered(&record);
        prop_assert_eq!(&Everything::from_message(&wire).unwrap(), &message);
        prop_assert_eq!(&Everything::from_message(&record).unwrap(), &message);
        // What is sent on is what was sent.
        let again = delivered(&Everything::from_message(&wire).unwrap().to_record().unwrap());
        prop_assert_eq!(Headers::copy_of(&again), Headers::copy_of(&wire));
        prop_assert_eq!(again.value(), wire.value());
        prop_assert_eq!(again.key(), wire.key());
    }

    /// D-8: null, empty and absent.
    #[test]
    fn raw_values_and_keys_are_the_bytes(key in value(), data in value(), rest in headers()) {
        telemetry();
        let blob = Blob { key, rest, data };
        let record = blob.to_record().unwrap();
        prop_assert_eq!(record.key(), blob.key.as_deref());
        prop_assert_eq!(record.value().as_deref(), blob.data.as_deref());
        prop_assert_eq!(&Blob::from_message(&delivered(&record)).unwrap(), &blob);
    }

    /// D-8: a message that somebody else wrote, with trace headers good and bad, in any case and number.
    #[test]
    fn unknown_headers_go_through_in_bytes_and_order(
        list_in in vec(
            prop_oneof![
                3 => (name(), value()),
                1 => (
                    prop::sample::select(vec!["traceparent", "TraceParent", "tracestate", "BAGGAGE", "X-Tenant"])
                        .prop_map(|name| name.as_bytes().to_vec()),
                    prop_oneof![
                        value(),
                        "00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]".prop_map(|text| Some(text.into_bytes())),
                        "[a-z]=[a-z]".prop_map(|text| Some(text.into_bytes())),
                    ],
                ),
            ],
            0..10,
        ),
        data in value(),
    ) {
        telemetry();
        let headers: Headers = list_in.clone().into_iter().collect();
        let mut record = Record::to("orders").with_header("will-be", "replaced");
        *record.headers_mut() = headers;
        record.set_value(data.clone());
        let consumed = delivered(&record);
        let message = Forward::from_message(&consumed).unwrap();
        let ours = |name: &[u8]| ["traceparent", "tracestate", "baggage", "x-tenant"]
            .iter().any(|our| name.eq_ignore_ascii_case(our.as_bytes()));
        let unknown: List = list_in.iter().filter(|(name, _)| !ours(name)).cloned().collect();
        prop_assert_eq!(&list(&message.rest), &unknown);
        prop_assert_eq!(&message.data, &data);

        let produced = list(&Headers::copy_of(&delivered(&message.to_record().unwrap())));
        let others: List = produced.iter().filter(|(name, _)| !ours(name)).cloned().collect();
        prop_assert_eq!(&others, &unknown);
        for header in ["traceparent", "tracestate", "baggage", "x-tenant"] {
            prop_assert!(named(&produced, header).count() <= 1, "{header} in {produced:?}");
        }
        let valid = message.trace.context().is_some_and(|cx| cx.span().span_context().is_valid());
        prop_assert_eq!(named(&produced, "traceparent").count(), usize::from(valid));
        // The last one counts, null or not.
        let tenant = named(&list_in, "x-tenant").last().map(|(_, value)| value.clone());
        prop_assert_eq!(&message.tenant, &tenant);
        prop_assert_eq!(named(&produced, "x-tenant").next().map(|(_, value)| value.clone()), tenant);
    }

    /// A raw record is a copy, whatever it holds.
    #[test]
    fn a_copied_record_is_sent_on_as_it_was(list_in in unknown(), key in value(), data in value(), at in any::<Option<i64>>()) {
        telemetry();
        let mut record = Record::to("orders").with_headers(list_in.into_iter().collect()).with_timestamp_ms(at);
        record.set_key(key);
        record.set_value(data);
        let copy = Record::copy_of(&delivered(&record));
        prop_assert_eq!(copy.headers(), record.headers());
        prop_assert_eq!((copy.key(), copy.value()), (record.key(), record.value()));
        prop_assert_eq!(copy.timestamp_ms(), record.timestamp_ms());
        prop_assert_eq!(copy.offset(), Some(17));
    }
}
