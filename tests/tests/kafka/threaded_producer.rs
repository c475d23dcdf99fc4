//! The producer with the user's own delivery callback.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use opentelemetry::Value;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::message::{DeliveryResult, Headers as _};
use rdkafka::producer::{BaseRecord, Partitioner, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Message as _};
use throughline::extract_trace_context;
use throughline::kafka::{KeyText, SendOptions, TracedThreadedProducer, WithCreation as _};

use super::support::{Broker, TOPIC, attribute, named, root, soon, spans, text};

const WAIT: Duration = Duration::from_secs(10);

/// What the program keeps with a record.
struct Tag(&'static str);

/// What the callback was told.
struct Told {
    opaque: Box<Tag>,
    offset: Result<i64, Option<RDKafkaErrorCode>>,
}

/// Tells every delivery; panics when it is told to.
struct Callback {
    told: Mutex<Sender<Told>>,
    partitioner: Option<Last>,
}

struct Last {
    panics: bool,
}

impl Partitioner for Last {
    fn partition(&self, _: &str, _: Option<&[u8]>, partitions: i32, _: impl Fn(i32) -> bool) -> i32 {
        assert!(!self.panics, "on purpose");
        partitions - 1
    }
}

impl ClientContext for Callback {}

impl ProducerContext<Last> for Callback {
    type DeliveryOpaque = Box<Tag>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Box<Tag>) {
        let panics = opaque.0 == "panic";
        let offset = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.rdkafka_error_code()),
        };
        self.told.lock().unwrap().send(Told { opaque, offset }).unwrap();
        assert!(!panics, "on purpose");
    }

    fn get_custom_partitioner(&self) -> Option<&Last> {
        self.partitioner.as_ref()
    }
}

type Producer = TracedThreadedProducer<Callback, Last>;

fn producer(config: &ClientConfig, partitioner: Option<Last>) -> (Producer, Receiver<Told>) {
    let (told, receiver) = channel();
    let context = Callback { told: Mutex::new(told), partitioner };
    (Producer::from_config_and_context(config, context).unwrap(), receiver)
}

fn record(opaque: &'static str) -> BaseRecord<'static, str, str, Box<Tag>> {
    BaseRecord::with_opaque_to(TOPIC, Box::new(Tag(opaque))).key("order-7").payload("{}")
}

#[tokio::test]
async fn a_send_ends_before_the_callback_is_told() {
    let broker = Broker::start();
    let (producer, told) = producer(broker.config().set("client.id", "shop"), None);
    let (cx, trace) = root();
    let attached = cx.attach();
    producer.send(record("mine")).map_err(|(error, _)| error).unwrap();
    drop(attached);
    let delivery = told.recv_timeout(WAIT).unwrap();
    assert_eq!((delivery.opaque.0, delivery.offset), ("mine", Ok(0)));
    let spans = spans(trace);
    let send = named(&spans, "send orders");
    assert_eq!((send.span_kind.clone(), send.status.clone()), (SpanKind::Producer, Status::Unset));
    assert_eq!(attribute(send, "messaging.kafka.offset"), Some(Value::I64(0)));
    assert_eq!(text(send, "messaging.client.id").as_deref(), Some("shop"));
    assert_eq!(text(send, "messaging.kafka.message.key").as_deref(), Some("order-7"));
    let consumer = broker.consumer();
    let message = soon(consumer.recv()).await.unwrap();
    let created = extract_trace_context(&message).span().span_context().span_id();
    assert_eq!(created, send.span_context.span_id());
}

/// R-6, F-L3.
#[tokio::test]
async fn a_panic_in_the_callback_does_not_end_the_deliveries() {
    let broker = Broker::start();
    let (producer, told) = producer(&broker.config(), None);
    let (cx, trace) = root();
    let attached = cx.attach();
    for opaque in ["panic", "after"] {
        producer.send(record(opaque)).map_err(|(error, _)| error).unwrap();
    }
    drop(attached);
    assert_eq!(told.recv_timeout(WAIT).unwrap().opaque.0, "panic");
    assert_eq!(told.recv_timeout(WAIT).unwrap().opaque.0, "after");
    producer.flush(WAIT).unwrap();
    assert_eq!(spans(trace).iter().filter(|span| span.name == "send orders").count(), 2);
}

/// F-B4: the record comes back with its opaque value; sending it again replaces the header.
#[tokio::test]
async fn a_full_queue_gives_the_record_and_its_opaque_back() {
    let broker = Broker::start();
    broker.cluster.broker_down(1).unwrap();
    let (producer, told) = producer(broker.config().set("queue.buffering.max.messages", "1"), None);
    producer.send(record("waiting")).map_err(|(error, _)| error).unwrap();
    let (cx, trace) = root();
    let attached = cx.attach();
    let (error, refused) = producer.send(record("refused")).unwrap_err();
    drop(attached);
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
    assert_eq!(refused.delivery_opaque.0, "refused");
    assert_eq!(text(named(&spans(trace), "send orders"), "error.type").as_deref(), Some("_QUEUE_FULL"));

    let (_, refused) = producer.send(refused).unwrap_err();
    assert_eq!(refused.headers.unwrap().count(), 1);
    assert_eq!(producer.close(Duration::ZERO), 1);
    let purged = told.recv_timeout(WAIT).unwrap();
    assert_eq!((purged.opaque.0, purged.offset), ("waiting", Err(Some(RDKafkaErrorCode::PurgeQueue))));
}

#[tokio::test]
async fn the_users_partitioner_chooses_and_may_panic() {
    let broker = Broker::start();
    broker.cluster.create_topic("threaded.partitions", 3, 1).unwrap();
    let mut config = broker.config();
    config.set("sticky.partitioning.linger.ms", "0");
    for (panics, expected) in [(false, Ok(0)), (true, Err(Some(RDKafkaErrorCode::UnknownPartition)))] {
        let (producer, told) = producer(&config, Some(Last { panics }));
        let (cx, trace) = root();
        let attached = cx.attach();
        let record = record("x").topic("threaded.partitions");
        // With the topic's metadata at hand, the partitioner is asked at once and the record refused.
        let sent = producer.send(record).map_err(|(error, _)| error.rdkafka_error_code());
        drop(attached);
        let outcome = match sent {
            Ok(()) => told.recv_timeout(WAIT).unwrap().offset,
            Err(error) => Err(error),
        };
        assert_eq!(outcome, expected);
        producer.flush(WAIT).unwrap();
        let spans = spans(trace);
        let send = named(&spans, "send threaded.partitions");
        if panics {
            assert_eq!(text(send, "error.type").as_deref(), Some("_UNKNOWN_PARTITION"));
        } else {
            assert_eq!(text(send, "messaging.destination.partition.id").as_deref(), Some("2"));
        }
    }
}

/// P-2, T-3.
#[tokio::test]
async fn a_base_record_takes_a_creation_context_and_options() {
    let broker = Broker::start();
    let (producer, told) = producer(&broker.config(), None);
    let producer = producer.with_options(SendOptions::new().key(KeyText::Off));
    let ((created, created_trace), (cx, trace)) = (root(), root());
    let attached = cx.attach();
    producer.send(record("x").creation_context(created)).map_err(|(error, _)| error).unwrap();
    drop(attached);
    told.recv_timeout(WAIT).unwrap().offset.unwrap();
    let spans = spans(trace);
    let send = named(&spans, "send orders");
    assert_eq!(send.span_kind, SpanKind::Client);
    assert_eq!(send.links.links[0].span_context.trace_id(), created_trace);
    assert!(attribute(send, "messaging.kafka.message.key").is_none());
    let consumer = broker.consumer();
    let message = soon(consumer.recv()).await.unwrap();
    assert_eq!(extract_trace_context(&message).span().span_context().trace_id(), created_trace);
}

/// Transactions are delegated.
#[tokio::test]
async fn a_transaction_commits_what_was_sent() {
    let broker = Broker::start();
    let producer: TracedThreadedProducer = broker.config().set("transactional.id", "shop").create().unwrap();
    producer.init_transactions(WAIT).unwrap();
    producer.begin_transaction().unwrap();
    let (cx, trace) = root();
    let attached = cx.attach();
    let record: BaseRecord<'_, str, str> = BaseRecord::to(TOPIC).payload("{}");
    producer.send(record).map_err(|(error, _)| error).unwrap();
    drop(attached);
    producer.commit_transaction(WAIT).unwrap();
    producer.flush(WAIT).unwrap();
    assert_eq!(named(&spans(trace), "send orders").status, Status::Unset);
    assert_eq!(producer.clone().in_flight_count(), 0);
}

#[test]
fn reports_of_errors_only_are_refused() {
    let refused =
        ClientConfig::new().set("delivery.report.only.error", "true").create::<TracedThreadedProducer>();
    assert!(refused.unwrap_err().to_string().contains("delivery.report.only.error"));
}
