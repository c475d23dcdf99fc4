//! Send spans: they end at the delivery report, whatever happens to the caller.

use std::time::Duration;

use futures_util::FutureExt as _;
use opentelemetry::trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{TraceId, Value};
use opentelemetry_sdk::trace::SpanData;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{FutureRecord, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaErrorCode, RDKafkaRespErr};
use throughline::extract_trace_context;
use throughline::kafka::{TracedProducer, WithCreation as _};

use super::support::{Broker, TOPIC, attribute, named, root, soon, spans, text};

type Record<'a> = FutureRecord<'a, str, str>;

const WAIT: Duration = Duration::from_secs(10);

fn the_send(trace: TraceId) -> SpanData {
    named(&spans(trace), "send orders").clone()
}

#[tokio::test]
async fn a_send_ends_with_partition_and_offset() {
    let broker = Broker::start();
    let producer = broker.producer();
    producer.send(Record::to(TOPIC).payload("first"), WAIT).await.unwrap();
    let (cx, trace) = root();
    let delivery =
        producer.send(Record::to(TOPIC).key("k").payload("{}"), WAIT).with_context(cx).await.unwrap();
    assert_eq!((delivery.partition, delivery.offset), (0, 1));
    let send = the_send(trace);
    assert_eq!(send.span_kind, SpanKind::Producer);
    assert_eq!(send.status, Status::Unset);
    for (key, expected) in [
        ("messaging.system", "kafka"),
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "orders"),
        ("messaging.kafka.message.key", "k"),
        ("messaging.client.id", "shop"),
        ("server.address", "127.0.0.1"),
    ] {
        assert_eq!(text(&send, key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!(attribute(&send, "messaging.destination.partition.id"), Some(Value::String("0".into())));
    assert_eq!(attribute(&send, "messaging.kafka.offset"), Some(Value::I64(1)));
    assert!(matches!(attribute(&send, "server.port"), Some(Value::I64(_))));
}

#[tokio::test]
async fn a_refused_record_is_an_error_with_the_protocols_constant() {
    let broker = Broker::start();
    let producer = broker.producer();
    let (cx, trace) = root();
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    broker.cluster.request_errors(RDKafkaApiKey::Produce, &[refusal]);
    let (error, message) =
        producer.send(Record::to(TOPIC).payload("{}"), WAIT).with_context(cx).await.unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::MessageSizeTooLarge));
    assert!(extract_trace_context(&message).span().span_context().is_valid(), "the record comes back");
    let send = the_send(trace);
    assert!(matches!(&send.status, Status::Error { description } if !description.is_empty()));
    assert_eq!(text(&send, "error.type").as_deref(), Some("MESSAGE_TOO_LARGE"));
    assert!(attribute(&send, "messaging.kafka.offset").is_none());
}

#[tokio::test]
async fn a_timeout_is_an_error_with_librdkafkas_name() {
    let broker = Broker::start();
    broker.cluster.broker_down(1).unwrap();
    let producer: TracedProducer = broker.config().set("message.timeout.ms", "50").create().unwrap();
    let (cx, trace) = root();
    soon(producer.send(Record::to(TOPIC).payload("{}"), WAIT).with_context(cx)).await.unwrap_err();
    assert_eq!(text(&the_send(trace), "error.type").as_deref(), Some("_MSG_TIMED_OUT"));
}

/// F-L3, R-5.
#[tokio::test]
async fn a_dropped_future_still_ends_its_span_with_the_offset() {
    let broker = Broker::start();
    let producer = broker.producer();
    broker.cluster.broker_round_trip_time(1, Duration::from_millis(100)).unwrap();
    let (cx, trace) = root();
    {
        let send = producer.send(Record::to(TOPIC).payload("{}"), WAIT).with_context(cx);
        assert!(send.now_or_never().is_none(), "not delivered at the first poll");
    }
    assert_eq!(producer.close(WAIT).await, 0);
    let send = the_send(trace);
    assert_eq!(send.status, Status::Unset);
    assert_eq!(attribute(&send, "messaging.kafka.offset"), Some(Value::I64(0)));
    assert!(attribute(&send, "throughline.cancelled").is_none());
}

/// F-B4.
#[tokio::test]
async fn a_full_queue_is_waited_for_with_one_span_and_one_header() {
    let broker = Broker::start();
    let producer: TracedProducer = broker.config().set("queue.buffering.max.messages", "1").create().unwrap();
    let (cx, trace) = root();
    let sends = (0..5).map(|_| producer.send(Record::to(TOPIC).payload("{}"), WAIT));
    for sent in soon(futures_util::future::join_all(sends).with_context(cx)).await {
        sent.unwrap();
    }
    let spans = spans(trace);
    let mut offsets: Vec<_> = spans.iter().filter_map(|span| text(span, "messaging.kafka.offset")).collect();
    offsets.sort();
    assert_eq!(offsets, ["0", "1", "2", "3", "4"]);
    let consumer = broker.consumer();
    for _ in 0..5 {
        let message = soon(consumer.recv()).await.unwrap();
        assert_eq!(rdkafka::Message::headers(&message).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn a_queue_that_stays_full_is_an_error() {
    let broker = Broker::start();
    broker.cluster.broker_down(1).unwrap();
    let producer: TracedProducer = broker.config().set("queue.buffering.max.messages", "1").create().unwrap();
    let waiting = producer.send_result(Record::to(TOPIC).payload("{}")).unwrap();
    let (cx, trace) = root();
    let guard = cx.clone().attach();
    let (error, record) = producer.send_result(Record::to(TOPIC).payload("{}")).unwrap_err();
    drop(guard);
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
    assert_eq!(text(&the_send(trace), "error.type").as_deref(), Some("_QUEUE_FULL"));

    // The record comes back with our header in it; sending it again replaces that.
    let (cx, trace) = root();
    let (_, message) =
        soon(producer.send(record, Duration::from_millis(1)).with_context(cx)).await.unwrap_err();
    assert_eq!(rdkafka::Message::headers(&message).unwrap().count(), 1);
    assert_eq!(extract_trace_context(&message).span().span_context().trace_id(), trace);
    drop(waiting);
}

#[tokio::test]
async fn closing_with_the_broker_away_ends_every_span() {
    let broker = Broker::start();
    broker.cluster.broker_down(1).unwrap();
    let producer = broker.producer();
    let (cx, trace) = root();
    let guard = cx.attach();
    let waiting = producer.send_result(Record::to(TOPIC).payload("{}")).unwrap();
    drop(guard);
    assert_eq!(soon(producer.close(Duration::from_millis(20))).await, 1);
    soon(waiting).await.unwrap().unwrap_err();
    assert_eq!(text(&the_send(trace), "error.type").as_deref(), Some("_PURGE_QUEUE"));
}

/// P-2, T-3.
#[tokio::test]
async fn a_custom_creation_context_is_kept_and_linked() {
    let broker = Broker::start();
    let producer = broker.producer();
    let ((created, created_trace), (cx, trace)) = (root(), root());
    let headers = OwnedHeaders::new().insert(Header { key: "traceparent", value: Some("stale") });
    let record = Record::to(TOPIC).payload("{}").headers(headers).creation_context(created.clone());
    producer.send(record, WAIT).with_context(cx).await.unwrap();
    let send = the_send(trace);
    assert_eq!(send.span_kind, SpanKind::Client);
    assert_eq!(send.links.links[0].span_context.span_id(), created.span().span_context().span_id());
    let consumer = broker.consumer();
    let message = soon(consumer.recv()).await.unwrap();
    assert_eq!(extract_trace_context(&message).span().span_context().trace_id(), created_trace);
}

#[test]
fn reports_of_errors_only_are_refused() {
    let refused = ClientConfig::new().set("delivery.report.only.error", "true").create::<TracedProducer>();
    assert!(refused.unwrap_err().to_string().contains("delivery.report.only.error"));
}

#[tokio::test]
async fn the_producer_is_a_producer_of_rdkafka() {
    let broker = Broker::start();
    let producer = broker.producer();
    let delivery = producer.send_result(Record::to(TOPIC).payload("{}")).unwrap();
    producer.flush(WAIT).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
    delivery.await.unwrap().unwrap();
}

#[tokio::test]
async fn closing_may_take_for_ever() {
    let broker = Broker::start();
    let producer = broker.producer();
    let delivery = producer.send_result(Record::to(TOPIC).payload("{}")).unwrap();
    assert_eq!(soon(producer.close(Duration::MAX)).await, 0);
    delivery.await.unwrap().unwrap();
}
