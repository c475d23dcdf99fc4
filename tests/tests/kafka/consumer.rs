//! Process spans: structure, attributes, links.

use std::time::Duration;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue, Value};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, OwnedHeaders, OwnedMessage, Timestamp};
use rdkafka::producer::FutureRecord;
use throughline::kafka::{ContextMode, ProcessOptions, TracedProducer, process, process_batch, process_sync};
use throughline::{extract_trace_context, inject_context, kafka_consumer, traced_span};

use super::support::{Broker, TOPIC, attribute, named, root, soon, spans, text};

#[derive(Debug)]
struct NoPlan(String);

impl std::fmt::Display for NoPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no plan for {}", self.0)
    }
}

impl std::error::Error for NoPlan {}

#[kafka_consumer(group = "billing", headers("x-tenant" = "app.tenant", "x-flow"))]
async fn handle(message: &BorrowedMessage<'_>) -> Result<(), NoPlan> {
    tokio::task::yield_now().await;
    charge();
    match message.payload() {
        Some(b"bad") => Err(NoPlan("order-7".to_owned())),
        _ => Ok(()),
    }
}

#[traced_span("charge")]
fn charge() {}

#[kafka_consumer("bill", group = "billing")]
fn handle_owned(message: OwnedMessage) -> usize {
    message.payload().map_or(0, <[u8]>::len)
}

async fn send(producer: &TracedProducer, headers: OwnedHeaders, payload: &str) {
    let record = FutureRecord::to(TOPIC).key("order-7").payload(payload).headers(headers);
    producer.send(record, Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn producer_and_consumer_are_one_trace() {
    let broker = Broker::start();
    let (cx, trace) = root();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "X-Tenant", value: Some("acme") })
        .insert(Header { key: "x-flow", value: Some("f1") });
    send(&broker.producer(), headers, "{}").with_context(cx.clone()).await;
    let consumer = broker.consumer();
    let message = soon(consumer.recv()).await.unwrap();
    handle(&message).await.unwrap();

    let spans = spans(trace);
    let (send, process, charge) =
        (named(&spans, "send orders"), named(&spans, "process orders"), named(&spans, "charge"));
    assert_eq!(send.parent_span_id, cx.span().span_context().span_id());
    assert_eq!(process.parent_span_id, send.span_context.span_id());
    assert_eq!(charge.parent_span_id, process.span_context.span_id());
    assert!(process.parent_span_is_remote);
    assert_eq!(process.span_kind, SpanKind::Consumer);
    assert_eq!(process.status, Status::Unset);
    // C-1: also when the creation context is the parent.
    assert_eq!(process.links.links.len(), 1);
    assert_eq!(process.links.links[0].span_context.span_id(), send.span_context.span_id());

    for (key, expected) in [
        ("messaging.system", "kafka"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "orders"),
        ("messaging.consumer.group.name", "billing"),
        ("messaging.kafka.message.key", "order-7"),
        ("app.tenant", "acme"),
        ("throughline.messaging.header.x-flow", "f1"),
    ] {
        assert_eq!(text(process, key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!(attribute(process, "messaging.destination.partition.id"), Some(Value::String("0".into())));
    assert_eq!(attribute(process, "messaging.kafka.offset"), Some(Value::I64(0)));
    assert!(attribute(process, "messaging.batch.message_count").is_none());
    assert!(attribute(process, "messaging.kafka.message.tombstone").is_none());
    let Some(Value::I64(waited)) = attribute(process, "throughline.messaging.queue_time_ms") else {
        panic!()
    };
    assert!((0..60_000).contains(&waited));
}

#[tokio::test]
async fn an_error_of_the_handler_is_the_spans_error() {
    let broker = Broker::start();
    let (cx, trace) = root();
    send(&broker.producer(), OwnedHeaders::new(), "bad").with_context(cx).await;
    let consumer = broker.consumer();
    let message = soon(consumer.recv()).await.unwrap();
    handle(&message).await.unwrap_err();
    let spans = spans(trace);
    let process = named(&spans, "process orders");
    assert_eq!(process.status, Status::error("no plan for order-7"));
    assert!(text(process, "error.type").unwrap().ends_with("NoPlan"));
}

#[tokio::test]
async fn owned_messages_and_sync_handlers_continue_the_trace() {
    let broker = Broker::start();
    let (cx, trace) = root();
    send(&broker.producer(), OwnedHeaders::new(), "{}").with_context(cx).await;
    let consumer = broker.consumer();
    let message = soon(consumer.recv()).await.unwrap().detach();
    assert_eq!(handle_owned(message), 2);
    let spans = spans(trace);
    assert_eq!(named(&spans, "bill").parent_span_id, named(&spans, "send orders").span_context.span_id());
}

/// F-T5.
#[tokio::test]
async fn ten_hops_are_one_trace_with_one_traceparent() {
    let broker = Broker::start();
    let producer = broker.producer();
    let consumer = broker.consumer();
    let (cx, trace) = root();
    let first = OwnedHeaders::new()
        .insert(Header { key: "x-null", value: None::<&[u8]> })
        .insert(Header { key: "x-twice", value: Some(&[0xff, 0x00][..]) })
        .insert(Header { key: "TraceParent", value: Some("stale") })
        .insert(Header { key: "x-twice", value: Some(&b""[..]) });
    let kept = first.clone();
    send(&producer, first, "{}").with_context(cx).await;
    for _ in 0..10 {
        let message = soon(consumer.recv()).await.unwrap();
        let forward = async {
            let headers = message.headers().unwrap().detach();
            send(&producer, headers, "{}").await;
            Ok::<_, NoPlan>(())
        };
        process(&message, ProcessOptions::new(), forward).await.unwrap();
    }
    let message = soon(consumer.recv()).await.unwrap();
    let headers: Vec<_> =
        message.headers().unwrap().iter().map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect();
    assert_eq!(
        headers[..3],
        [
            ("x-null".to_owned(), None),
            ("x-twice".to_owned(), Some(vec![0xff, 0x00])),
            ("x-twice".to_owned(), Some(vec![])),
        ]
    );
    assert_eq!(headers.len(), 4);
    assert_eq!(headers[3].0, "traceparent");
    assert_eq!(kept.count(), 4, "the caller's copy is the caller's");

    let spans = spans(trace);
    assert_eq!(spans.iter().filter(|span| span.name == "send orders").count(), 11);
    assert_eq!(spans.iter().filter(|span| span.name == "process orders").count(), 10);
    let last = extract_trace_context(&message).span().span_context().clone();
    assert_eq!(last.trace_id(), trace);
}

/// A message that nobody has to send.
fn message(headers: OwnedHeaders, timestamp: Timestamp, offset: i64) -> OwnedMessage {
    OwnedMessage::new(Some(b"{}".to_vec()), None, TOPIC.to_owned(), timestamp, 3, offset, Some(headers))
}

fn carrying(cx: &Context) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new();
    inject_context(cx, &mut headers);
    headers
}

/// Processes a message of `creation` under `ambient`, and gives the span with the names of its relations.
fn structure(
    creation: Option<&Context>,
    ambient: Option<&Context>,
    mode: ContextMode,
    timestamp: Timestamp,
) -> String {
    let _broker_independent = root();
    let headers = creation.map_or_else(OwnedHeaders::new, carrying);
    let message = message(headers, timestamp, 1);
    let options = ProcessOptions::new().context(mode);
    let attached = ambient.map(|cx| cx.clone().attach());
    let seen =
        process_sync(&message, options, || Ok::<_, NoPlan>(Context::current().span().span_context().clone()))
            .unwrap();
    drop(attached);
    let spans = spans(seen.trace_id());
    let span = spans.iter().find(|span| span.span_context.span_id() == seen.span_id()).unwrap();
    let id = |cx: Option<&Context>| cx.map(|cx| cx.span().span_context().span_id());
    let name = |span| match Some(span) {
        span if span == id(creation) => "creation",
        span if span == id(ambient) => "ambient",
        _ => "none",
    };
    let links: Vec<_> = span.links.links.iter().map(|link| name(link.span_context.span_id())).collect();
    format!("{} [{}]", name(span.parent_span_id), links.join(" "))
}

/// kafka.md C-1, C-2.
#[test]
fn context_decides_between_parent_link_and_root() {
    use ContextMode::{Link, NewRoot, Parent, ParentOrLink};
    let ((creation, _), (ambient, _)) = (root(), root());
    let now = Timestamp::now();
    for (mode, alone, under, no_context) in [
        (ParentOrLink, "creation [creation]", "ambient [creation]", "ambient []"),
        (Link, "none [creation]", "ambient [creation]", "ambient []"),
        (Parent, "creation [creation]", "creation [creation ambient]", "ambient []"),
        (NewRoot, "none [creation]", "none [creation ambient]", "none [ambient]"),
    ] {
        assert_eq!(structure(Some(&creation), None, mode, now), alone, "{mode:?}");
        assert_eq!(structure(Some(&creation), Some(&ambient), mode, now), under, "{mode:?}");
        assert_eq!(structure(None, Some(&ambient), mode, now), no_context, "{mode:?}");
        assert_eq!(structure(None, None, mode, now), "none []", "{mode:?}");
    }
}

#[test]
fn old_records_are_linked_and_odd_timestamps_are_not_old() {
    let (creation, _) = root();
    let now = Timestamp::now().to_millis().unwrap();
    for (timestamp, expected) in [
        (now - 59 * 60_000, "creation [creation]"),
        (now - 61 * 60_000, "none [creation]"),
        (1, "none [creation]"),
        (0, "creation [creation]"),
        (-1, "creation [creation]"),
        (-5, "creation [creation]"),
        (now + 3_600_000, "creation [creation]"),
        (i64::MAX, "creation [creation]"),
        (i64::MIN, "creation [creation]"),
    ] {
        let timestamp = Timestamp::CreateTime(timestamp);
        assert_eq!(
            structure(Some(&creation), None, ContextMode::ParentOrLink, timestamp),
            expected,
            "{timestamp:?}"
        );
    }
}

#[test]
fn the_senders_baggage_is_current_in_the_handler() {
    let (creation, _) = root();
    let creation = creation.with_baggage([KeyValue::new("tenant", "acme")]);
    let message = message(carrying(&creation), Timestamp::now(), 1);
    let ambient = Context::new().with_baggage([KeyValue::new("mine", "1"), KeyValue::new("tenant", "other")]);
    let _attached = ambient.attach();
    let seen = |options: ProcessOptions| {
        process_sync(&message, options, || {
            let cx = Context::current();
            let mut all: Vec<_> = cx.baggage().iter().map(|(k, (v, _))| format!("{k}={v}")).collect();
            all.sort();
            Ok::<_, NoPlan>(all.join(" "))
        })
        .unwrap()
    };
    assert_eq!(seen(ProcessOptions::new()), "mine=1 tenant=acme");
    assert_eq!(seen(ProcessOptions::new().baggage(false)), "mine=1 tenant=other");
}

#[test]
fn an_unsampled_trace_stays_unsampled_through_the_handler() {
    let _telemetry = root();
    let mut headers = OwnedHeaders::new();
    headers = headers.insert(Header {
        key: "traceparent",
        value: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
    });
    let message = message(headers, Timestamp::now(), 1);
    let forwarded = process_sync(&message, ProcessOptions::new(), || {
        charge();
        let mut next: Vec<(String, String)> = Vec::new();
        throughline::inject_trace_context(&mut next);
        Ok::<_, NoPlan>(next)
    })
    .unwrap();
    assert_eq!(forwarded.len(), 1);
    assert!(
        forwarded[0].1.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && forwarded[0].1.ends_with("-00")
    );
    let trace = opentelemetry::TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap();
    assert!(spans(trace).is_empty());
}

#[test]
fn a_null_value_is_a_tombstone_and_an_empty_one_is_not() {
    for (payload, expected) in [(None, Some("true")), (Some(vec![]), None)] {
        let (creation, trace) = root();
        let headers = Some(carrying(&creation));
        let message =
            OwnedMessage::new(payload, None, TOPIC.to_owned(), Timestamp::NotAvailable, 0, 1, headers);
        process_sync(&message, ProcessOptions::new(), || Ok::<_, NoPlan>(())).unwrap();
        let spans = spans(trace);
        let process = named(&spans, "process orders");
        assert_eq!(text(process, "messaging.kafka.message.tombstone").as_deref(), expected);
        assert!(attribute(process, "messaging.kafka.message.key").is_none());
        assert!(attribute(process, "throughline.messaging.queue_time_ms").is_none());
    }
}

/// F-M6, C-4, A-17.
#[tokio::test]
async fn a_batch_links_to_every_sender_up_to_the_limit() {
    let (ambient, trace) = root();
    let creations: Vec<_> = (0..200).map(|_| root().0).collect();
    let mut messages: Vec<_> = (1_i64..)
        .zip(&creations)
        .map(|(offset, creation)| message(carrying(creation), Timestamp::now(), offset))
        .collect();
    messages.push(message(OwnedHeaders::new(), Timestamp::now(), 201));
    process_batch(&messages, ProcessOptions::new().group("g"), async { Ok::<_, NoPlan>(()) })
        .with_context(ambient.clone())
        .await
        .unwrap();
    let spans = spans(trace);
    let process = named(&spans, "process orders");
    assert_eq!(process.parent_span_id, ambient.span().span_context().span_id());
    assert_eq!(attribute(process, "messaging.batch.message_count"), Some(Value::I64(201)));
    assert_eq!(text(process, "messaging.destination.partition.id").as_deref(), Some("3"));
    assert!(attribute(process, "messaging.kafka.offset").is_none());
    let links = &process.links.links;
    assert_eq!(links.len(), 128);
    assert_eq!(process.links.dropped_count, 72);
    let offset = |index: usize| {
        let kv = links[index].attributes.iter().find(|kv| kv.key.as_str() == "messaging.kafka.offset");
        kv.map(|kv| kv.value.clone())
    };
    assert_eq!(offset(0), Some(Value::I64(1)));
    assert_eq!(offset(127), Some(Value::I64(200)), "first and last are kept");
}

#[tokio::test]
async fn an_empty_batch_has_a_span_and_no_links() {
    let (ambient, trace) = root();
    let none: Vec<OwnedMessage> = Vec::new();
    process_batch(&none, ProcessOptions::new().topic(TOPIC), async { Ok::<_, NoPlan>(()) })
        .with_context(ambient)
        .await
        .unwrap();
    let spans = spans(trace);
    let process = named(&spans, "process orders");
    assert_eq!(attribute(process, "messaging.batch.message_count"), Some(Value::I64(0)));
    assert!(process.links.links.is_empty());
}
