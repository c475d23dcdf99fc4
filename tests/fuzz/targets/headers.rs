//! Header lists of any bytes, in each carrier: they agree, a message with them is processed, and what is not ours stays.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use rdkafka::message::{OwnedMessage, Timestamp};
use throughline::kafka::{CapturedHeader, Headers, ProcessOptions, Record, process_sync};
use throughline::propagation::{Duplicates, HeaderView, codec};
use throughline::{extract_trace_context, inject_context};
use throughline_fuzz::{Header, header, parts, telemetry};

static CAPTURED: [CapturedHeader; 3] = [
    CapturedHeader::new("x", "app.x"),
    CapturedHeader::new("traceparent", "app.parent"),
    CapturedHeader::new("", "app.empty"),
];

fn read<H: HeaderView + ?Sized>(headers: &H) -> Vec<Header> {
    let mut list = Vec::new();
    headers.walk_back(&mut |name, value| {
        list.push((name.to_vec(), value.map(<[u8]>::to_vec)));
        ControlFlow::Continue(())
    });
    list.reverse();
    list
}

fn is_ours(name: &[u8]) -> bool {
    ["traceparent", "tracestate", "baggage"].iter().any(|our| name.eq_ignore_ascii_case(our.as_bytes()))
}

fn foreign(list: &[Header]) -> Vec<Header> {
    list.iter().filter(|(name, _)| !is_ours(name)).cloned().collect()
}

fn contexts<H: HeaderView>(headers: &H) -> [(SpanContext, usize); 2] {
    [Duplicates::Last, Duplicates::Reject].map(|duplicates| {
        let cx = codec::extract(&Context::new(), headers, duplicates);
        (cx.span().span_context().clone(), cx.baggage().len())
    })
}

fuzz_target!(|input: &[u8]| {
    telemetry();
    let list: Vec<Header> = parts(input).map(header).collect();
    let mut ours = Headers::new();
    for (name, value) in &list {
        match value {
            Some(value) => ours.push(name, value),
            None => ours.push_null(name),
        }
    }
    assert_eq!(read(&ours), list);
    let mut native = ours.to_owned_headers();
    assert_eq!(read(&native), list);
    let seen = contexts(&ours);
    assert_eq!(contexts(&native), seen);

    // A span, its captured headers and whatever the conventions take from a message.
    let payload = list.first().and_then(|(_, value)| value.clone());
    let key = list.last().map(|(name, _)| name.clone());
    let message = OwnedMessage::new(
        payload.clone(),
        key.clone(),
        "orders".to_owned(),
        Timestamp::CreateTime(i64::try_from(input.len()).unwrap_or(0) - 5),
        0,
        7,
        Some(native.clone()),
    );
    let options = || {
        ProcessOptions::new()
            .headers(&CAPTURED)
            .message_id("id")
            .conversation_id("x")
            .sizes(true)
            .parent_max_age(None)
    };
    let inside = process_sync(&message, options(), || Ok::<_, String>(throughline::trace_id()));
    if seen[0].0.is_valid() {
        let sampled = seen[0].0.is_sampled();
        let continued = inside.expect("Ok").map(|id| id.to_string());
        assert!(!sampled || continued == Some(seen[0].0.trace_id().to_string()), "{continued:?} {seen:?}");
    }

    // A copy keeps what is not ours, and the trace beside it; sent on, it carries both.
    let record = Record::copy_of(&message);
    assert_eq!(read(record.headers()), foreign(&list));
    assert_eq!((record.key(), record.value()), (key.as_deref(), &payload));
    let sent = record.to_future_record().headers;
    let sent = sent.as_ref().map(read).unwrap_or_default();
    assert_eq!(foreign(&sent), foreign(&list));
    assert!(sent.iter().filter(|(name, _)| name == b"traceparent").count() <= 1);
    assert!(sent.iter().all(|(name, _)| !is_ours(name) || name.iter().all(u8::is_ascii_lowercase)));

    // Ten hops leave one traceparent.
    let remote = SpanContext::new(
        opentelemetry::TraceId::from(7_u128),
        opentelemetry::SpanId::from(7_u64),
        opentelemetry::TraceFlags::SAMPLED,
        true,
        opentelemetry::trace::TraceState::NONE,
    );
    let cx = Context::new().with_remote_span_context(remote.clone());
    for _ in 0..2 {
        inject_context(&cx, &mut native);
        inject_context(&cx, &mut ours);
    }
    for written in [read(&native), read(&ours)] {
        assert_eq!(foreign(&written), foreign(&list));
        assert_eq!(written.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"traceparent")).count(), 1);
    }
    assert_eq!(extract_trace_context(&native).span().span_context(), &remote);
});
