//! kafka.md A-16: what samplers see of a span, which is what it has at its creation. A process of its own: the sampler is
//! that of the whole process.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use throughline::kafka::{
    ProcessOptions, Record, SendOptions, TracedConsumer, TracedConsumerContext, TracedProducer, process,
    process_batch,
};
use throughline::{Setup, kafka_producer};

#[derive(Clone, Debug)]
struct Seen {
    name: String,
    kind: SpanKind,
    attributes: Vec<(String, String)>,
    links: usize,
}

static SEEN: Mutex<Vec<Seen>> = Mutex::new(Vec::new());

/// Samples everything, and writes down what it was asked.
#[derive(Clone, Debug)]
struct Listening;

impl ShouldSample for Listening {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let attributes = attributes.iter().map(|kv| (kv.key.to_string(), kv.value.to_string())).collect();
        let seen = Seen { name: name.to_owned(), kind: kind.clone(), attributes, links: links.len() };
        SEEN.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        let trace_state =
            parent.map_or(TraceState::NONE, |cx| cx.span().span_context().trace_state().clone());
        SamplingResult { decision: SamplingDecision::RecordAndSample, attributes: Vec::new(), trace_state }
    }
}

#[kafka_producer(topic = "orders", template = "orders.{x}")]
fn build() -> Record {
    Record::to("orders").with_key("k").with_value("{}")
}

#[tokio::test]
async fn samplers_see_the_attributes_of_the_convention() {
    const WAIT: Duration = Duration::from_secs(10);
    let _telemetry = Setup::new("sampler")
        .without_environment()
        .exporters([])
        .sampler(Listening)
        .subscriber(false)
        .install()
        .unwrap();
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", 1, 1).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("linger.ms", "0");
    let producer: TracedProducer = config.create().unwrap();
    let producer = producer.with_options(SendOptions::new().template("orders.{x}"));
    producer.send_record(&build().with_partition(0), WAIT).await.unwrap();
    let batch = ["a", "b"].map(|key| Record::to("orders").with_partition(0).with_key(key).with_value("{}"));
    producer.send_batch(&batch, WAIT).await;

    let consumer: TracedConsumer<StreamConsumer<TracedConsumerContext>> = config
        .set("group.id", "billing")
        .set("fetch.wait.max.ms", "10")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset("orders", 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let (first, second) = (consumer.recv().await.unwrap(), consumer.recv().await.unwrap());
    let options = || ProcessOptions::new().group("billing").template("orders.{x}").server("kafka", 9092);
    process(&first, options(), async { consumer.commit_message(&first, CommitMode::Sync) }).await.unwrap();
    process_batch(&[first, second], options(), async { Ok::<_, KafkaError>(()) }).await.unwrap();

    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // What each operation has at its creation; a template and a server where one was given.
    let (template, server) = ("messaging.destination.template", "server.address");
    let rows: [(&str, &str, SpanKind, &[&str], usize); 8] = [
        ("create orders.{x}", "create", SpanKind::Producer, &[template], 3),
        ("send orders.{x}", "send", SpanKind::Client, &[template, server], 2),
        ("poll orders", "receive", SpanKind::Client, &[server, "messaging.consumer.group.name"], 2),
        ("process orders.{x}", "process", SpanKind::Consumer, &[template, server], 2),
        ("commit orders", "settle", SpanKind::Client, &[server, "messaging.consumer.group.name"], 1),
        ("process orders.{x}", "process", SpanKind::Consumer, &["messaging.consumer.group.name"], 2),
        ("process orders.{x}", "process", SpanKind::Consumer, &["server.port"], 2),
        ("send orders.{x}", "send", SpanKind::Client, &["server.port"], 2),
    ];
    for (name, operation_type, kind, more, count) in rows {
        let of: Vec<_> = seen.iter().filter(|span| span.name == name).collect();
        assert_eq!(of.len(), count, "{name}: {seen:#?}");
        for span in of {
            assert_eq!(span.kind, kind, "{name}");
            let get = |key: &str| span.attributes.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
            assert_eq!(get("messaging.system"), Some("kafka"));
            assert_eq!(get("messaging.operation.type"), Some(operation_type));
            assert!(get("messaging.operation.name").is_some());
            assert_eq!(get("messaging.destination.name"), Some("orders"));
            for key in more {
                assert!(get(key).is_some(), "{key} on {span:#?}");
            }
            // The function's own create span does not know the partition.
            if operation_type != "create" {
                assert_eq!(get("messaging.destination.partition.id"), Some("0"), "{span:#?}");
                assert!(
                    span.links > 0 || operation_type == "settle",
                    "links are given at creation: {span:#?}"
                );
            }
        }
    }
}
