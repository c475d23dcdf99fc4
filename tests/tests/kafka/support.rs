//! A cluster per test, one telemetry for the process, and how tests ask for spans.

use std::cell::Cell;
use std::time::Duration;

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use throughline::kafka::TracedProducer;
use throughline_tests::recorded::telemetry;
pub(crate) use throughline_tests::recorded::{attribute, named, root, spans, text};

/// A cluster and a topic of its own.
pub(crate) struct Broker {
    pub cluster: MockCluster<'static, DefaultProducerContext>,
    next: Cell<i64>,
}

pub(crate) const TOPIC: &str = "orders";

impl Broker {
    pub(crate) fn start() -> Self {
        telemetry();
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, 1, 1).unwrap();
        Broker { cluster, next: Cell::new(0) }
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.cluster.bootstrap_servers()).set("linger.ms", "0");
        config
    }

    pub(crate) fn producer(&self) -> TracedProducer {
        self.config().set("client.id", "shop").create().unwrap()
    }

    /// A consumer of everything in the topic. It takes the partition by itself: joining a group takes seconds.
    pub(crate) fn consumer(&self) -> StreamConsumer {
        let consumer: StreamConsumer = self
            .config()
            .set("group.id", "billing")
            .set("fetch.wait.max.ms", "10")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(TOPIC, 0, Offset::Offset(self.next.get())).unwrap();
        consumer.assign(&partitions).unwrap();
        consumer
    }
}

/// A deadline for what must come; a test that hangs says nothing.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.unwrap()
}
