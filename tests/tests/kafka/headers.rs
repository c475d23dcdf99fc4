//! Header bytes of any kind: nothing panics, no message is lost, and what can be read is read.
#![allow(unsafe_code)] // a name that is not UTF-8 can only be written by librdkafka's own function

use std::ffi::CString;
use std::ptr;

use opentelemetry::trace::{FutureExt as _, TraceContextExt as _};
use proptest::prelude::*;
use rdkafka::bindings::{rd_kafka_header_add, rd_kafka_headers_t};
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage, Timestamp};
use rdkafka::producer::{FutureProducer, FutureRecord};
use throughline::kafka::{CapturedHeader, ProcessOptions, process, process_sync};
use throughline::propagation::{HeaderEdit as _, HeaderView, Refusal, refused};
use throughline::{extract_trace_context, inject_context};

use super::support::{Broker, TOPIC, named, root, soon, spans, text};

type List = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Headers with names of any bytes but NUL, which ends a name.
fn hostile(list: &[(Vec<u8>, Option<Vec<u8>>)]) -> OwnedHeaders {
    let headers = OwnedHeaders::new();
    for (name, value) in list {
        let name = CString::new(name.clone()).unwrap();
        let (value, bytes) = value.as_ref().map_or((ptr::null(), 0), |value| (value.as_ptr(), value.len()));
        let native = ptr::from_ref(headers.as_borrowed()).cast::<rd_kafka_headers_t>().cast_mut();
        // SAFETY: the list is owned here; librdkafka copies name and value.
        unsafe {
            let name_bytes = isize::try_from(name.as_bytes().len()).unwrap();
            rd_kafka_header_add(
                native,
                name.as_ptr(),
                name_bytes,
                value.cast(),
                isize::try_from(bytes).unwrap(),
            );
        }
    }
    headers
}

fn read<H: HeaderView>(headers: &H) -> List {
    let mut list = List::new();
    headers.walk_back(&mut |name, value| {
        list.push((name.to_vec(), value.map(<[u8]>::to_vec)));
        std::ops::ControlFlow::Continue(())
    });
    list.reverse();
    list
}

fn message(headers: OwnedHeaders) -> OwnedMessage {
    OwnedMessage::new(None, None, TOPIC.to_owned(), Timestamp::now(), 0, 0, Some(headers))
}

static CAPTURED: [CapturedHeader; 2] =
    [CapturedHeader::new("x", "app.x"), CapturedHeader::new("tracestate", "app.state")];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_header_bytes_are_processed(
        list in proptest::collection::vec(
            (
                prop_oneof![
                    "(?i)traceparent|tracestate|baggage|x".prop_map(String::into_bytes),
                    proptest::collection::vec(1_u8.., 0..20),
                ],
                proptest::option::of(prop_oneof![
                    any::<Vec<u8>>(),
                    "00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]".prop_map(String::into_bytes),
                ]),
            ),
            0..10,
        ),
    ) {
        let (cx, _) = root();
        let mut headers = hostile(&list);
        prop_assert_eq!(read(&headers), list.clone());
        let handled = process_sync(&message(headers.clone()), ProcessOptions::new().headers(&CAPTURED), || Ok::<_, String>(1));
        prop_assert_eq!(handled, Ok(1));

        inject_context(&cx, &mut headers);
        let ours = |name: &[u8]| ["traceparent", "tracestate", "baggage"].iter().any(|our| name.eq_ignore_ascii_case(our.as_bytes()));
        let others: List = list.into_iter().filter(|(name, _)| !ours(name)).collect();
        let written = read(&headers);
        prop_assert_eq!(&written[..others.len()], &others[..]);
        prop_assert_eq!(written.len(), others.len() + 1);
        let back = extract_trace_context(&headers);
        prop_assert_eq!(back.span().span_context().span_id(), cx.span().span_context().span_id());
    }
}

/// `rdkafka`'s own readers panic on this message.
#[tokio::test]
async fn a_name_that_is_not_utf8_crosses_the_broker_and_is_processed() {
    let broker = Broker::start();
    let producer: FutureProducer = broker.config().create().unwrap();
    let (cx, trace) = root();
    let mut headers = hostile(&[
        (vec![0xff, 0xfe], Some(b"\xff".to_vec())),
        (vec![], None),
        (vec![b'n'; 32 * 1024], Some(vec![])),
        (b"x".to_vec(), Some(b"a\r\n\x1b[31m".to_vec())),
    ]);
    inject_context(&cx, &mut headers);
    let record = FutureRecord::<str, str>::to(TOPIC).payload("{}").headers(headers);
    producer.send(record, std::time::Duration::from_secs(5)).await.unwrap();
    let consumer = broker.consumer();
    let message = soon(consumer.recv()).await.unwrap();
    let options = ProcessOptions::new().headers(&CAPTURED);
    process(&message, options, async { Ok::<_, String>(()) }).await.unwrap();
    let spans = spans(trace);
    let process = named(&spans, "process orders");
    assert_eq!(process.parent_span_id, cx.span().span_context().span_id());
    assert_eq!(text(process, "app.x").as_deref(), Some("a\r\n\x1b[31m"));
}

#[tokio::test]
async fn a_malformed_traceparent_starts_a_new_trace_and_keeps_the_message() {
    let broker = Broker::start();
    let producer: FutureProducer = broker.config().create().unwrap();
    let before = refused();
    let values: [Option<&[u8]>; 5] =
        [None, Some(b""), Some(b"garbage"), Some(&[0xff; 55]), Some(&[b'0'; 100_000])];
    for value in values {
        let headers = OwnedHeaders::new().insert(Header { key: "traceparent", value });
        let record = FutureRecord::<str, [u8]>::to(TOPIC).payload(b"{}").headers(headers);
        producer.send(record, std::time::Duration::from_secs(5)).await.unwrap();
    }
    let consumer = broker.consumer();
    for _ in values {
        let (cx, trace) = root();
        let message = soon(consumer.recv()).await.unwrap();
        let handled = process(&message, ProcessOptions::new(), async { Ok::<_, String>(1) }).with_context(cx);
        assert_eq!(handled.await, Ok(1));
        let spans = spans(trace);
        assert!(named(&spans, "process orders").links.links.is_empty());
    }
    let after = refused();
    for reason in [Refusal::Empty, Refusal::Traceparent, Refusal::TooLarge] {
        assert!(after.count(reason) > before.count(reason), "{reason:?}");
    }
}

/// F-M3: a flood of headers costs bounded time, and the nearest writer is still found.
/// kafka.md T-10, T-11.
#[test]
fn a_flood_of_headers_is_read_from_the_end() {
    let (cx, _) = root();
    let mut headers = OwnedHeaders::new();
    for _ in 0..10_000 {
        headers = headers.insert(Header { key: "traceparent", value: Some("garbage") });
    }
    let late = extract_trace_context(&headers);
    assert!(!late.span().span_context().is_valid());
    headers.append("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert!(extract_trace_context(&headers).span().span_context().is_valid());
    inject_context(&cx, &mut headers);
    assert_eq!(read(&headers).len(), 1);
}

#[test]
fn optional_headers_and_records_are_carriers() {
    let (cx, trace) = root();
    let mut none: Option<OwnedHeaders> = None;
    assert!(!extract_trace_context(&none).span().span_context().is_valid());
    inject_context(&cx, &mut none);
    assert_eq!(extract_trace_context(&none).span().span_context().trace_id(), trace);
    let mut record = FutureRecord::<str, str>::to(TOPIC);
    inject_context(&cx, &mut record);
    assert_eq!(extract_trace_context(&record).span().span_context().trace_id(), trace);
    let mut record = rdkafka::producer::BaseRecord::<str, str>::to(TOPIC);
    inject_context(&cx, &mut record);
    assert_eq!(extract_trace_context(&record).span().span_context().trace_id(), trace);
    let owned = record.headers.unwrap();
    assert_eq!(extract_trace_context(owned.as_borrowed()).span().span_context().trace_id(), trace);
}
