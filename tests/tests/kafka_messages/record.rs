//! Headers and records by themselves.

use std::time::{Duration, SystemTime};

use opentelemetry::baggage::{BaggageExt as _, KeyValueMetadata};
use opentelemetry::trace::TraceContextExt as _;
use throughline::TraceContext as _;
use throughline::kafka::{ConsumedMessage as _, CreationContext, Headers, Record};
use throughline::propagation::{HeaderEdit as _, HeaderView};

use super::support::{delivered, message, remote, shown, telemetry};

#[test]
fn headers_keep_order_duplicates_null_and_bytes() {
    let mut headers = Headers::new().with("a", "1").with([0xff, 0], [0xfe]).with("A", "").with("", "x");
    headers.push_null("a");
    assert_eq!(shown(&headers), ["a=1", "\\xff\\x00=\\xfe", "A=", "=x", "a=-"]);
    assert_eq!(format!("{headers:?}"), r#"[a: "1", \xff\x00: "\xfe", A: "", : "x", a: null]"#);
    assert_eq!((headers.len(), headers.iter().len(), headers.is_empty()), (5, 5, false));
    assert_eq!(headers.get("a"), Some(None));
    assert_eq!(headers.get("b"), None);
    assert_eq!(headers.get(""), Some(Some(&b"x"[..])));
    assert_eq!(headers.get_all("a").collect::<Vec<_>>(), [Some(&b"1"[..]), Some(b""), None]);
    assert_eq!(headers.iter().next_back(), Some((&b"a"[..], None)));
    let copy: Headers = headers.iter().collect();
    assert_eq!(copy, headers);
    assert_eq!(Headers::copy_of(&headers), headers);
    assert_eq!(headers.remove_all("A"), 3);
    assert_eq!(shown(&headers), ["\\xff\\x00=\\xfe", "=x"]);
    assert_ne!(copy, headers);
    headers.append("traceparent", "t");
    headers.remove(&["TRACEPARENT", ""]);
    assert_eq!(shown(&headers), ["\\xff\\x00=\\xfe"]);
}

/// What librdkafka reads of what was written; it cuts a name at a NUL (kafka.md R-2).
#[test]
fn headers_go_through_librdkafka_and_back() {
    let mut headers =
        Headers::new().with("a", "1").with([0xff, 0xfe], [0, 1]).with("", "").with("a", [b'x'; 70_000]);
    headers.push_null("n");
    assert_eq!(Headers::copy_of(&headers.to_owned_headers()), headers);
    assert_eq!(shown(&Headers::copy_of(&Headers::new().with("a\0b", "1").to_owned_headers())), ["a=1"]);
}

#[test]
fn headers_and_creation_contexts_can_be_stored() {
    let mut headers = Headers::new().with("a", "1").with([0xff], [0xfe, 0]);
    headers.push_null("n");
    let json = serde_json::to_string(&headers).unwrap();
    assert_eq!(json, r#"[["a","1"],[[255],[254,0]],["n",null]]"#);
    assert_eq!(serde_json::from_str::<Headers>(&json).unwrap(), headers);
    assert!(serde_json::from_str::<Headers>("[[[256],null]]").is_err());
    let custom = CreationContext::custom(remote(0xa, 0xb));
    let json = serde_json::to_string(&custom).unwrap();
    assert_eq!(json, r#"{"traceparent":"00-0000000000000000000000000000000a-000000000000000b-01"}"#);
    let read: CreationContext = serde_json::from_str(&json).unwrap();
    assert_eq!((&read, read.is_custom()), (&custom, false));
    for none in ["{}", r#"{"traceparent":"garbage"}"#] {
        assert_eq!(serde_json::from_str::<CreationContext>(none).unwrap(), CreationContext::none());
    }
    assert_eq!(serde_json::to_string(&CreationContext::none()).unwrap(), "{}");
}

#[test]
fn creation_contexts_are_equal_by_their_span() {
    let one = CreationContext::custom(remote(1, 1));
    assert_eq!(one, CreationContext::received(remote(1, 1)));
    assert_ne!(one, CreationContext::received(remote(1, 2)));
    assert_ne!(one, CreationContext::received(remote(2, 1)));
    assert_ne!(one, CreationContext::none());
    assert_eq!(CreationContext::received(opentelemetry::Context::new()), CreationContext::none());
}

/// kafka.md T-1, T-3: what is a trace header is taken out, once, and is no header of the record any more.
#[test]
fn trace_headers_are_the_creation_context_and_no_headers() {
    telemetry();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = Headers::new()
        .with("x", "1")
        .with("TraceParent", "garbage")
        .with("traceparent", parent)
        .with("tracestate", "a=1")
        .with("b3", "kept")
        .with("baggage", "k=v");
    let record = Record::copy_of(&message(None, &headers));
    assert_eq!(shown(record.headers()), ["x=1", "b3=kept"]);
    assert!(!record.creation().is_custom());
    let cx = record.creation().context().unwrap();
    assert_eq!(cx.span().span_context().trace_state().header(), "a=1");
    assert_eq!(cx.baggage().get("k").map(ToString::to_string).as_deref(), Some("v"));
    // They are written once when it goes on, the others before them as they were.
    let sent = Headers::copy_of(&delivered(&record));
    assert_eq!(shown(&sent)[..2], ["x=1", "b3=kept"]);
    assert_eq!(sent.get_all("traceparent").collect::<Vec<_>>(), [Some(parent.as_bytes())]);
    assert_eq!(sent.get("tracestate"), Some(Some(&b"a=1"[..])));
    assert_eq!(sent.len(), 5, "{sent:?}");
    assert_eq!(Record::to("t").with_headers(headers).creation(), record.creation());
}

#[test]
fn a_record_is_a_message_that_continues_its_trace() {
    telemetry();
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(5);
    let record = Record::to("orders")
        .with_key("k")
        .with_value("v")
        .with_partition(3)
        .with_timestamp(at)
        .with_header("x", "1")
        .with_baggage("plan", "gold")
        .creation_context(remote(7, 8));
    assert!(record.creation().is_custom());
    let message = &record;
    assert_eq!((message.topic(), message.partition(), message.offset()), ("orders", Some(3), None));
    fn parts<M: throughline::kafka::ConsumedMessage>(message: &M) -> (i32, i64, Option<&[u8]>, Option<i64>) {
        (message.partition(), message.offset(), message.value(), message.timestamp_ms())
    }
    assert_eq!(parts(message), (3, -1, Some(&b"v"[..]), Some(5)));
    assert_eq!(parts(&Record::to("t")), (-1, -1, None, None));
    let cx = message.creation_context();
    assert_eq!(cx.span().span_context(), remote(7, 8).span().span_context());
    assert_eq!(cx.baggage().get("plan").map(ToString::to_string).as_deref(), Some("gold"));
    assert_eq!(message.extract_trace_context().span().span_context(), cx.span().span_context());
    assert!(
        throughline::extract_trace_context(message.header_view()).span().span_context().trace_id()
            == opentelemetry::trace::TraceId::INVALID
    );
}

/// kafka.md T-2: without a span there is nothing to keep.
#[test]
fn injecting_no_span_leaves_the_record_as_it_is() {
    telemetry();
    let received = CreationContext::received(remote(1, 2));
    let mut record = Record::to("orders").with_creation(received.clone());
    record.inject_context(&opentelemetry::Context::new());
    assert_eq!((record.creation(), record.creation().is_custom()), (&received, false));
    record.inject_context(&remote(3, 4));
    assert!(record.creation().is_custom());
}

#[test]
fn baggage_of_a_record_is_added_to_what_is_there() {
    telemetry();
    let cx =
        remote(1, 2).with_baggage([KeyValueMetadata::new("a", "1", ""), KeyValueMetadata::new("b", "1", "")]);
    let record = Record::to("orders").with_baggage("b", "2").with_baggage("c", "ä,=").creation_context(cx);
    let cx = throughline::extract_trace_context(&delivered(&record));
    let mut all: Vec<_> = cx.baggage().iter().map(|(key, (value, _))| format!("{key}={value}")).collect();
    all.sort();
    assert_eq!(all, ["a=1", "b=2", "c=ä,="]);
}

/// The traits by which carriers are used are there for a list of headers, too.
#[test]
fn headers_are_a_carrier() {
    telemetry();
    let mut headers = Headers::new().with("traceparent", "stale").with("x", "1");
    headers.inject_context(&remote(5, 6));
    assert_eq!(headers.len(), 2);
    assert_eq!(
        headers.extract_trace_context().span().span_context().span_id(),
        remote(5, 6).span().span_context().span_id()
    );
    fn view<H: HeaderView>(_: &H) {}
    view(&headers);
}
