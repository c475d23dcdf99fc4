//! Rows B3 to B6 and L3, as far as a producer or a plain consumer meets them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use opentelemetry::Value;
use opentelemetry::trace::{FutureExt as _, Status, TraceId};
use opentelemetry_sdk::trace::SpanData;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, FutureRecord, Producer as _, ProducerContext};
use rdkafka::types::{RDKafkaApiKey, RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientContext, Message as _, Statistics};
use throughline::extract_trace_context;
use throughline::kafka::{Headers, TracedProducer, TracedThreadedProducer};
use throughline::propagation::{Refusal, refused};
use throughline_tests::kafka::proxy::{Fault, Proxy};

use super::meters::{measure, point, points};
use super::support::{
    TOPIC, WAIT, attribute, cluster, config, consumer, end_offset, messages, named, producer, root, soon,
    spans, text,
};

type Record<'r> = FutureRecord<'r, str, str>;

fn record() -> Record<'static> {
    FutureRecord::to(TOPIC).payload("{}")
}

fn the_send(trace: TraceId) -> SpanData {
    named(&spans(trace), "send orders").clone()
}

/// B3: what librdkafka heals is no error of the send.
#[tokio::test]
async fn b3_errors_on_produce_that_pass_are_retried() {
    use RDKafkaRespErr::*;
    for error in [
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR__TRANSPORT,
    ] {
        let cluster = cluster(1);
        let producer = producer(&cluster.bootstrap());
        cluster.mock().request_errors(RDKafkaApiKey::Produce, &[error, error]);
        let (cx, trace) = root();
        let delivery = soon(producer.send(record(), WAIT).with_context(cx)).await.unwrap();
        let send = the_send(trace);
        assert_eq!(send.status, Status::Unset, "{error:?}");
        assert_eq!(text(&send, "error.type"), None, "{error:?}");
        assert_eq!(attribute(&send, "messaging.kafka.offset"), Some(Value::I64(delivery.offset)));
    }
}

/// B3: what stays wrong is the send's error, by the protocol's name (E-1).
#[tokio::test]
async fn b3_errors_on_produce_that_stay_are_the_sends() {
    use RDKafkaRespErr::*;
    for (error, name) in [
        (RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, "NOT_ENOUGH_REPLICAS"),
        (RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, "REQUEST_TIMED_OUT"),
        (RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "TOPIC_AUTHORIZATION_FAILED"),
        (RD_KAFKA_RESP_ERR_INVALID_MSG, "CORRUPT_MESSAGE"),
    ] {
        let cluster = cluster(1);
        let producer: TracedProducer =
            config(&cluster.bootstrap()).set("message.send.max.retries", "0").create().unwrap();
        cluster.mock().request_errors(RDKafkaApiKey::Produce, &[error]);
        let (cx, trace) = root();
        soon(producer.send(record(), WAIT).with_context(cx)).await.unwrap_err();
        let send = the_send(trace);
        assert!(matches!(&send.status, Status::Error { description } if !description.is_empty()), "{name}");
        assert_eq!(text(&send, "error.type").as_deref(), Some(name));
        assert_eq!(attribute(&send, "messaging.kafka.offset"), None, "{name}");
    }
}

/// B3: errors on fetch and metadata end nothing.
#[tokio::test]
async fn b3_errors_on_fetch_and_metadata_are_not_fatal() {
    use RDKafkaRespErr::*;
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap());
    for error in [
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        RD_KAFKA_RESP_ERR_UNKNOWN,
        RD_KAFKA_RESP_ERR__TRANSPORT,
    ] {
        let mock = cluster.mock();
        mock.request_errors(RDKafkaApiKey::Metadata, &[RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE]);
        mock.request_errors(RDKafkaApiKey::Fetch, &[error, error]);
        let consumer = consumer(&cluster.bootstrap());
        soon(producer.send(record(), WAIT)).await.unwrap();
        assert_eq!(messages(&consumer, 1).await[0].payload(), Some(&b"{}"[..]), "{error:?}");
    }
}

/// B4: a send waits for room in the queue, in one span and with its headers once.
#[tokio::test]
async fn b4_a_full_queue_is_waited_for() {
    let cluster = cluster(1);
    let producer: TracedProducer =
        config(&cluster.bootstrap()).set("queue.buffering.max.messages", "1").create().unwrap();
    cluster.mock().broker_down(1).unwrap();
    let (first, first_trace) = root();
    let (second, second_trace) = root();
    let first = producer.send(record(), WAIT).with_context(first);
    let second = producer.send(record(), WAIT).with_context(second);
    let up = async {
        // Both have been polled when this runs: one is in the queue, the other waits, and there is no room for more.
        let (error, _) = producer.send_result(record()).unwrap_err();
        assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
        cluster.mock().broker_up(1).unwrap();
    };
    let (first, second, ()) = soon(async { tokio::join!(first, second, up) }).await;
    let mut offsets = [first.unwrap().offset, second.unwrap().offset];
    offsets.sort_unstable();
    assert_eq!(offsets, [0, 1]);
    for trace in [first_trace, second_trace] {
        assert_eq!(the_send(trace).status, Status::Unset);
    }
    for message in messages(&consumer(&cluster.bootstrap()), 2).await {
        assert_eq!(Headers::copy_of(&message).len(), 1);
    }
}

/// B4: room that does not come in time is `_QUEUE_FULL`; the record comes back as it went, and was not sent (M-2).
#[tokio::test]
async fn b4_a_queue_that_stays_full_is_an_error() {
    measure();
    let cluster = cluster(1);
    cluster.mock().create_topic("full", 1, 1).unwrap();
    let producer: TracedProducer =
        config(&cluster.bootstrap()).set("queue.buffering.max.messages", "1").create().unwrap();
    cluster.mock().broker_down(1).unwrap();
    let full = || Record::to("full").payload("{}");
    let waiting = producer.send_result(full()).unwrap();
    let (cx, trace) = root();
    let refused = producer.send(full(), Duration::from_millis(150)).with_context(cx);
    let (error, message) = soon(refused).await.unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
    let sends = spans(trace);
    assert_eq!(text(named(&sends, "send full"), "error.type").as_deref(), Some("_QUEUE_FULL"));
    assert_eq!(Headers::copy_of(&message).len(), 1);
    assert!(points("messaging.client.sent.messages", "full").is_empty(), "neither has been sent");
    cluster.mock().broker_up(1).unwrap();
    soon(waiting).await.unwrap().unwrap();
    assert_eq!(point("messaging.client.sent.messages", "full").count, 1);
}

/// B4: a message that is too large by itself.
#[tokio::test]
async fn b4_a_message_too_large_is_an_error() {
    let cluster = cluster(1);
    let producer: TracedProducer =
        config(&cluster.bootstrap()).set("message.max.bytes", "1000").create().unwrap();
    let (cx, trace) = root();
    let payload = "x".repeat(2_000);
    let large = FutureRecord::<str, str>::to(TOPIC).payload(&payload);
    let (error, _) = soon(producer.send(large, WAIT).with_context(cx)).await.unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::MessageSizeTooLarge));
    let send = the_send(trace);
    assert!(matches!(send.status, Status::Error { .. }));
    assert_eq!(text(&send, "error.type").as_deref(), Some("MESSAGE_TOO_LARGE"));
    assert_eq!(end_offset(&producer), 0);
}

/// B4, T-13: one that is too large only with our headers goes without them, and that is counted.
#[tokio::test]
async fn b4_a_message_that_only_our_headers_make_too_large_goes_without() {
    let cluster = cluster(1);
    let producer: TracedProducer =
        config(&cluster.bootstrap()).set("message.max.bytes", "1000").create().unwrap();
    let consumer = consumer(&cluster.bootstrap());
    let (mut with, mut without) = (0, 0);
    // Where exactly the bound is, is librdkafka's business: 100 lengths have it among them.
    for length in 850..1_000 {
        let (cx, trace) = root();
        let before = refused().count(Refusal::NoRoom);
        let payload = "x".repeat(length);
        let record = FutureRecord::<str, str>::to(TOPIC).payload(&payload);
        let sent = soon(producer.send(record, WAIT).with_context(cx)).await;
        let send = the_send(trace);
        if sent.is_err() {
            assert_eq!(text(&send, "error.type").as_deref(), Some("MESSAGE_TOO_LARGE"));
            break;
        }
        let headers = Headers::copy_of(&messages(&consumer, 1).await[0]).len();
        if headers == 1 {
            assert_eq!(without, 0, "a shorter one did not fit");
            with += 1;
        } else {
            without += 1;
            assert!(refused().count(Refusal::NoRoom) > before);
        }
        assert_eq!(send.status, Status::Unset);
    }
    assert!(with > 0 && without > 0, "{with} with headers, {without} without");
}

/// B5: a topic that the brokers do not have.
#[tokio::test]
async fn b5_an_unknown_topic_is_an_error_of_the_send() {
    let cluster = cluster(1);
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.mock().topic_error(TOPIC, unknown).unwrap();
    let producer: TracedProducer =
        config(&cluster.bootstrap()).set("topic.metadata.propagation.max.ms", "200").create().unwrap();
    let (cx, trace) = root();
    soon(producer.send(record(), WAIT).with_context(cx)).await.unwrap_err();
    let error = text(&the_send(trace), "error.type").unwrap();
    assert!(["_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PARTITION"].contains(&error.as_str()), "{error}");
}

/// B5: a partition that the topic does not have.
#[tokio::test]
async fn b5_an_unknown_partition_is_an_error_of_the_send() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap());
    let (cx, trace) = root();
    soon(producer.send(record().partition(9), WAIT).with_context(cx)).await.unwrap_err();
    assert_eq!(text(&the_send(trace), "error.type").as_deref(), Some("_UNKNOWN_PARTITION"));
}

/// B6: the broker stored the record, and its acknowledgement was lost: sent again, so it may be there twice.
#[tokio::test]
async fn b6_a_lost_acknowledgement_may_cost_a_duplicate() {
    let cluster = cluster(1);
    let proxy = Proxy::before(&cluster);
    let producer = producer(proxy.bootstrap());
    proxy.set(Fault::LoseAcknowledgement);
    let (cx, trace) = root();
    let delivery = soon(producer.send(record(), WAIT).with_context(cx)).await.unwrap();
    assert_eq!(proxy.happened(), 1);
    assert_eq!((delivery.offset, end_offset(&producer)), (1, 2));
    let send = the_send(trace);
    assert_eq!(send.status, Status::Unset, "E-2: healed by the retry");
    assert_eq!(attribute(&send, "messaging.kafka.offset"), Some(Value::I64(1)));
    // Both are the same record, with the same context.
    for message in messages(&consumer(proxy.bootstrap()), 2).await {
        let creation = extract_trace_context(&message);
        let creation = opentelemetry::trace::TraceContextExt::span(&creation).span_context().clone();
        assert_eq!(creation.span_id(), send.span_context.span_id());
    }
}

/// B6: none with idempotence. The embedded broker knows sequence numbers only of transactional producers.
#[tokio::test]
async fn b6_idempotence_keeps_the_duplicate_away() {
    let cluster = cluster(1);
    let proxy = Arc::new(Proxy::before(&cluster));
    let producer: TracedProducer = config(proxy.bootstrap()).set("transactional.id", "b6").create().unwrap();
    let (cx, trace) = root();
    let transactional = producer.clone();
    soon(tokio::task::spawn_blocking(move || {
        transactional.init_transactions(WAIT).unwrap();
        transactional.begin_transaction().unwrap();
    }))
    .await
    .unwrap();
    proxy.set(Fault::LoseAcknowledgement);
    soon(producer.send(record(), WAIT).with_context(cx)).await.unwrap();
    assert_eq!(proxy.happened(), 1);
    let transactional = producer.clone();
    soon(tokio::task::spawn_blocking(move || transactional.commit_transaction(WAIT).unwrap())).await.unwrap();
    assert_eq!(end_offset(&producer), 1);
    assert_eq!(the_send(trace).status, Status::Unset);
}

/// L3
#[tokio::test]
async fn l3_a_send_that_nobody_waits_for_ends_once_with_its_offset() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap());
    cluster.mock().broker_round_trip_time(1, Duration::from_millis(100)).unwrap();
    let (cx, trace) = root();
    assert!(producer.send(record(), WAIT).with_context(cx).now_or_never().is_none());
    assert_eq!(soon(producer.close(WAIT)).await, 0);
    assert_eq!(attribute(&the_send(trace), "messaging.kafka.offset"), Some(Value::I64(0)));
}

/// L3: whoever drops the last producer gives up what is queued, and each span says so once.
#[tokio::test]
async fn l3_a_dropped_producer_ends_every_queued_span() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap());
    cluster.mock().broker_down(1).unwrap();
    let mut waiting = Vec::new();
    let mut traces = Vec::new();
    for _ in 0..5 {
        let (cx, trace) = root();
        let _guard = cx.attach();
        waiting.push(producer.send_result(record()).unwrap());
        traces.push(trace);
    }
    soon(tokio::task::spawn_blocking(move || drop(producer))).await.unwrap();
    for trace in traces {
        assert_eq!(text(&the_send(trace), "error.type").as_deref(), Some("_PURGE_QUEUE"));
    }
    for delivery in waiting {
        match soon(delivery).await {
            Ok(Err((error, _))) => assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::PurgeQueue)),
            Err(canceled) => assert_eq!(canceled, KafkaError::Canceled),
            Ok(Ok(delivery)) => panic!("delivered: {delivery:?}"),
        }
    }
}

/// Panics in each callback that the user can have.
#[derive(Clone, Default)]
struct Panics {
    calls: Arc<AtomicUsize>,
}

impl ClientContext for Panics {
    fn stats(&self, _: Statistics) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        panic!("in the callback");
    }

    fn error(&self, _: KafkaError, _: &str) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        panic!("in the callback");
    }
}

/// L3: the thread that reports deliveries outlives the user's callbacks.
#[tokio::test]
async fn l3_a_panic_in_a_callback_does_not_stop_the_reports() {
    let cluster = cluster(1);
    let panics = Panics::default();
    let producer: TracedProducer<Panics> = config(&cluster.bootstrap())
        .set("statistics.interval.ms", "10")
        .create_with_context(panics.clone())
        .unwrap();
    let mut sent = 0;
    while panics.calls.load(Ordering::Relaxed) < 3 {
        let (cx, trace) = root();
        let headers = OwnedHeaders::new().insert(Header { key: "x", value: Some("1") });
        soon(producer.send(record().headers(headers), WAIT).with_context(cx)).await.unwrap();
        assert_eq!(attribute(&the_send(trace), "messaging.kafka.offset"), Some(Value::I64(sent)));
        sent += 1;
    }
}

impl ProducerContext for Panics {
    type DeliveryOpaque = Box<u32>;

    fn delivery(&self, _: &DeliveryResult<'_>, _: Box<u32>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        panic!("in the delivery callback");
    }
}

/// L3: nor does one in the user's own delivery callback, which is called once per record, after its span has ended.
#[tokio::test]
async fn l3_a_panic_in_the_delivery_callback_does_not_stop_the_reports() {
    let cluster = cluster(1);
    let panics = Panics::default();
    let producer: TracedThreadedProducer<Panics> =
        config(&cluster.bootstrap()).create_with_context(panics.clone()).unwrap();
    let mut traces = Vec::new();
    for number in 0..10 {
        let (cx, trace) = root();
        let _guard = cx.attach();
        let record = BaseRecord::with_opaque_to(TOPIC, Box::new(number)).key("k").payload("{}");
        producer.send(record).map_err(|(error, _)| error).unwrap();
        traces.push(trace);
    }
    soon(tokio::task::spawn_blocking(move || producer.flush(WAIT).unwrap())).await.unwrap();
    assert_eq!(panics.calls.load(Ordering::Relaxed), 10);
    for (offset, trace) in (0..).zip(traces) {
        assert_eq!(attribute(&the_send(trace), "messaging.kafka.offset"), Some(Value::I64(offset)));
    }
}
