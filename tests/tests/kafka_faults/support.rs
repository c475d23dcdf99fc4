//! A cluster per test, one telemetry for the process, and how tests ask for spans.

use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry_sdk::trace::SpanData;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::OwnedMessage;
use rdkafka::producer::Producer as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use throughline::kafka::TracedProducer;
use throughline_tests::kafka::cluster::Cluster;
use throughline_tests::kafka::hostile::{self, RawBatch};
pub(crate) use throughline_tests::recorded::{attribute, install, named, root, spans, telemetry, text};

pub(crate) const TOPIC: &str = "orders";

/// For what takes a moment unless something is broken.
pub(crate) const WAIT: Duration = Duration::from_secs(30);

/// All spans of this name.
pub(crate) fn all<'s>(spans: &'s [SpanData], name: &str) -> Vec<&'s SpanData> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// Three brokers or one, with a topic of one partition led by broker 1.
pub(crate) fn cluster(brokers: i32) -> Cluster {
    telemetry();
    let cluster = Cluster::start(brokers);
    cluster.mock().create_topic(TOPIC, 1, brokers).unwrap();
    cluster.mock().partition_leader(TOPIC, 0, Some(1)).unwrap();
    cluster
}

pub(crate) fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "0")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .set("retry.backoff.ms", "20");
    config
}

pub(crate) fn producer(bootstrap: &str) -> TracedProducer {
    config(bootstrap).create().unwrap()
}

/// A consumer of one partition from an offset on. It takes the partition by itself: no group is joined.
pub(crate) fn consumer_of(bootstrap: &str, topic: &str, offset: i64) -> StreamConsumer {
    let mut config = config(bootstrap);
    config
        .set("group.id", "faults")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.error.backoff.ms", "20")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest");
    let consumer: StreamConsumer = config.create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    consumer.assign(&partitions).unwrap();
    consumer
}

pub(crate) fn consumer(bootstrap: &str) -> StreamConsumer {
    consumer_of(bootstrap, TOPIC, 0)
}

/// The next so many messages; transient errors on the way are none.
pub(crate) async fn messages(consumer: &StreamConsumer, count: usize) -> Vec<OwnedMessage> {
    let mut messages = Vec::new();
    while messages.len() < count {
        if let Ok(message) = soon(consumer.recv()).await {
            messages.push(message.detach());
        }
    }
    messages
}

/// Number of records in the log of the topic's partition, gaps included.
pub(crate) fn end_offset(producer: &TracedProducer) -> i64 {
    producer.client().fetch_watermarks(TOPIC, 0, WAIT).unwrap().1
}

/// The leader of the topic's partition in a cluster of one broker.
pub(crate) fn leader(cluster: &Cluster) -> SocketAddr {
    cluster.addresses()[0]
}

/// Puts a batch into the log of the topic.
pub(crate) fn log(cluster: &Cluster, batch: &RawBatch) -> i64 {
    hostile::produce(leader(cluster), TOPIC, 0, batch).unwrap()
}

/// A deadline for what must come; a test that hangs says nothing.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT, work).await.expect("it came in time")
}
