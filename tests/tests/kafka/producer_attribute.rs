//! `#[kafka_producer]` in its three shapes.

use std::time::Duration;

use opentelemetry::trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, Value};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use rdkafka::producer::{BaseRecord, FutureProducer, FutureRecord};
use throughline::kafka::{Headers, Record, TracedProducer};
use throughline::{extract_trace_context, inject_trace_context, kafka_producer, traced_span};

use super::meters::{measure, point, points};
use super::support::{Broker, TOPIC, attribute, named, root, soon, spans, text};

const WAIT: Duration = Duration::from_secs(10);
const KEPT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn stale() -> OwnedHeaders {
    OwnedHeaders::new().insert(Header { key: "TraceParent", value: Some(KEPT) })
}

fn span_id(cx: &Context) -> opentelemetry::SpanId {
    cx.span().span_context().span_id()
}

#[kafka_producer(client_id = "shop")]
async fn publish(producer: &FutureProducer, record: FutureRecord<'_, str, str>) -> OwnedDeliveryResult {
    producer.send(record, WAIT).await
}

/// 3.2, send; T-1, A-10, A-11.
#[tokio::test]
async fn a_record_parameter_carries_the_context_of_the_function() {
    let broker = Broker::start();
    let producer: FutureProducer = broker.config().create().unwrap();
    let (cx, trace) = root();
    let record = FutureRecord::to(TOPIC).key("order-7").payload("{}").headers(stale());
    publish(&producer, record).with_context(cx.clone()).await.unwrap();
    let spans = spans(trace);
    let send = named(&spans, "send orders");
    assert_eq!((send.span_kind.clone(), send.status.clone()), (SpanKind::Producer, Status::Unset));
    assert_eq!(send.parent_span_id, span_id(&cx));
    for (key, expected) in [
        ("messaging.system", "kafka"),
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "orders"),
        ("messaging.client.id", "shop"),
        ("messaging.kafka.message.key", "order-7"),
        ("messaging.destination.partition.id", "0"),
    ] {
        assert_eq!(text(send, key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!(attribute(send, "messaging.kafka.offset"), Some(Value::I64(0)));
    let consumer = broker.consumer();
    let message = soon(consumer.recv()).await.unwrap();
    assert_eq!(span_id(&extract_trace_context(&message)), send.span_context.span_id());
}

/// E-1: the error of `rdkafka`'s own result, which comes with the record.
#[tokio::test]
async fn an_error_of_rdkafka_is_the_spans() {
    let broker = Broker::start();
    let producer: FutureProducer = broker.config().set("message.max.bytes", "1000").create().unwrap();
    let (cx, trace) = root();
    let payload = "x".repeat(2000);
    let record = FutureRecord::to(TOPIC).payload(payload.as_str());
    publish(&producer, record).with_context(cx).await.unwrap_err();
    let spans = spans(trace);
    let send = named(&spans, "send orders");
    assert_eq!(text(send, "error.type").as_deref(), Some("MESSAGE_TOO_LARGE"));
    assert!(matches!(&send.status, Status::Error { description } if !description.is_empty()));
}

#[kafka_producer(existing = keep, topic = "orders")]
fn queue(headers: &mut OwnedHeaders) -> (i32, i64) {
    assert!(headers.as_borrowed().get(0).value.is_some());
    (3, 17)
}

#[kafka_producer("orders.hand_over", operation = "hand_over")]
fn hand_over(#[headers] carrier: &mut Vec<(String, String)>) {
    assert!(!carrier.is_empty());
}

/// 3.2, send: headers, marked and not; T-3, P-2.
#[test]
fn headers_as_a_parameter_are_written_or_kept() {
    let (cx, trace) = root();
    let _attached = cx.attach();
    let mut fresh = OwnedHeaders::new();
    assert_eq!(queue(&mut fresh), (3, 17));
    let mut kept = stale();
    queue(&mut kept);
    let mut list = vec![("x".to_owned(), "y".to_owned())];
    hand_over(&mut list);
    let all = spans(trace);
    let sends: Vec<_> = all.iter().filter(|span| span.name == "send orders").collect();
    let own = sends.iter().find(|send| send.span_kind == SpanKind::Producer).unwrap();
    let keeping = sends.iter().find(|send| send.span_kind == SpanKind::Client).unwrap();
    assert_eq!(span_id(&extract_trace_context(&fresh)), own.span_context.span_id());
    assert_eq!(attribute(own, "messaging.kafka.offset"), Some(Value::I64(17)));
    assert_eq!(span_id(&extract_trace_context(&kept)).to_string(), "b7ad6b7169203331");
    assert_eq!(keeping.links.links[0].span_context.span_id().to_string(), "b7ad6b7169203331");
    let hand_over = named(&all, "orders.hand_over");
    assert_eq!(text(hand_over, "messaging.operation.name").as_deref(), Some("hand_over"));
    assert_eq!(text(hand_over, "messaging.operation.type").as_deref(), Some("send"));
    assert_eq!(span_id(&extract_trace_context(&list)), hand_over.span_context.span_id());
}

#[kafka_producer]
fn build(id: u64) -> Record {
    Record::to(TOPIC).with_key(id.to_string()).with_value("{}")
}

#[kafka_producer("orders.maybe")]
async fn maybe(id: Option<u64>) -> Result<Option<Record>, KafkaError> {
    tokio::task::yield_now().await;
    Ok(id.map(|id| Record::to(TOPIC).with_key(id.to_string())))
}

#[kafka_producer]
fn later(id: u64) -> impl Future<Output = Record> {
    std::future::ready(Record::to(TOPIC).with_key(id.to_string()))
}

/// 3.2, create; P-2, P-3.
#[tokio::test]
async fn a_returned_record_carries_the_context_of_its_creation() {
    let broker = Broker::start();
    let (producer, consumer) = (broker.producer(), broker.consumer());
    let (cx, trace) = root();
    async {
        assert!(maybe(None).await.unwrap().is_none());
        for record in [build(7), maybe(Some(8)).await.unwrap().unwrap(), later(9).await] {
            assert!(record.creation().is_custom());
            producer.send_record(&record, WAIT).await.unwrap();
        }
    }
    .with_context(cx)
    .await;
    let all = spans(trace);
    let sends: Vec<_> = all.iter().filter(|span| span.name == "send orders").collect();
    assert_eq!(sends.len(), 3);
    for send in sends {
        assert_eq!(send.span_kind, SpanKind::Client);
        let message = soon(consumer.recv()).await.unwrap();
        let created = span_id(&extract_trace_context(&message));
        let create = all.iter().find(|span| span.span_context.span_id() == created).unwrap();
        // S-1: named after the record's topic, but for a name of the user's.
        assert!(["create orders", "orders.maybe"].contains(&&*create.name), "{}", create.name);
        assert_eq!(text(create, "messaging.destination.name").as_deref(), Some("orders"));
        assert_eq!(create.span_kind, SpanKind::Producer);
        assert_eq!(text(create, "messaging.operation.type").as_deref(), Some("create"));
        assert_eq!(send.links.links.len(), 1);
    }
    assert_eq!(all.iter().filter(|span| span.name == "orders.maybe").count(), 2);
}

#[kafka_producer(fields(id))]
async fn place(producer: &TracedProducer, id: u64) -> Result<Delivery, KafkaError> {
    let order = Record::to(TOPIC).with_key(id.to_string()).with_value("{}");
    let first = producer.send_record(&order, WAIT).await?;
    charge();
    producer.send_record(&order, WAIT).await?;
    Ok(first)
}

#[traced_span]
fn charge() {}

/// 3.2, neither: adoption.
#[tokio::test]
async fn a_producer_inside_continues_the_span_for_its_first_record() {
    let broker = Broker::start();
    let (producer, consumer) = (broker.producer(), broker.consumer());
    let (cx, trace) = root();
    place(&producer, 7).with_context(cx.clone()).await.unwrap();
    let all = spans(trace);
    let mut sends: Vec<_> = all.iter().filter(|span| span.name == "send orders").collect();
    sends.sort_by_key(|send| text(send, "messaging.kafka.offset"));
    assert_eq!(sends.len(), 2, "{all:#?}");
    let (adopted, second) = (sends[0], sends[1]);
    assert_eq!(adopted.parent_span_id, span_id(&cx));
    assert_eq!(attribute(adopted, "id"), Some(Value::I64(7)));
    assert_eq!(attribute(adopted, "messaging.kafka.offset"), Some(Value::I64(0)));
    assert_eq!(text(adopted, "messaging.destination.name").as_deref(), Some("orders"));
    assert_eq!(adopted.span_kind, SpanKind::Producer);
    assert_eq!(second.parent_span_id, adopted.span_context.span_id());
    assert_eq!(named(&all, "charge").parent_span_id, adopted.span_context.span_id());
    for send in [adopted, second] {
        let message = soon(consumer.recv()).await.unwrap();
        assert_eq!(span_id(&extract_trace_context(&message)), send.span_context.span_id());
    }
}

#[kafka_producer(topic = "orders")]
fn enqueue(producer: &TracedProducer) -> throughline::kafka::DeliveryFuture {
    let record = FutureRecord::<str, str>::to(TOPIC).payload("{}");
    producer.send_result(record).unwrap_or_else(|(error, _)| panic!("{error}"))
}

/// The adopted span ends at the delivery, not with the function.
#[tokio::test]
async fn an_adopted_span_outlives_its_function() {
    let broker = Broker::start();
    broker.cluster.broker_round_trip_time(1, Duration::from_millis(50)).unwrap();
    let producer = broker.producer();
    let (cx, trace) = root();
    let attached = cx.attach();
    let delivery = enqueue(&producer);
    drop(attached);
    assert!(spans(trace).iter().all(|span| span.name != "send orders"), "not delivered yet");
    soon(delivery).await.unwrap().unwrap();
    let all = spans(trace);
    assert_eq!(attribute(named(&all, "send orders"), "messaging.kafka.offset"), Some(Value::I64(0)));
}

#[kafka_producer(topic = "orders")]
fn by_hand(fail: bool) -> Result<Vec<(String, String)>, std::fmt::Error> {
    let mut headers = Vec::new();
    inject_trace_context(&mut headers);
    if fail { Err(std::fmt::Error) } else { Ok(headers) }
}

/// 3.2, neither, with another producer.
#[test]
fn a_body_may_write_the_context_itself() {
    let (cx, trace) = root();
    let attached = cx.attach();
    let headers = by_hand(false).unwrap();
    drop(attached);
    let all = spans(trace);
    assert_eq!(span_id(&extract_trace_context(&headers)), named(&all, "send orders").span_context.span_id());
    let (cx, trace) = root();
    let _attached = cx.attach();
    by_hand(true).unwrap_err();
    let all = spans(trace);
    assert!(matches!(named(&all, "send orders").status, Status::Error { .. }));
}

#[kafka_producer(topic = "orders")]
async fn ends_badly(how: &str) {
    match how {
        "panic" => panic!("on purpose"),
        _ => std::future::pending().await,
    }
}

#[tokio::test]
async fn a_panic_and_a_dropped_future_end_the_span() {
    use futures_util::FutureExt as _;
    for (how, mark) in [("panic", "exception"), ("drop", "throughline.cancelled")] {
        let (cx, trace) = root();
        let mut future = Box::pin(ends_badly(how).with_context(cx));
        let polled =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| future.as_mut().now_or_never()));
        assert_eq!(polled.is_err(), how == "panic");
        drop(future);
        let all = spans(trace);
        let send = named(&all, "send orders");
        if how == "panic" {
            assert_eq!(text(send, "error.type").as_deref(), Some("panic"), "{mark}");
        } else {
            assert!(attribute(send, mark).is_some());
            assert_eq!(send.status, Status::Unset);
        }
    }
}

struct Shop<'p> {
    producer: &'p TracedProducer,
}

trait Place {
    fn place(&mut self, record: Record) -> impl Future<Output = Result<(i32, i64), KafkaError>> + Send;
}

impl Place for Shop<'_> {
    #[kafka_producer(metrics = on)]
    async fn place(&mut self, record: Record) -> Result<(i32, i64), KafkaError> {
        let delivery = self.producer.send_record(&record, WAIT).await?;
        Ok((delivery.partition, delivery.offset))
    }
}

#[kafka_producer(topic = "attribute.sent")]
fn untraced<D: rdkafka::util::IntoOpaque>(
    record: BaseRecord<'_, str, str, D>,
    headers: &Headers,
) -> Result<(), KafkaError> {
    let _ = (record.topic, headers.len());
    Ok(())
}

/// Adoption through a record parameter: one span, one measurement of one send. M-1, M-2.
#[tokio::test]
async fn a_send_is_measured_once_whoever_ends_it() {
    measure();
    let broker = Broker::start();
    let topic = "attribute.measured";
    broker.cluster.create_topic(topic, 1, 1).unwrap();
    let producer = broker.producer();
    let (cx, trace) = root();
    let mut shop = Shop { producer: &producer };
    shop.place(Record::to(topic).with_value("{}")).with_context(cx).await.unwrap();
    named(&spans(trace), "send attribute.measured");
    let sent = point("messaging.client.sent.messages", topic);
    assert_eq!((sent.count, sent.get("messaging.operation.name")), (1, Some("send")));
    assert_eq!(point("messaging.client.operation.duration", topic).count, 1);

    untraced(BaseRecord::<str, str>::to("attribute.sent"), &Headers::new()).unwrap();
    assert_eq!(point("messaging.client.sent.messages", "attribute.sent").count, 1);
    let took = points("messaging.client.operation.duration", "attribute.sent");
    assert_eq!((took.len(), took[0].get("messaging.operation.type")), (1, Some("send")));
}
