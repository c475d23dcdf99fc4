//! The same through librdkafka's embedded cluster: what a producer sends is what a consumer reads.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{FutureExt as _, SpanKind, TraceContextExt as _};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::OwnedMessage;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use throughline::kafka::{CreationContext, DecodeError, Headers, Record, Tombstone, TracedProducer};
use throughline::{KafkaMessage, kafka_consumer};

use super::support::{named, root, spans, telemetry};

const WAIT: Duration = Duration::from_secs(5);

#[derive(KafkaMessage, Clone, Debug, PartialEq)]
#[kafka(topic = "orders", event = "order.placed")]
struct Order {
    #[kafka(key)]
    id: u64,
    #[kafka(header = "x-tenant")]
    tenant: Option<Option<String>>,
    #[kafka(header = "x-plan", baggage)]
    plan: Option<String>,
    #[kafka(timestamp)]
    at: SystemTime,
    #[kafka(partition)]
    partition: Option<i32>,
    #[kafka(trace)]
    trace: CreationContext,
    #[kafka(headers)]
    rest: Headers,
    amount: u64,
}

/// With headers as only a raw producer writes them (kafka.md F-M2, M3).
fn order() -> Order {
    let mut rest = Headers::new()
        .with([0xff, 0xfe], [0xff, 0])
        .with("", "no name")
        .with("twice", "1")
        .with("TWICE", "a\r\n\x1b[31m")
        .with("b3", "0")
        .with(vec![b'n'; 32 * 1024], "");
    rest.push_null("null");
    rest.push("twice", "1");
    Order {
        id: 7,
        tenant: Some(None),
        plan: Some("gold".to_owned()),
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        partition: Some(0),
        trace: CreationContext::none(),
        rest,
        amount: 12,
    }
}

struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Broker {
    fn start() -> Self {
        telemetry();
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(Order::TOPIC, 1, 1).unwrap();
        Broker { cluster }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.cluster.bootstrap_servers()).set("linger.ms", "0");
        config
    }

    fn producer(&self) -> TracedProducer {
        self.config().create().unwrap()
    }

    /// A consumer of everything; it takes the partition by itself, since joining a group takes seconds.
    fn consumer(&self) -> StreamConsumer {
        let mut config = self.config();
        config.set("group.id", "billing").set("fetch.wait.max.ms", "10").set("enable.auto.commit", "false");
        let consumer: StreamConsumer = config.create().unwrap();
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(Order::TOPIC, 0, Offset::Beginning).unwrap();
        consumer.assign(&partitions).unwrap();
        consumer
    }
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.unwrap()
}

/// kafka.md D-6, D-8.
#[tokio::test]
async fn a_message_crosses_the_broker_as_it_is() {
    let broker = Broker::start();
    let (cx, trace) = root();
    let sent = order();
    broker.producer().send_record(&sent.to_record().unwrap(), WAIT).with_context(cx.clone()).await.unwrap();
    let consumer = broker.consumer();
    let message = soon(consumer.recv()).await.unwrap();
    let read = Order::from_message(&message).unwrap();
    // It came without a context, and the producer gave it that of its span.
    assert_eq!(Order { trace: CreationContext::none(), ..read.clone() }, sent);
    let received = read.trace.context().unwrap();
    assert_eq!(received.span().span_context().trace_id(), trace);
    assert_eq!(received.baggage().get("x-plan").map(ToString::to_string).as_deref(), Some("gold"));
    let wire = Headers::copy_of(&message);
    assert_eq!(wire.get_all("traceparent").count(), 1);
    assert_eq!(wire.get("event"), Some(Some(&b"order.placed"[..])));
    // An owned copy reads the same: headers that rdkafka's own readers panic on are kept by both.
    let owned: OwnedMessage = message.detach();
    assert_eq!(Order::from_message(&owned).unwrap(), read);
}

static HANDLED: Mutex<Vec<(u64, Option<i64>)>> = Mutex::new(Vec::new());

#[kafka_consumer(group = "billing", topic = "orders", headers("twice" = "app.twice"))]
async fn handle(order: Record<Order>) -> Result<(), DecodeError> {
    HANDLED.lock().unwrap().push((order.value().id, order.offset()));
    Ok(())
}

#[kafka_consumer(group = "billing", name = "batch of orders")]
fn handle_batch(orders: &[Record<Order>]) -> u64 {
    orders.iter().map(|order| order.value().amount).sum()
}

#[tokio::test]
async fn a_record_of_a_message_continues_the_senders_trace() {
    let broker = Broker::start();
    let (cx, trace) = root();
    // A message of long ago would be linked, not continued.
    let sent = Order { id: 4711, at: SystemTime::now(), ..order() };
    broker.producer().send_record(&sent.to_record().unwrap(), WAIT).with_context(cx).await.unwrap();
    let consumer = broker.consumer();
    let message = soon(consumer.recv()).await.unwrap();
    let record: Record<Order> = Record::read(&message).unwrap();
    assert_eq!(record.topic(), "orders");
    handle(record.clone()).await.unwrap();
    assert_eq!(HANDLED.lock().unwrap().iter().filter(|handled| **handled == (4711, Some(0))).count(), 1);
    let (batch_cx, batch_trace) = root();
    let total = {
        let _current = batch_cx.attach();
        handle_batch(&[record.clone(), record])
    };
    assert_eq!(total, 24);
    let of_message = spans(trace);
    let send = named(&of_message, "send orders");
    let process = named(&of_message, "process orders");
    assert_eq!(process.parent_span_id, send.span_context.span_id());
    let captured = process.attributes.iter().find(|attribute| attribute.key.as_str() == "app.twice");
    assert_eq!(captured.unwrap().value.as_str(), "1");
    let of_batch = spans(batch_trace);
    let batch = named(&of_batch, "batch of orders");
    let linked: Vec<_> = batch.links.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(linked, [send.span_context.span_id(); 2]);
}

/// kafka.md P-2, T-3: what was set on purpose is kept, what came with a message is replaced.
#[tokio::test]
async fn a_custom_context_is_kept_and_a_received_one_replaced() {
    let broker = Broker::start();
    let producer = broker.producer();
    let (made, made_trace) = root();
    let mut custom = order();
    custom.trace.set(made.clone());
    let (cx, trace) = root();
    producer.send_record(&custom.to_record().unwrap(), WAIT).with_context(cx).await.unwrap();
    let consumer = broker.consumer();
    let first = Order::from_message(&soon(consumer.recv()).await.unwrap()).unwrap();
    assert_eq!(first, custom);
    assert!(!first.trace.is_custom());
    // Sent on as it was read.
    let (on, on_trace) = root();
    producer.send_record(&first.to_record().unwrap(), WAIT).with_context(on).await.unwrap();
    let second = soon(consumer.recv()).await.unwrap();
    assert_eq!(Headers::copy_of(&second).get_all("traceparent").count(), 1);
    let second = Order::from_message(&second).unwrap();
    assert_eq!(second.trace.context().unwrap().span().span_context().trace_id(), on_trace);
    assert_eq!(second.rest, custom.rest);
    // And kept on purpose.
    let kept = Order { trace: first.trace.clone().keep(), ..second };
    producer.send_record(&kept.to_record().unwrap(), WAIT).await.unwrap();
    let third = Order::from_message(&soon(consumer.recv()).await.unwrap()).unwrap();
    assert_eq!(third.trace, first.trace);
    assert_eq!(third.trace.context().unwrap().span().span_context().trace_id(), made_trace);

    let spans_of_send = spans(trace);
    let send = named(&spans_of_send, "send orders");
    assert_eq!(send.span_kind, SpanKind::Client);
    assert_eq!(send.links.links[0].span_context.span_id(), made.span().span_context().span_id());
    let spans_of_on = spans(on_trace);
    assert_eq!(named(&spans_of_on, "send orders").span_kind, SpanKind::Producer);
}

/// kafka.md D-8.
#[tokio::test]
async fn null_and_empty_values_cross_the_broker() {
    let broker = Broker::start();
    let producer = broker.producer();
    producer.send_record(&Tombstone::<Order>::new("7").to_record().unwrap(), WAIT).await.unwrap();
    producer.send_record(&Record::to("orders").with_value("").with_key(""), WAIT).await.unwrap();
    producer.send_record(&Record::to("orders"), WAIT).await.unwrap();
    let consumer = broker.consumer();
    let mut read = Vec::new();
    for _ in 0..3 {
        read.push(Record::copy_of(&soon(consumer.recv()).await.unwrap()));
    }
    assert_eq!(Tombstone::<Order>::from_message(&read[0]).unwrap().key.as_deref(), Some(&b"7"[..]));
    assert!(read[0].decode::<Option<Order>>().unwrap().value().is_none());
    assert_eq!((read[1].key(), read[1].value().as_deref()), (Some(&b""[..]), Some(&b""[..])));
    assert!(Tombstone::<Order>::from_message(&read[1]).is_err());
    assert_eq!((read[2].key(), read[2].value().as_deref()), (None, None));
}
