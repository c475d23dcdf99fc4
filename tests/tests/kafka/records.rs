//! Sends of `Record`s: one by one, as a batch, with creation contexts of each kind, and at the size limit.

use std::time::Duration;

use opentelemetry::Value;
use opentelemetry::trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _};
use opentelemetry_sdk::trace::SpanData;
use rdkafka::Message as _;
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use throughline::extract_trace_context;
use throughline::kafka::{Existing, KeyText, ProcessOptions, Record, SendOptions, TracedProducer, process};
use throughline::propagation::{Refusal, refused};

use super::support::{Broker, TOPIC, attribute, named, root, soon, spans, text};

const WAIT: Duration = Duration::from_secs(10);

fn order(key: &str) -> Record {
    Record::to(TOPIC).with_key(key).with_value("{}").with_header("x-tenant", "acme")
}

fn all<'s>(spans: &'s [SpanData], name: &str) -> Vec<&'s SpanData> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// P-1, P-3: a header per field of the propagator, its name in lower case, its value text.
#[tokio::test]
async fn a_record_is_sent_with_the_context_of_its_send() {
    let broker = Broker::start();
    let (cx, trace) = root();
    let record = order("order-7");
    let delivery = broker.producer().send_record(&record, WAIT).with_context(cx).await.unwrap();
    let spans = spans(trace);
    let send = named(&spans, "send orders");
    assert_eq!(send.span_kind, SpanKind::Producer);
    assert_eq!(attribute(send, "messaging.kafka.offset"), Some(Value::I64(delivery.offset)));
    assert_eq!(text(send, "messaging.kafka.message.key").as_deref(), Some("order-7"));
    let consumer = broker.consumer();
    let message = soon(consumer.recv()).await.unwrap();
    let created = extract_trace_context(&message).span().span_context().clone();
    assert_eq!(created.span_id(), send.span_context.span_id());
    let headers = message.headers().unwrap();
    let names: Vec<_> = headers.iter().map(|header| header.key).collect();
    assert_eq!(names, ["x-tenant", "traceparent"]);
    assert_eq!(headers.get(1).value.map(<[u8]>::len), Some(55));
    assert_eq!((message.key(), message.payload()), (Some(&b"order-7"[..]), Some(&b"{}"[..])));
}

/// T-3, D-8: what came is replaced, also through a record.
#[tokio::test]
async fn a_received_context_is_replaced_and_a_kept_one_stays() {
    let broker = Broker::start();
    let (producer, consumer) = (broker.producer(), broker.consumer());
    let (first, first_trace) = root();
    producer.send_record(&order("k"), WAIT).with_context(first).await.unwrap();
    let message = soon(consumer.recv()).await.unwrap();
    let received = Record::copy_of(&message);
    let created = extract_trace_context(&message).span().span_context().clone();

    let (cx, trace) = root();
    producer.send_record(&received, WAIT).with_context(cx).await.unwrap();
    let forwarded = soon(consumer.recv()).await.unwrap();
    assert_eq!(extract_trace_context(&forwarded).span().span_context().trace_id(), trace);
    assert_eq!(forwarded.headers().unwrap().count(), 2);

    for keep in ["creation", "option"] {
        let (cx, trace) = root();
        let mut record = received.clone();
        let producer = if keep == "creation" {
            *record.creation_mut() = record.creation().clone().keep();
            producer.clone()
        } else {
            producer.with_options(SendOptions::new().existing(Existing::Keep))
        };
        producer.send_record(&record, WAIT).with_context(cx).await.unwrap();
        let spans = spans(trace);
        let send = named(&spans, "send orders");
        // P-2.
        assert_eq!(send.span_kind, SpanKind::Client, "{keep}");
        assert_eq!(send.links.links[0].span_context.span_id(), created.span_id(), "{keep}");
        let kept = soon(consumer.recv()).await.unwrap();
        let kept = extract_trace_context(&kept).span().span_context().clone();
        assert_eq!((kept.trace_id(), kept.span_id()), (first_trace, created.span_id()), "{keep}");
    }
}

/// T-3: `existing = keep` for records whose headers are all there is; a context that is none is replaced.
#[tokio::test]
async fn existing_headers_are_kept_if_the_producer_keeps_them() {
    let broker = Broker::start();
    let producer = broker.producer().with_options(SendOptions::new().existing(Existing::Keep));
    let consumer = broker.consumer();
    const KEPT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (header, kind) in [(KEPT, SpanKind::Client), ("garbage", SpanKind::Producer)] {
        let (cx, trace) = root();
        let headers = OwnedHeaders::new().insert(Header { key: "TraceParent", value: Some(header) });
        let record = FutureRecord::<str, str>::to(TOPIC).payload("{}").headers(headers);
        producer.send(record, WAIT).with_context(cx).await.unwrap();
        let spans = spans(trace);
        let send = named(&spans, "send orders");
        assert_eq!(send.span_kind, kind);
        let message = soon(consumer.recv()).await.unwrap();
        let headers = message.headers().unwrap();
        assert_eq!(headers.count(), 1);
        if header == KEPT {
            assert_eq!(headers.get(0).key, "TraceParent", "not modified, P-2");
            assert_eq!(headers.get(0).value, Some(KEPT.as_bytes()));
            assert_eq!(send.links.links[0].span_context.span_id().to_string(), "b7ad6b7169203331");
        } else {
            assert_eq!(extract_trace_context(&message).span().span_context().trace_id(), trace);
        }
    }
}

/// P-3, P-4, A-6, A-17, C-1.
#[tokio::test]
async fn a_batch_has_a_create_span_per_record_and_one_send() {
    let broker = Broker::start();
    let (producer, consumer) = (broker.producer(), broker.consumer());
    let (cx, trace) = root();
    let records = [order("a"), order("b").with_partition(0), Record::to(TOPIC)];
    let sent = producer.send_batch(&records, WAIT).with_context(cx.clone()).await;
    let offsets: Vec<_> = sent.into_iter().map(|delivery| delivery.unwrap().offset).collect();
    assert_eq!(offsets, [0, 1, 2]);
    let all_spans = spans(trace);
    let send = named(&all_spans, "send orders");
    let creates = all(&all_spans, "create orders");
    assert_eq!((creates.len(), send.span_kind.clone()), (3, SpanKind::Client));
    assert_eq!(attribute(send, "messaging.batch.message_count"), Some(Value::I64(3)));
    for single in
        ["messaging.kafka.offset", "messaging.kafka.message.key", "messaging.kafka.message.tombstone"]
    {
        assert!(attribute(send, single).is_none(), "{single}");
    }
    let parent = cx.span().span_context().span_id();
    for create in &creates {
        assert_eq!(create.span_kind, SpanKind::Producer);
        assert_eq!(create.parent_span_id, parent);
        assert_eq!(text(create, "messaging.operation.type").as_deref(), Some("create"));
        assert!(attribute(create, "messaging.batch.message_count").is_none());
    }
    assert_eq!(send.parent_span_id, parent);
    let linked: Vec<_> = send.links.links.iter().map(|link| link.span_context.span_id()).collect();
    let link = |index: usize, key: &str| {
        let kv = send.links.links[index].attributes.iter().find(|kv| kv.key.as_str() == key);
        kv.map(|kv| kv.value.to_string())
    };
    assert_eq!(link(0, "messaging.kafka.message.key").as_deref(), Some("a"));
    assert_eq!(link(0, "messaging.destination.partition.id"), None);
    assert_eq!(link(1, "messaging.destination.partition.id").as_deref(), Some("0"));
    assert_eq!(link(2, "messaging.kafka.message.tombstone").as_deref(), Some("true"));
    for expected in linked {
        let message = soon(consumer.recv()).await.unwrap();
        assert_eq!(extract_trace_context(&message).span().span_context().span_id(), expected);
    }
}

/// P-4: `create_spans = off`.
#[tokio::test]
async fn without_create_spans_a_batch_carries_the_context_of_its_send() {
    let broker = Broker::start();
    let consumer = broker.consumer();
    let producer = broker.producer().with_options(SendOptions::new().create_spans(false).key(KeyText::Off));
    let (cx, trace) = root();
    let sent = producer.send_batch(&[order("a"), order("b")], WAIT).with_context(cx).await;
    assert!(sent.iter().all(Result::is_ok));
    let spans = spans(trace);
    let send = named(&spans, "send orders");
    assert_eq!(send.span_kind, SpanKind::Producer);
    assert!(all(&spans, "create orders").is_empty() && send.links.links.is_empty());
    for _ in 0..2 {
        let message = soon(consumer.recv()).await.unwrap();
        let created = extract_trace_context(&message).span().span_context().clone();
        assert_eq!(created.span_id(), send.span_context.span_id());
    }
}

/// P-2 in a batch, and A-6 for none and one.
#[tokio::test]
async fn a_batch_keeps_custom_contexts_and_may_be_empty() {
    let broker = Broker::start();
    let (producer, consumer) = (broker.producer(), broker.consumer());
    let ((created, created_trace), (cx, trace)) = (root(), root());
    let custom = order("a").creation_context(created.clone());
    producer
        .send_batch(std::slice::from_ref(&custom), WAIT)
        .with_context(cx.clone())
        .await
        .remove(0)
        .unwrap();
    assert!(producer.send_batch(&[], WAIT).with_context(cx).await.is_empty());
    let all_spans = spans(trace);
    let (send, empty) = (named(&all_spans, "send orders"), named(&all_spans, "send"));
    assert_eq!(attribute(send, "messaging.batch.message_count"), Some(Value::I64(1)));
    assert_eq!(attribute(empty, "messaging.batch.message_count"), Some(Value::I64(0)));
    assert!(all(&all_spans, "create orders").is_empty());
    assert_eq!(send.span_kind, SpanKind::Client);
    assert_eq!(send.links.links[0].span_context.span_id(), created.span().span_context().span_id());
    let message = soon(consumer.recv()).await.unwrap();
    assert_eq!(extract_trace_context(&message).span().span_context().trace_id(), created_trace);
}

/// E-1.
#[tokio::test]
async fn a_batch_fails_if_one_of_its_records_does() {
    let broker = Broker::start();
    let producer: TracedProducer = broker.config().set("message.max.bytes", "2000").create().unwrap();
    let (cx, trace) = root();
    let records = [order("a"), order("b").with_value(vec![0; 3000]), order("c")];
    let sent = producer.send_batch(&records, WAIT).with_context(cx).await;
    assert!(sent[0].is_ok() && sent[1].is_err() && sent[2].is_ok());
    let spans = spans(trace);
    let send = named(&spans, "send orders");
    assert_eq!(text(send, "error.type").as_deref(), Some("MESSAGE_TOO_LARGE"));
    assert!(
        matches!(&send.status, Status::Error { description } if description.starts_with("1 of 3 records"))
    );
    assert!(all(&spans, "create orders").iter().all(|create| create.status == Status::Unset));
}

/// F-L3 for a batch.
#[tokio::test]
async fn a_dropped_batch_ends_its_span_with_the_reports() {
    let broker = Broker::start();
    let producer = broker.producer();
    broker.cluster.broker_round_trip_time(1, Duration::from_millis(100)).unwrap();
    let (cx, trace) = root();
    {
        let records = [order("a"), order("b")];
        let sending = producer.send_batch(&records, WAIT).with_context(cx);
        assert!(futures_util::FutureExt::now_or_never(sending).is_none());
    }
    assert_eq!(producer.flush_within(WAIT).await, 0);
    let spans = spans(trace);
    let send = named(&spans, "send orders");
    assert_eq!(send.status, Status::Unset);
    assert!(attribute(send, "throughline.cancelled").is_none());
}

/// T-13, F-B4.
#[tokio::test]
async fn a_record_that_is_too_large_with_our_headers_goes_without_them() {
    let broker = Broker::start();
    let consumer = broker.consumer();
    let producer: TracedProducer = broker.config().set("message.max.bytes", "1000").create().unwrap();
    // The largest value that is taken without a trace, which depends on librdkafka's framing.
    let untraced: rdkafka::producer::FutureProducer =
        broker.config().set("message.max.bytes", "1000").create().unwrap();
    let mut fits = 0;
    for size in (900..1000).rev() {
        let value = vec![b'x'; size];
        let record = FutureRecord::<(), _>::to(TOPIC).payload(&value);
        if untraced.send_result(record).is_ok() {
            fits = size;
            break;
        }
    }
    assert!(fits > 0);
    let (cx, trace) = root();
    let before = refused().count(Refusal::NoRoom);
    let record = Record::to(TOPIC).with_value(vec![b'x'; fits]);
    producer.send_record(&record, WAIT).with_context(cx.clone()).await.unwrap();
    assert!(refused().count(Refusal::NoRoom) > before);
    let all_spans = spans(trace);
    let send = named(&all_spans, "send orders");
    assert_eq!(send.status, Status::Unset);
    assert!(attribute(send, "messaging.kafka.offset").is_some());
    for _ in 0..2 {
        let message = soon(consumer.recv()).await.unwrap();
        assert_eq!(message.payload().map(<[u8]>::len), Some(fits));
        assert!(message.headers().is_none_or(|headers| headers.count() == 0));
    }
    // By itself too large: an error.
    let (cx, trace) = root();
    let record = Record::to(TOPIC).with_value(vec![b'x'; 1001]);
    producer.send_record(&record, WAIT).with_context(cx).await.unwrap_err();
    assert_eq!(text(named(&spans(trace), "send orders"), "error.type").as_deref(), Some("MESSAGE_TOO_LARGE"));
}

/// S-1.
#[tokio::test]
async fn options_decide_what_a_send_says() {
    use throughline::kafka::CapturedHeader;
    const CAPTURED: &[CapturedHeader] = &[CapturedHeader::new("x-tenant", "app.tenant")];
    let broker = Broker::start();
    let options = SendOptions::new()
        .template("orders.{tenant}")
        .key(KeyText::Off)
        .sizes(true)
        .headers(CAPTURED)
        .message_id("x-id")
        .conversation_id("x-flow");
    let producer = broker.producer().with_options(options);
    let (cx, trace) = root();
    let record = order("order-7").with_header("x-id", "m-1").with_header("X-Flow", "f-1");
    producer.send_record(&record, WAIT).with_context(cx).await.unwrap();
    let spans = spans(trace);
    let send = named(&spans, "send orders.{tenant}");
    for (key, expected) in [
        ("messaging.destination.name", Some("orders")),
        ("messaging.destination.template", Some("orders.{tenant}")),
        ("messaging.message.id", Some("m-1")),
        ("messaging.message.conversation_id", Some("f-1")),
        ("app.tenant", Some("acme")),
        ("messaging.kafka.message.key", None),
    ] {
        assert_eq!(text(send, key).as_deref(), expected, "{key}");
    }
    assert_eq!(attribute(send, "messaging.message.body.size"), Some(Value::I64(2)));
}

/// T-2: with tracing off or suppressed, a received context goes through.
#[tokio::test]
async fn an_unsampled_trace_goes_through_a_record() {
    let broker = Broker::start();
    let consumer = broker.consumer();
    const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    root();
    let headers = throughline::kafka::Headers::new().with("traceparent", UNSAMPLED);
    let record = Record::to(TOPIC).with_headers(headers).with_value("{}");
    let received = record.creation().context().cloned().unwrap();
    broker.producer().send_record(&record, WAIT).with_context(received).await.unwrap();
    let message = soon(consumer.recv()).await.unwrap();
    let header = message.headers().unwrap().get(0);
    assert_eq!((header.key, header.value), ("traceparent", Some(UNSAMPLED.as_bytes())));
}

/// K-10's basis: the process span as parent, the sender as link.
#[tokio::test]
async fn a_kept_record_sent_from_a_handler_is_its_child() {
    let broker = Broker::start();
    let (producer, consumer) = (broker.producer(), broker.consumer());
    let (cx, trace) = root();
    producer.send_record(&order("k"), WAIT).with_context(cx).await.unwrap();
    let message = soon(consumer.recv()).await.unwrap();
    let record = Record::copy_of(&message);
    let dead = record.clone().with_partition(None).with_creation(record.creation().clone().keep());
    process(&message, ProcessOptions::new(), async { producer.send_record(&dead, WAIT).await.map(|_| ()) })
        .await
        .unwrap();
    let spans = spans(trace);
    let process = named(&spans, "process orders");
    let sends = all(&spans, "send orders");
    let dead = sends.iter().find(|send| send.parent_span_id == process.span_context.span_id()).unwrap();
    let first = sends.iter().find(|send| send.span_context.span_id() == process.parent_span_id).unwrap();
    assert_eq!(dead.span_kind, SpanKind::Client);
    assert_eq!(dead.links.links[0].span_context.span_id(), first.span_context.span_id());
}
