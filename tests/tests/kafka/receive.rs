//! Receive and settle spans: pulls, commits that wait and that do not, automatic ones.

use std::time::Duration;

use opentelemetry::Value;
use opentelemetry::trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _};
use opentelemetry_sdk::trace::SpanData;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use throughline::kafka::{ProcessOptions, Received, Record, TracedConsumer, TracedConsumerContext, process};
use throughline::kafka_consumer;

use super::meters::{measure, point, points};
use super::support::{Broker, TOPIC, attribute, named, root, soon, spans, text};

const WAIT: Duration = Duration::from_secs(10);

fn config(broker: &Broker) -> ClientConfig {
    let mut config = broker.config();
    config
        .set("group.id", "billing")
        .set("client.id", "billing-1")
        .set("fetch.wait.max.ms", "10")
        .set("enable.auto.commit", "false");
    config
}

fn assigned<C: ConsumerContext, B: Consumer<C>>(consumer: B, topic: &str) -> B {
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    consumer
}

fn stream(broker: &Broker, topic: &str) -> TracedConsumer<StreamConsumer<TracedConsumerContext>> {
    assigned(config(broker).create().unwrap(), topic)
}

async fn sent(broker: &Broker, topic: &str, keys: &[&str]) -> Vec<opentelemetry::SpanId> {
    let (cx, trace) = root();
    let producer = broker.producer();
    for key in keys {
        let record = Record::to(topic).with_key(*key).with_value("{}");
        producer.send_record(&record, WAIT).with_context(cx.clone()).await.unwrap();
    }
    let mut sends = spans(trace);
    sends.sort_by_key(|span| span.start_time);
    sends.iter().filter(|span| span.name.starts_with("send")).map(|s| s.span_context.span_id()).collect()
}

#[kafka_consumer(group = "billing")]
async fn bill(message: &Received<'_>) {
    let _ = message.payload();
}

/// S-2, C-1, A-5, A-12 and the row `receive` of the table.
#[tokio::test]
async fn a_pull_is_a_client_span_that_links_to_the_sender() {
    let broker = Broker::start();
    let senders = sent(&broker, TOPIC, &["a", "b"]).await;
    let consumer = stream(&broker, TOPIC);
    let (cx, trace) = root();
    for _ in 0..2 {
        let message = soon(consumer.recv().with_context(cx.clone())).await.unwrap();
        assert_eq!(message.payload(), Some(&b"{}"[..]));
    }
    let mut polls = spans(trace);
    polls.retain(|span| span.name == "poll orders");
    polls.sort_by_key(|poll| text(poll, "messaging.kafka.offset"));
    assert_eq!(polls.len(), 2);
    for (at, (poll, sender)) in polls.iter().zip(&senders).enumerate() {
        assert_eq!(poll.span_kind, SpanKind::Client);
        assert_eq!(poll.status, Status::Unset);
        assert_eq!(poll.parent_span_id, cx.span().span_context().span_id());
        assert_eq!(poll.links.links.len(), 1);
        assert_eq!(poll.links.links[0].span_context.span_id(), *sender);
        assert_eq!(attribute(poll, "messaging.kafka.offset"), Some(Value::I64(i64::try_from(at).unwrap())));
        for (key, expected) in [
            ("messaging.system", "kafka"),
            ("messaging.operation.name", "poll"),
            ("messaging.operation.type", "receive"),
            ("messaging.destination.name", "orders"),
            ("messaging.destination.partition.id", "0"),
            ("messaging.consumer.group.name", "billing"),
            ("messaging.client.id", "billing-1"),
            ("server.address", "127.0.0.1"),
        ] {
            assert_eq!(text(poll, key).as_deref(), Some(expected), "{key}");
        }
        assert!(attribute(poll, "messaging.batch.message_count").is_none());
        // the first span may lack it.
        assert!(at == 0 || attribute(poll, "messaging.kafka.cluster.id").is_some());
    }
}

/// S-2.
#[tokio::test]
async fn an_empty_poll_has_no_span() {
    let broker = Broker::start();
    let consumer: TracedConsumer<BaseConsumer<_>> =
        assigned(config(&broker).create::<BaseConsumer>().map(TracedConsumer::wrap).unwrap(), TOPIC);
    let (cx, trace) = root();
    let _attached = cx.attach();
    assert!(consumer.poll(Duration::from_millis(50)).is_none());
    assert!(spans(trace).iter().all(|span| !span.name.starts_with("poll")));
}

/// M-1, M-3: counted when it was pulled, and not again by the handler, nor as a record.
#[tokio::test]
async fn a_message_is_counted_once() {
    measure();
    let broker = Broker::start();
    let topic = "receive.counted";
    broker.cluster.create_topic(topic, 1, 1).unwrap();
    sent(&broker, topic, &["a", "b"]).await;
    let consumer: TracedConsumer<_> =
        assigned(TracedConsumer::wrap(config(&broker).create::<BaseConsumer>().unwrap()), topic);
    let first = consumer.poll(WAIT).unwrap().unwrap();
    bill(&first).await;
    let copy = Record::copy_of(&first);
    process(&copy, ProcessOptions::new().group("billing"), async { Ok::<_, KafkaError>(()) }).await.unwrap();
    let second = consumer.poll(WAIT).unwrap().unwrap().detach();
    process(&second, ProcessOptions::new().group("billing"), async { Ok::<_, KafkaError>(()) })
        .await
        .unwrap();
    let consumed = point("messaging.client.consumed.messages", topic);
    assert_eq!((consumed.count, consumed.get("messaging.operation.name")), (2, Some("poll")));
    assert_eq!(consumed.get("messaging.consumer.group.name"), Some("billing"));
    assert_eq!(point("messaging.process.duration", topic).count, 3);
    let polls = points("messaging.client.operation.duration", topic);
    let polls: Vec<_> =
        polls.iter().filter(|point| point.get("messaging.operation.type") == Some("receive")).collect();
    assert_eq!((polls.len(), polls[0].count), (1, 2));
}

fn commits(all: &[SpanData]) -> Vec<&SpanData> {
    all.iter().filter(|span| span.name.starts_with("commit")).collect()
}

/// C-3 and the row `settle`: a child of the process span, without links; sync, by message, by list and as stored.
#[tokio::test]
async fn a_commit_in_a_handler_is_a_child_of_its_process_span() {
    let broker = Broker::start();
    sent(&broker, TOPIC, &["a"]).await;
    let consumer = stream(&broker, TOPIC);
    let message = soon(consumer.recv()).await.unwrap();
    let (cx, trace) = root();
    process(&message, ProcessOptions::new(), async {
        consumer.commit_message(&message, CommitMode::Sync)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(TOPIC, 0, Offset::Offset(1))?;
        consumer.commit(&list, CommitMode::Sync)
    })
    .with_context(cx)
    .await
    .unwrap();
    let all = spans(trace);
    let process = named(&all, "process orders");
    let commits = commits(&all);
    assert_eq!(commits.len(), 2);
    for commit in &commits {
        assert_eq!(commit.name, "commit orders");
        assert_eq!((commit.span_kind.clone(), commit.status.clone()), (SpanKind::Client, Status::Unset));
        assert_eq!(commit.parent_span_id, process.span_context.span_id());
        assert!(commit.links.links.is_empty());
        assert_eq!(text(commit, "messaging.operation.type").as_deref(), Some("settle"));
        assert_eq!(text(commit, "messaging.consumer.group.name").as_deref(), Some("billing"));
        assert_eq!(text(commit, "messaging.destination.partition.id").as_deref(), Some("0"));
    }
    let of_message = commits.iter().filter_map(|commit| attribute(commit, "messaging.kafka.offset"));
    assert_eq!(of_message.collect::<Vec<_>>(), [Value::I64(0)]);
}

/// E-1, M-1.
#[tokio::test]
async fn a_refused_commit_is_an_error_with_the_protocols_constant() {
    measure();
    let broker = Broker::start();
    let topic = "receive.refused";
    broker.cluster.create_topic(topic, 1, 1).unwrap();
    sent(&broker, topic, &["a"]).await;
    let consumer = stream(&broker, topic);
    let message = soon(consumer.recv()).await.unwrap();
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    broker.cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[refusal]);
    let (cx, trace) = root();
    let attached = cx.attach();
    consumer.commit_message(&message, CommitMode::Sync).unwrap_err();
    drop(attached);
    let all = spans(trace);
    let commit = named(&all, "commit receive.refused");
    assert!(matches!(commit.status, Status::Error { .. }));
    assert_eq!(text(commit, "error.type").as_deref(), Some("GROUP_AUTHORIZATION_FAILED"));
    let measured = points("messaging.client.operation.duration", topic);
    let measured: Vec<_> =
        measured.iter().filter(|p| p.get("messaging.operation.type") == Some("settle")).collect();
    assert_eq!(measured.len(), 1);
    assert_eq!(measured[0].get("error.type"), Some("GROUP_AUTHORIZATION_FAILED"));
}

/// Polls until the report of a commit came.
async fn until_committed(
    consumer: &TracedConsumer<StreamConsumer<TracedConsumerContext>>,
    done: impl Fn() -> bool,
) {
    soon(async {
        while !done() {
            // Nothing more comes; receiving serves the report.
            let _ = tokio::time::timeout(Duration::from_millis(20), consumer.recv()).await;
        }
    })
    .await;
}

/// C-3: librdkafka reports the outcome to nobody; the span says that it was handed over.
#[tokio::test]
async fn a_commit_that_does_not_wait_has_a_span_too() {
    let broker = Broker::start();
    sent(&broker, TOPIC, &["a"]).await;
    let consumer = stream(&broker, TOPIC);
    let message = soon(consumer.recv()).await.unwrap();
    let (cx, trace) = root();
    let attached = cx.clone().attach();
    consumer.commit_message(&message, CommitMode::Async).unwrap();
    drop(attached);
    let all = spans(trace);
    let commit = named(&all, "commit orders");
    assert_eq!(commit.parent_span_id, cx.span().span_context().span_id());
    assert_eq!(commit.status, Status::Unset);
}

/// C-3: nobody's child.
#[tokio::test]
async fn an_automatic_commit_is_a_root() {
    measure();
    let broker = Broker::start();
    let topic = "receive.automatic";
    broker.cluster.create_topic(topic, 1, 1).unwrap();
    sent(&broker, topic, &["a"]).await;
    let consumer: TracedConsumer<StreamConsumer<TracedConsumerContext>> = config(&broker)
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "20")
        .create()
        .unwrap();
    let consumer = assigned(consumer, topic);
    let (cx, trace) = root();
    async {
        soon(consumer.recv()).await.unwrap();
        let settled = || {
            let all = points("messaging.client.operation.duration", topic);
            all.iter().any(|point| point.get("messaging.operation.type") == Some("settle"))
        };
        until_committed(&consumer, settled).await;
    }
    .with_context(cx)
    .await;
    assert!(commits(&spans(trace)).is_empty(), "in a trace of its own");
    assert_eq!(consumer.committed(WAIT).unwrap().count(), 1);
}

/// E-1 on receive.
#[tokio::test]
async fn an_error_of_a_pull_is_its_spans() {
    let broker = Broker::start();
    let consumer: TracedConsumer<StreamConsumer<TracedConsumerContext>> =
        assigned(config(&broker).set("auto.offset.reset", "error").create().unwrap(), TOPIC);
    let mut beyond = TopicPartitionList::new();
    beyond.add_partition_offset(TOPIC, 0, Offset::Offset(1_000)).unwrap();
    consumer.assign(&beyond).unwrap();
    let (cx, trace) = root();
    soon(consumer.recv().with_context(cx)).await.map(|_| ()).unwrap_err();
    let all = spans(trace);
    let poll = named(&all, "poll");
    assert!(matches!(poll.status, Status::Error { .. }));
    assert_eq!(text(poll, "error.type").as_deref(), Some("_AUTO_OFFSET_RESET"));
}
