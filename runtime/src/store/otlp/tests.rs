use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue as SdkKeyValue;
use opentelemetry::trace::Status as SdkStatus;
use opentelemetry_sdk::Resource as SdkResource;
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value as Json, json};

use super::common::any_value::Value as Any;
use super::common::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use super::trace::span::{Event, Link};
use super::trace::{ResourceSpans, ScopeSpans, Span, Status};
use super::*;
use crate::store::{Converter, Lift, StoredSpan};
use crate::testing::samples;

fn of(value: Any) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(of(value)), key_strindex: 0 }
}

fn text(text: &str) -> Any {
    Any::StringValue(text.to_owned())
}

fn span() -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "work".to_owned(),
        kind: 1,
        start_time_unix_nano: 1_700_000_000_000_000_001,
        end_time_unix_nano: 1_700_000_000_000_000_003,
        ..Span::default()
    }
}

fn request_of(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    }
}

fn received(spans: Vec<Span>) -> Received {
    rows(request_of(spans), &Lift::default())
}

fn stored(change: impl FnOnce(&mut Span)) -> StoredSpan {
    let mut span = span();
    change(&mut span);
    received(vec![span]).spans.remove(0)
}

/// Requests of which nothing is lost: attributes in order and once each, no U+0000, one group a resource and scope.
mod whole {
    use std::collections::BTreeMap;

    use super::*;

    fn name() -> impl Strategy<Value = String> {
        // Far below the length at which names are cut.
        "[^\0]{0,12}"
    }

    fn value() -> impl Strategy<Value = AnyValue> {
        let double = prop_oneof![
            any::<f64>().prop_map(|number| if number.is_nan() { f64::NAN } else { number }),
            Just(f64::NAN),
            Just(-0.0)
        ];
        let leaf = prop_oneof![
            Just(AnyValue::default()),
            any::<bool>().prop_map(|value| of(Any::BoolValue(value))),
            any::<i64>().prop_map(|value| of(Any::IntValue(value))),
            double.prop_map(|value| of(Any::DoubleValue(value))),
            name().prop_map(|value| of(Any::StringValue(value))),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(|value| of(Any::BytesValue(value))),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4)
                    .prop_map(|values| of(Any::ArrayValue(ArrayValue { values }))),
                map(inner).prop_map(|values| of(Any::KvlistValue(KeyValueList { values }))),
            ]
        })
    }

    fn map(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = Vec<KeyValue>> {
        proptest::collection::btree_map(name(), value, 0..4).prop_map(|pairs: BTreeMap<_, _>| {
            pairs
                .into_iter()
                .map(|(key, value)| KeyValue { key, value: Some(value), key_strindex: 0 })
                .collect()
        })
    }

    fn id<const N: usize>() -> impl Strategy<Value = Vec<u8>> {
        proptest::array::uniform(any::<u8>())
            .prop_filter("zero is no id", |id: &[u8; N]| id.iter().any(|byte| *byte != 0))
            .prop_map(|id| id.to_vec())
    }

    fn time() -> impl Strategy<Value = u64> {
        0..=i64::MAX.cast_unsigned()
    }

    fn number() -> impl Strategy<Value = u32> {
        0..=i32::MAX.cast_unsigned()
    }

    fn event() -> impl Strategy<Value = Event> {
        (time(), name(), map(value()), number()).prop_map(|(time_unix_nano, name, attributes, dropped)| {
            Event { time_unix_nano, name, attributes, dropped_attributes_count: dropped }
        })
    }

    fn link() -> impl Strategy<Value = Link> {
        (id::<16>(), id::<8>(), name(), map(value()), number(), any::<u32>()).prop_map(
            |(trace_id, span_id, trace_state, attributes, dropped, flags)| Link {
                trace_id,
                span_id,
                trace_state,
                attributes,
                dropped_attributes_count: dropped,
                flags,
            },
        )
    }

    fn status() -> impl Strategy<Value = Option<Status>> {
        prop_oneof![
            Just(None),
            Just(Some(Status { code: 1, message: String::new() })),
            name().prop_map(|message| Some(Status { code: 2, message })),
        ]
    }

    fn span() -> impl Strategy<Value = Span> {
        let ids = (id::<16>(), id::<8>(), prop_oneof![Just(Vec::new()), id::<8>()]);
        let times = (time(), time()).prop_map(|(a, b)| (a.min(b), a.max(b)));
        let counts = (number(), number(), number(), any::<u32>());
        let lists =
            (map(value()), proptest::collection::vec(event(), 0..3), proptest::collection::vec(link(), 0..3));
        (ids, times, counts, lists, (name(), name(), 0..6_i32, status())).prop_map(
            |(
                (trace_id, span_id, parent_span_id),
                (start_time_unix_nano, end_time_unix_nano),
                (dropped_attributes_count, dropped_events_count, dropped_links_count, flags),
                (attributes, events, links),
                (name, trace_state, kind, status),
            )| Span {
                trace_id,
                span_id,
                trace_state,
                parent_span_id,
                flags,
                name,
                kind,
                start_time_unix_nano,
                end_time_unix_nano,
                attributes,
                dropped_attributes_count,
                events,
                dropped_events_count,
                links,
                dropped_links_count,
                status,
            },
        )
    }

    pub(super) fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
        let scope = (map(value()), name(), name()).prop_map(|(attributes, version, schema_url)| {
            let scope = InstrumentationScope { attributes, version, ..InstrumentationScope::default() };
            ScopeSpans { scope: Some(scope), schema_url, ..ScopeSpans::default() }
        });
        let scope = (scope, proptest::collection::vec(span(), 1..3))
            .prop_map(|(scope, spans)| ScopeSpans { spans, ..scope });
        let group = (map(value()), proptest::collection::vec(scope, 1..3));
        proptest::collection::vec(group, 0..3).prop_map(|groups| {
            let group =
                |(number, (mut attributes, mut scope_spans)): (usize, (Vec<KeyValue>, Vec<ScopeSpans>))| {
                    // Different ones, or they would be one group.
                    attributes.retain(|attribute| attribute.key != "number");
                    attributes.push(pair("number", Any::IntValue(number.try_into().unwrap())));
                    attributes.sort_by(|a, b| a.key.cmp(&b.key));
                    for (number, scope) in scope_spans.iter_mut().enumerate() {
                        scope.scope.as_mut().unwrap().name = format!("scope {number}");
                    }
                    let resource = opentelemetry_proto::tonic::resource::v1::Resource {
                        attributes,
                        ..Default::default()
                    };
                    ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }
                };
            ExportTraceServiceRequest { resource_spans: groups.into_iter().enumerate().map(group).collect() }
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    // By their bytes, because NaN is not equal to itself.
    #[test]
    fn whole_request_survives_rows_protobuf_and_json(original in whole::request()) {
        let bytes = original.encode_to_vec();
        prop_assert_eq!(&from_protobuf(&bytes).unwrap().encode_to_vec(), &bytes);

        let text = serde_json::to_vec(&to_json(&original)).unwrap();
        let mut read = from_json(&text).unwrap();
        for span in read.resource_spans.iter_mut().flat_map(|group| &mut group.scope_spans).flat_map(|group| &mut group.spans) {
            // No status and one that says nothing are one in JSON.
            span.status.take_if(|status| *status == Status::default());
        }
        prop_assert_eq!(&read.encode_to_vec(), &bytes);

        let received = rows(original, &Lift::default());
        prop_assert_eq!(received.rejected.count(), 0);
        prop_assert_eq!(&request(&received.spans).encode_to_vec(), &bytes);
    }

    #[test]
    fn arbitrary_bytes_are_no_panic(body: Vec<u8>) {
        let _ = from_protobuf(&body);
        let _ = from_json(&body);
    }

    #[test]
    fn damaged_request_is_no_panic_and_its_rows_are_storable(
        original in whole::request(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = original.encode_to_vec();
        if !bytes.is_empty() {
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        if let Ok(request) = from_protobuf(&bytes) {
            for span in rows(request, &Lift::default()).spans {
                prop_assert!(span.duration_ns >= 0 && span.start_ns >= 0);
                for json in [&span.attributes_json, &span.events_json, &span.links_json, &span.resource.resource_json] {
                    prop_assert!(serde_json::from_str::<Json>(json).is_ok(), "{json}");
                    prop_assert!(!json.contains('\0'));
                }
            }
        }
    }
}

#[test]
fn span_that_came_over_otlp_is_the_row_that_the_exporter_writes() {
    let mut data = samples::span(7, 8, 9, "plan");
    data.attributes = vec![
        SdkKeyValue::new("task.id", 17),
        SdkKeyValue::new("ratio", 2.0),
        SdkKeyValue::new("error.type", "timeout"),
        SdkKeyValue::new("k\0", "v\0"),
    ];
    data.status = SdkStatus::error("it failed");
    let resource = SdkResource::builder_empty()
        .with_attributes([SdkKeyValue::new("service.name", "shop"), SdkKeyValue::new("host.name", "a")])
        .build();
    let expected = Converter::new(&resource, Lift::default()).convert(&data);
    let nanoseconds = |time: SystemTime| -> u64 {
        time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos().try_into().unwrap()
    };
    let sent = Span {
        trace_id: data.span_context.trace_id().to_bytes().to_vec(),
        span_id: data.span_context.span_id().to_bytes().to_vec(),
        parent_span_id: data.parent_span_id.to_bytes().to_vec(),
        flags: expected.flags.cast_unsigned(),
        name: "plan".to_owned(),
        kind: expected.kind.into(),
        start_time_unix_nano: nanoseconds(data.start_time),
        end_time_unix_nano: nanoseconds(data.end_time),
        attributes: vec![
            pair("task.id", Any::IntValue(17)),
            pair("ratio", Any::DoubleValue(2.0)),
            pair("error.type", text("timeout")),
            pair("k\0", text("v\0")),
        ],
        status: Some(Status { code: 2, message: "it failed".to_owned() }),
        ..Span::default()
    };
    let mut request = request_of(vec![sent]);
    request.resource_spans[0].resource = Some(opentelemetry_proto::tonic::resource::v1::Resource {
        attributes: vec![pair("service.name", text("shop")), pair("host.name", text("a"))],
        ..Default::default()
    });
    let scope = &data.instrumentation_scope;
    request.resource_spans[0].scope_spans[0].scope = Some(InstrumentationScope {
        name: scope.name().to_owned(),
        version: scope.version().unwrap_or_default().to_owned(),
        ..InstrumentationScope::default()
    });
    assert_eq!(rows(request, &Lift::default()).spans, [expected]);
}

#[test]
fn spans_that_are_none_are_counted_by_reason() {
    let wrong: [fn(&mut Span); 8] = [
        |span| span.trace_id = vec![1; 15],
        |span| span.trace_id = vec![0; 16],
        |span| span.trace_id.clear(),
        |span| span.span_id = vec![1; 9],
        |span| span.span_id = vec![0; 8],
        |span| span.parent_span_id = vec![1; 16],
        |span| span.start_time_unix_nano = u64::MAX,
        |span| span.end_time_unix_nano = u64::MAX,
    ];
    let mut spans = vec![span()];
    for change in wrong {
        let mut span = span();
        change(&mut span);
        spans.push(span);
    }
    let received = received(spans);
    assert_eq!((received.spans.len(), received.rejected.count()), (1, 8));
    assert_eq!(
        received.rejected.to_string(),
        "3 with a trace id that is not 16 bytes, or all zero; 2 with a span id that is not 8 bytes, or all zero; \
         1 with a parent span id that is not 8 bytes; 2 with a time after the year 2262"
    );
}

#[test]
fn parent_of_zeros_is_no_parent() {
    assert!(stored(|span| span.parent_span_id = vec![0; 8]).is_root());
}

#[test]
fn end_before_the_start_lasts_no_time() {
    assert_eq!(stored(|span| span.end_time_unix_nano = 1).duration_ns, 0);
}

#[test]
fn unknown_numbers_of_enums_are_unspecified() {
    let span = stored(|span| {
        span.kind = 77;
        span.status = Some(Status { code: -3, message: "x".to_owned() });
    });
    assert_eq!((span.kind, span.status, span.error_message), (0, 0, None));
}

#[test]
fn link_to_no_id_is_left_out() {
    let good = Link { trace_id: vec![3; 16], span_id: vec![4; 8], ..Link::default() };
    let span = stored(|span| span.links = vec![Link::default(), good.clone(), Link::default()]);
    assert_eq!(request([&span]).resource_spans[0].scope_spans[0].spans[0].links, [good]);
}

#[test]
fn broken_characters_cost_themselves_alone() {
    // Field 5, the name, cut within a character, and a value with Latin-1 in it.
    let mut request = request_of(vec![span()]);
    let sent = &mut request.resource_spans[0].scope_spans[0].spans[0];
    sent.name = "na\u{ef}X".to_owned();
    sent.attributes = vec![pair("city", text("K\u{f6}ln")), pair("raw", Any::BytesValue(vec![0xff, 0xc3]))];
    let mut body = request.encode_to_vec();
    let at = |body: &[u8], needle: &[u8]| {
        body.windows(needle.len()).position(|window| window == needle).expect("it is in there")
    };
    let name = at(&body, "\u{ef}X".as_bytes());
    body[name..name + 3].copy_from_slice(&[b'i', b'v', 0xc3]);
    let city = at(&body, "\u{f6}ln".as_bytes());
    body[city] = 0xf6;
    assert!(ExportTraceServiceRequest::decode(body.as_slice()).is_err(), "prost alone refuses all of it");
    let read = from_protobuf(&body).unwrap();
    let span = &read.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.name, "naiv?");
    assert_eq!(span.attributes[0], pair("city", text("K??ln")));
    assert_eq!(span.attributes[1], pair("raw", Any::BytesValue(vec![0xff, 0xc3])), "bytes are no text");

    let text = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"K@ln"}]}]}]}"#
        .map(|byte| if byte == b'@' { 0xf6 } else { byte });
    let read = from_json(&text).unwrap();
    assert_eq!(read.resource_spans[0].scope_spans[0].spans[0].name, "K\u{fffd}ln");
}

#[test]
fn megabyte_attribute_is_kept_and_makes_no_id() {
    let long = "x".repeat(1 << 20);
    let span = stored(|span| span.attributes = vec![pair("task_id", text(&long))]);
    assert_eq!(span.attributes()["task_id"], *long);
    assert_eq!(span.ids[0], None);
}

/// A request whose only attribute is so many arrays within one another, written without recursion.
fn nested(depth: usize) -> Vec<u8> {
    let wrap = |inner: Vec<u8>, tag: u8| {
        let mut message = vec![tag << 3 | 2];
        prost::encode_length_delimiter(inner.len(), &mut message).unwrap();
        message.extend(inner);
        message
    };
    // A value, in an array, in a value, and so on; then the fields from `KeyValue` to the request.
    let value = (0..depth).fold(of(Any::BoolValue(true)).encode_to_vec(), |inner, _| wrap(wrap(inner, 1), 5));
    [2, 1, 1, 1].into_iter().fold(value, wrap)
}

#[test]
fn nesting_is_bounded() {
    let read = from_protobuf(&nested(40)).unwrap();
    assert_eq!(read.resource_spans[0].resource.as_ref().unwrap().attributes.len(), 1);
    assert!(matches!(from_protobuf(&nested(60)), Err(DecodeError::Malformed { .. })));
    assert!(matches!(from_protobuf(&nested(3_000)), Err(DecodeError::Malformed { .. })));
    for (open, times) in [("{\"arrayValue\":{\"values\":[", 100_000), ("[", 100_000), ("{\"a\":", 100_000)] {
        let value = open.repeat(times);
        for body in [
            format!(
                "{{\"resourceSpans\":[{{\"resource\":{{\"attributes\":[{{\"key\":\"k\",\"value\":{value}"
            ),
            format!("{{\"unknown\":{value}"),
        ] {
            assert!(matches!(from_json(body.as_bytes()), Err(DecodeError::Malformed { .. })), "{open}");
        }
    }
}

#[test]
fn few_bytes_do_not_ask_for_much_memory() {
    // Two bytes a span: 600,000 of them take 1.2 MB on the wire and some 180 MB as messages.
    let spans = vec![Span::default(); 600_000];
    let body = request_of(spans).encode_to_vec();
    assert!(body.len() < 1_300_000);
    assert_eq!(from_protobuf(&body), Err(DecodeError::TooMany));
    // serde takes an array for a structure, too.
    for message in ["{}", "[]"] {
        let body = format!("{{\"resourceSpans\":[{}]}}", vec![message; 600_000].join(","));
        assert_eq!(from_json(body.as_bytes()), Err(DecodeError::TooMany));
    }
}

#[test]
fn many_attributes_of_one_name_are_one_in_reasonable_time() {
    let span = stored(|span| {
        span.attributes = (0..200_000).map(|number| pair("same", Any::IntValue(number))).collect();
    });
    assert_eq!(span.attributes_json, "{\"same\":199999}");
}

// store.md, section 8: names in lower camel case, ids in hex, enums as numbers, 64-bit numbers as strings.
#[test]
fn json_is_written_as_otlp_has_it() {
    let row = stored(|span| {
        span.parent_span_id = vec![0xab; 8];
        span.attributes = vec![
            pair("big", Any::IntValue(i64::MAX)),
            pair("bytes", Any::BytesValue(vec![1, 2, 255])),
            pair("nan", Any::DoubleValue(f64::NAN)),
            pair("none", Any::ArrayValue(ArrayValue::default())),
        ];
        span.events = vec![Event { time_unix_nano: 5, name: "e".to_owned(), ..Event::default() }];
        span.status = Some(Status { code: 2, message: "no".to_owned() });
    });
    assert_eq!(
        to_json(&request([&row])),
        json!({"resourceSpans": [{
            "resource": {},
            "scopeSpans": [{
                "scope": {},
                "spans": [{
                    "traceId": "01010101010101010101010101010101",
                    "spanId": "0202020202020202",
                    "parentSpanId": "abababababababab",
                    "name": "work",
                    "kind": 1,
                    "startTimeUnixNano": "1700000000000000001",
                    "endTimeUnixNano": "1700000000000000003",
                    "attributes": [
                        {"key": "big", "value": {"intValue": "9223372036854775807"}},
                        {"key": "bytes", "value": {"bytesValue": "AQL/"}},
                        {"key": "nan", "value": {"doubleValue": "NaN"}},
                        {"key": "none", "value": {"arrayValue": {"values": []}}},
                    ],
                    "events": [{"timeUnixNano": "5", "name": "e"}],
                    "status": {"code": 2, "message": "no"},
                }],
            }],
        }]})
    );
    assert_eq!(to_json(&request([])), json!({"resourceSpans": []}));
}

fn read_json(span: &Json) -> Result<Span, DecodeError> {
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).to_string();
    from_json(body.as_bytes()).map(|mut request| request.resource_spans[0].scope_spans[0].spans.remove(0))
}

#[test]
fn json_may_hold_what_we_do_not_know() {
    let span = read_json(&json!({
        "traceId": "0102030405060708090A0B0C0D0E0F10",
        "new": {"deep": [1, {"x": null}]},
        "name": "n",
        "events": null,
        "status": {"code": 1, "newer": true},
        "attributes": [
            {"key": "a", "value": {"newValue": {"x": [1]}, "stringValue": "s"}, "extra": 1},
            {"key": "b", "value": {"newValue": 1}},
            {"key": "c", "value": null},
            {"key": "d"},
        ],
    }))
    .unwrap();
    assert_eq!(span.trace_id, (1..=16).collect::<Vec<u8>>());
    assert_eq!(span.status.unwrap().code, 1);
    let values: Vec<_> = span.attributes.into_iter().map(|pair| pair.value.unwrap().value).collect();
    assert_eq!(values, [Some(text("s")), None, None, None]);
}

#[test]
fn json_may_be_written_as_protobuf_does() {
    let span = read_json(&json!({
        "kind": "SPAN_KIND_SERVER",
        "startTimeUnixNano": 1_700_000_000_000_000_001_u64,
        "endTimeUnixNano": "1700000000000000003",
        "droppedEventsCount": "7",
        "status": {"code": "STATUS_CODE_ERROR"},
        "attributes": [
            {"key": "a", "value": {"intValue": -5}},
            {"key": "b", "value": {"doubleValue": "-Infinity"}},
            {"key": "c", "value": {"doubleValue": 3}},
            {"key": "d", "value": {"arrayValue": {}}},
            {"key": "e", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": false}}]}}},
            {"key": "f", "value": {"bytesValue": "_-8="}},
        ],
    }))
    .unwrap();
    assert_eq!((span.kind, span.status.unwrap().code, span.dropped_events_count), (2, 2, 7));
    assert_eq!(span.start_time_unix_nano, 1_700_000_000_000_000_001);
    assert_eq!(span.end_time_unix_nano, 1_700_000_000_000_000_003);
    let values: Vec<_> = span.attributes.into_iter().map(|pair| pair.value.unwrap().value.unwrap()).collect();
    assert_eq!(
        values,
        [
            Any::IntValue(-5),
            Any::DoubleValue(f64::NEG_INFINITY),
            Any::DoubleValue(3.0),
            Any::ArrayValue(ArrayValue::default()),
            Any::KvlistValue(KeyValueList { values: vec![pair("k", Any::BoolValue(false))] }),
            Any::BytesValue(vec![0xff, 0xef]),
        ]
    );
}

#[test]
fn json_that_is_wrong_is_refused_with_the_place() {
    for (span, told) in [
        (json!({"traceId": "AQIDBAUGBwgJCgsMDQ4PEA=="}), "base64 is not read"),
        (json!({"traceId": "abc"}), "not in hex"),
        (json!({"traceId": "+1+2"}), "not in hex"),
        (json!({"flags": -1}), "whole number in range"),
        (json!({"startTimeUnixNano": "yesterday"}), "whole number in range"),
        (json!({"attributes": [{"key": "k", "value": "bare"}]}), "stringValue"),
        (json!({"attributes": [{"key": "k", "value": {"bytesValue": "!"}}]}), "not in base64"),
        (json!({"name": 5}), "expected a string"),
    ] {
        let error = read_json(&span).unwrap_err().to_string();
        assert!(error.contains(told) && error.contains("line 1"), "{error}");
    }
    for body in ["", "[]", "{\"resourceSpans\":{}}", "{\"resourceSpans\":[", "null x"] {
        assert!(matches!(from_json(body.as_bytes()), Err(DecodeError::Malformed { .. })), "{body}");
    }
}
