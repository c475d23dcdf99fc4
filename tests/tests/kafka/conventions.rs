//! The conventions' checklist, row by row, over all five kinds of operation, single and batch (kafka.md section 1).
//!
//! What a row asks of one operation alone stands with that operation's tests.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::{FutureExt as _, SpanKind, Status};
use opentelemetry::{SpanId, Value};
use opentelemetry_sdk::trace::SpanData;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use throughline::kafka::{
    ProcessOptions, Record, SendOptions, TracedConsumer, TracedConsumerContext, TracedProducer, process,
    process_batch,
};
use throughline::kafka_producer;

use super::support::{Broker, attribute, root, soon, spans, text};

const TOPIC: &str = "conventions";
const WAIT: Duration = Duration::from_secs(10);

#[kafka_producer(topic = "conventions", client_id = "shop")]
fn build(key: &str) -> Record {
    Record::to(TOPIC).with_key(key).with_value("{}")
}

/// Everything that a producer and a consumer do, in one trace.
struct Scenario {
    all: Vec<SpanData>,
}

fn scenario() -> &'static Scenario {
    static SCENARIO: OnceLock<Scenario> = OnceLock::new();
    SCENARIO.get_or_init(|| {
        // A runtime of its own: the tests that share this have none, or another.
        std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run())
        })
        .join()
        .unwrap()
    })
}

async fn run() -> Scenario {
    let broker = Broker::start();
    broker.cluster.create_topic(TOPIC, 1, 1).unwrap();
    let (cx, trace) = root();
    let producer: TracedProducer =
        broker.config().set("client.id", "shop").set("message.max.bytes", "5000").create().unwrap();
    let consumer: TracedConsumer<StreamConsumer<TracedConsumerContext>> = broker
        .config()
        .set("group.id", "billing")
        .set("client.id", "billing-1")
        .set("fetch.wait.max.ms", "10")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    async {
        // Sends: of what was created, of a tombstone, of a batch, and one that fails.
        producer.send_record(&build("created"), WAIT).await.unwrap();
        producer.send_record(&Record::to(TOPIC).with_key("gone"), WAIT).await.unwrap();
        let sized = producer.with_options(SendOptions::new().sizes(true).template("conv.{x}"));
        sized.send_record(&Record::to(TOPIC).with_key([0xff]).with_value("{}"), WAIT).await.unwrap();
        let batch = ["a", "b"].map(|key| Record::to(TOPIC).with_key(key).with_value("{}"));
        for sent in producer.send_batch(&batch, WAIT).await {
            sent.unwrap();
        }
        let large = Record::to(TOPIC).with_value(vec![0; 6000]);
        producer.send_record(&large, WAIT).await.unwrap_err();

        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
        consumer.assign(&partitions).unwrap();
        let mut received = Vec::new();
        for _ in 0..5 {
            received.push(soon(consumer.recv()).await.unwrap());
        }
        let options = || ProcessOptions::new().group("billing").client_id("billing-1");
        process(&received[0], options(), async { consumer.commit_message(&received[0], CommitMode::Sync) })
            .await
            .unwrap();
        process(&received[1], options().sizes(true), async { Ok::<_, KafkaError>(()) }).await.unwrap();
        let failed = options().template("conv.{x}").sizes(true);
        process(&received[2], failed, async { Err::<(), _>(KafkaError::Canceled) }).await.unwrap_err();
        process_batch(&received[3..], options(), async { Ok::<_, KafkaError>(()) }).await.unwrap();
        let one: &[throughline::kafka::Received<'_>] = &received[4..];
        process_batch(one, options(), async { Ok::<_, KafkaError>(()) }).await.unwrap();
    }
    .with_context(cx)
    .await;
    let mut all = spans(trace);
    all.retain(|span| span.name != "root");
    Scenario { all }
}

impl Scenario {
    /// The spans of an operation type.
    fn of(&self, operation_type: &str) -> Vec<&SpanData> {
        let of = |span: &&SpanData| text(span, "messaging.operation.type").as_deref() == Some(operation_type);
        let found: Vec<_> = self.all.iter().filter(of).collect();
        assert!(!found.is_empty(), "no {operation_type} in {:#?}", self.all);
        found
    }

    fn single(&self, operation_type: &str) -> Vec<&SpanData> {
        let mut found = self.of(operation_type);
        found.retain(|span| attribute(span, "messaging.batch.message_count").is_none());
        found
    }

    fn batch(&self, operation_type: &str) -> Vec<&SpanData> {
        let mut found = self.of(operation_type);
        found.retain(|span| attribute(span, "messaging.batch.message_count").is_some());
        found
    }
}

const TYPES: [&str; 5] = ["create", "send", "receive", "process", "settle"];

/// The table of operations, S-1.
#[test]
fn every_span_says_what_it_does_in_the_words_of_the_convention() {
    let scenario = scenario();
    let rows = [
        ("create", "create", &[SpanKind::Producer][..]),
        ("send", "send", &[SpanKind::Producer, SpanKind::Client]),
        ("receive", "poll", &[SpanKind::Client]),
        ("process", "process", &[SpanKind::Consumer]),
        ("settle", "commit", &[SpanKind::Client]),
    ];
    let mut seen = 0;
    for (operation_type, name, kinds) in rows {
        for span in scenario.of(operation_type) {
            assert_eq!(text(span, "messaging.system").as_deref(), Some("kafka"));
            assert_eq!(text(span, "messaging.operation.name").as_deref(), Some(name));
            assert!(kinds.contains(&span.span_kind), "{span:#?}");
            let template = text(span, "messaging.destination.template");
            let destination = template.unwrap_or_else(|| TOPIC.to_owned());
            assert_eq!(span.name, format!("{name} {destination}"), "S-1");
            seen += 1;
        }
    }
    assert_eq!(seen, scenario.all.len(), "another type than those five");
}

///
#[test]
fn destination_partition_and_server_have_their_names_and_types() {
    for span in &scenario().all {
        assert_eq!(attribute(span, "messaging.destination.name"), Some(Value::String(TOPIC.into())), "A-3");
        // only where one was given, and never the topic.
        let template = text(span, "messaging.destination.template");
        assert!(template.is_none_or(|template| template == "conv.{x}"));
        if let Some(partition) = attribute(span, "messaging.destination.partition.id") {
            assert_eq!(partition, Value::String("0".into()), "A-11: a string");
        }
        if let Some(address) = attribute(span, "server.address") {
            assert_eq!(address, Value::String("127.0.0.1".into()), "A-14");
            assert!(matches!(attribute(span, "server.port"), Some(Value::I64(1..))), "A-14: an int");
        }
        assert!(attribute(span, "network.peer.address").is_none(), "A-14: rdkafka does not tell");
    }
    for operation_type in ["receive", "process", "settle"] {
        let all = scenario().of(operation_type);
        assert!(all.iter().all(|span| text(span, "messaging.destination.partition.id").is_some()), "A-11");
    }
    let delivered: Vec<_> =
        scenario().single("send").into_iter().filter(|span| span.status == Status::Unset).collect();
    assert!(delivered.iter().all(|span| text(span, "messaging.destination.partition.id").is_some()), "A-11");
    for operation_type in ["send", "receive", "settle"] {
        let all = scenario().of(operation_type);
        assert!(all.iter().all(|span| attribute(span, "server.port").is_some()), "A-14 {operation_type}");
    }
    assert!(scenario().all.iter().any(|span| attribute(span, "messaging.destination.template").is_some()));
}

///
#[test]
fn group_and_client_are_on_the_spans_that_have_them() {
    for operation_type in TYPES {
        for span in scenario().of(operation_type) {
            let group = text(span, "messaging.consumer.group.name");
            let client = text(span, "messaging.client.id");
            match operation_type {
                "create" | "send" => assert_eq!((group, client.as_deref()), (None, Some("shop"))),
                _ => {
                    assert_eq!(group.as_deref(), Some("billing"));
                    assert_eq!(client.as_deref(), Some("billing-1"));
                }
            }
        }
    }
    // known after the first metadata.
    for operation_type in ["send", "receive", "settle"] {
        let known = |span: &&SpanData| attribute(span, "messaging.kafka.cluster.id").is_some();
        let last = scenario().of(operation_type).into_iter().max_by_key(|span| span.start_time).unwrap();
        assert!(known(&last), "{operation_type}: {last:#?}");
    }
}

///
#[test]
fn a_count_is_on_batch_operations_alone() {
    let counts = |operation_type| {
        let mut counts: Vec<_> = scenario()
            .batch(operation_type)
            .iter()
            .map(|span| text(span, "messaging.batch.message_count").unwrap())
            .collect();
        counts.sort();
        counts
    };
    assert_eq!(counts("send"), ["2"]);
    assert_eq!(counts("process"), ["1", "2"], "also for a batch of one");
    for never in ["create", "receive", "settle"] {
        assert!(scenario().batch(never).is_empty(), "{never}");
    }
    assert_eq!(scenario().single("send").len(), 4);
    assert_eq!(scenario().single("process").len(), 3);
}

///
#[test]
fn a_tombstone_is_said_of_null_values_alone() {
    for operation_type in TYPES {
        for span in scenario().of(operation_type) {
            let gone = text(span, "messaging.kafka.message.key").as_deref() == Some("gone");
            let expected = (gone && operation_type != "settle").then_some(Value::Bool(true));
            assert_eq!(attribute(span, "messaging.kafka.message.tombstone"), expected, "{}", span.name);
        }
    }
    let of_key = |span: &&SpanData| text(span, "messaging.kafka.message.key").as_deref() == Some("gone");
    assert_eq!(scenario().all.iter().filter(of_key).count(), 3, "sent, received, processed");
}

/// A-8, E-1.
#[test]
fn error_type_is_there_if_and_only_if_the_operation_failed() {
    for span in &scenario().all {
        let failed = attribute(span, "error.type").is_some();
        match &span.status {
            Status::Unset => assert!(!failed, "{span:#?}"),
            Status::Error { description } => assert!(failed && !description.is_empty(), "{span:#?}"),
            Status::Ok => panic!("never Ok: {span:#?}"),
        }
    }
    let types: Vec<_> = scenario().all.iter().filter_map(|span| text(span, "error.type")).collect();
    assert_eq!(types.len(), 2, "{types:?}");
    assert!(
        types.contains(&"MESSAGE_TOO_LARGE".to_owned()),
        "the protocol's constant, not librdkafka's name"
    );
}

///
#[test]
fn key_offset_and_size_are_on_single_messages() {
    for operation_type in TYPES {
        for span in scenario().batch(operation_type) {
            for single in
                ["messaging.kafka.message.key", "messaging.kafka.offset", "messaging.message.body.size"]
            {
                assert!(attribute(span, single).is_none(), "{single} on {}", span.name);
            }
        }
    }
    for span in scenario().single("receive") {
        assert!(matches!(attribute(span, "messaging.kafka.offset"), Some(Value::I64(0..=4))), "A-10: an int");
    }
    for span in scenario().single("create") {
        assert!(attribute(span, "messaging.kafka.offset").is_none(), "A-10: not known yet");
    }
    let keys = |operation_type| -> Vec<_> {
        let all = scenario().single(operation_type);
        all.iter().filter_map(|span| text(span, "messaging.kafka.message.key")).collect()
    };
    // the third key is no text.
    assert_eq!(keys("receive").len(), 4);
    assert_eq!(keys("process").len(), 2);
    assert!(keys("settle").is_empty());
    for span in &scenario().all {
        let sized = attribute(span, "messaging.message.body.size");
        assert!(sized.is_none_or(|size| size == Value::I64(2)), "A-15");
        let asked = attribute(span, "messaging.destination.template").is_some();
        assert!(!asked || attribute(span, "messaging.message.body.size").is_some(), "A-15");
    }
}

///
#[test]
fn message_ids_come_from_a_named_header_alone() {
    for span in &scenario().all {
        assert!(attribute(span, "messaging.message.id").is_none());
        assert!(attribute(span, "messaging.message.conversation_id").is_none());
    }
}

/// A-17, C-1, C-4, P-3.
#[test]
fn links_lead_to_the_creation_of_each_message() {
    let scenario = scenario();
    let creates: Vec<SpanId> = scenario.of("create").iter().map(|span| span.span_context.span_id()).collect();
    let sends: Vec<SpanId> = scenario.of("send").iter().map(|span| span.span_context.span_id()).collect();
    for operation_type in ["receive", "process"] {
        for span in scenario.of(operation_type) {
            let expected = match attribute(span, "messaging.batch.message_count") {
                Some(Value::I64(count)) => usize::try_from(count).unwrap(),
                _ => 1,
            };
            assert_eq!(span.links.links.len(), expected, "{span:#?}");
            for link in &span.links.links {
                let to = link.span_context.span_id();
                assert!(creates.contains(&to) || sends.contains(&to), "C-1: {span:#?}");
            }
        }
    }
    for span in scenario.batch("process") {
        assert!(!creates.contains(&span.parent_span_id), "C-4: never a creation context as parent");
        for link in &span.links.links {
            let has = |key: &str| link.attributes.iter().any(|kv| kv.key.as_str() == key);
            assert!(has("messaging.kafka.offset") && has("messaging.kafka.message.key"), "A-17");
            assert!(!has("messaging.destination.partition.id"), "A-17: equal, so it is on the span");
        }
    }
    let batch = scenario.batch("send");
    assert_eq!(batch[0].span_kind, SpanKind::Client, "P-3");
    assert!(batch[0].links.links.iter().all(|link| creates.contains(&link.span_context.span_id())), "P-3");
    for settle in scenario.of("settle") {
        assert!(settle.links.links.is_empty(), "C-3");
    }
}

/// S-2: the reference picture, apart from the ambient span that this test runs in.
#[test]
fn a_message_has_one_receive_and_its_commit_is_the_process_spans_child() {
    let scenario = scenario();
    assert_eq!(scenario.of("receive").len(), 5, "one per message that was handed out");
    let processes: Vec<SpanId> = scenario.of("process").iter().map(|s| s.span_context.span_id()).collect();
    for commit in scenario.of("settle") {
        assert!(processes.contains(&commit.parent_span_id), "C-3");
        assert_eq!(commit.status, Status::Unset);
    }
}

/// names of older conventions.
#[test]
fn no_older_name_appears() {
    const OLD: [&str; 14] = [
        "messaging.kafka.message.offset",
        "messaging.kafka.consumer.group",
        "messaging.kafka.consumer_group",
        "messaging.kafka.destination.partition",
        "messaging.kafka.partition",
        "messaging.kafka.client_id",
        "messaging.kafka.message_key",
        "messaging.kafka.tombstone",
        "messaging.client_id",
        "messaging.operation",
        "messaging.destination_kind",
        "messaging.destination",
        "messaging.url",
        "messaging.consumer_id",
    ];
    for span in &scenario().all {
        let links = span.links.links.iter().flat_map(|link| &link.attributes);
        for kv in span.attributes.iter().chain(links) {
            assert!(!OLD.contains(&kv.key.as_str()), "{} on {}", kv.key, span.name);
            assert!(
                kv.key.as_str().starts_with("messaging.")
                    || kv.key.as_str().starts_with("throughline.")
                    || kv.key.as_str().starts_with("code.")
                    || ["server.address", "server.port", "error.type", "thread.id", "thread.name"]
                        .contains(&kv.key.as_str()),
                "{} is of no convention that is kept to here",
                kv.key
            );
        }
        let operation = text(span, "messaging.operation.type").unwrap();
        assert!(!["publish", "deliver"].contains(&operation.as_str()));
        assert!(!span.name.ends_with("publish") && !span.name.starts_with(TOPIC), "{}", span.name);
        assert!(span.events.events.is_empty(), "E-2: no span events");
    }
}
