//! A cluster per test, records sent by a traced producer, and a look at what the runner left behind.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::SpanId;
use opentelemetry::trace::{FutureExt as _, Status, TraceId};
use opentelemetry_sdk::trace::SpanData;
use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::{Offset, TopicPartitionList};
use throughline::kafka::{Backoff, Consumer, Record, TracedProducer};
use throughline_tests::kafka::cluster::Cluster;
use throughline_tests::recorded;
pub(in super::super) use throughline_tests::recorded::{attribute, telemetry, text};
pub(super) use throughline_tests::recorded::{named, root};

pub(super) const TOPIC: &str = "orders";
pub(super) const DEAD: &str = "orders.dlq";
pub(super) const WAIT: Duration = Duration::from_secs(20);

/// Everything that ended in this trace, by its start.
pub(super) fn spans(trace: TraceId) -> Vec<SpanData> {
    let mut spans = recorded::spans(trace);
    spans.sort_by_key(|span| span.start_time);
    spans
}

/// All commits of a group.
pub(in super::super) fn commits(group: &str) -> Vec<SpanData> {
    let of_group = |span: &SpanData| text(span, "messaging.consumer.group.name").as_deref() == Some(group);
    let settles = |span: &SpanData| text(span, "messaging.operation.type").as_deref() == Some("settle");
    recorded::all_spans().into_iter().filter(|span| of_group(span) && settles(span)).collect()
}

/// The process spans among them.
pub(super) fn processed(spans: &[SpanData]) -> Vec<&SpanData> {
    spans.iter().filter(|span| text(span, "messaging.operation.type").as_deref() == Some("process")).collect()
}

pub(super) fn links(span: &SpanData) -> Vec<SpanId> {
    span.links.links.iter().map(|link| link.span_context.span_id()).collect()
}

pub(super) fn is_error(span: &SpanData) -> bool {
    matches!(span.status, Status::Error { .. })
}

/// A deadline for what must come; a test that hangs says nothing.
pub(super) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT, work).await.expect("in time")
}

/// A cluster with the topics of a test.
pub(super) struct Broker {
    pub(super) cluster: Cluster,
}

impl Broker {
    pub(super) fn start() -> Self {
        Self::with(1, Some(3))
    }

    /// `partitions` of the topic, and of the dead-letter topic if there is one.
    pub(super) fn with(partitions: i32, dead: Option<i32>) -> Self {
        telemetry();
        let cluster = Cluster::start(1);
        cluster.mock().create_topic(TOPIC, partitions, 1).unwrap();
        if let Some(dead) = dead {
            cluster.mock().create_topic(DEAD, dead, 1).unwrap();
        }
        Broker { cluster }
    }

    pub(super) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.cluster.bootstrap());
        config
    }

    /// A consumer that joins fast and retries at once.
    pub(super) fn consumer(&self) -> Consumer {
        let mut config = self.config();
        config
            .set("client.id", "billing-1")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "10")
            .set("session.timeout.ms", "1200")
            .set("heartbeat.interval.ms", "50");
        Consumer::from_config(config).group("billing").topics([TOPIC]).retry(fast())
    }

    /// Sends values to a partition, each in a trace of its own, and gives the traces.
    pub(super) async fn send(&self, partition: i32, values: &[&str]) -> Vec<TraceId> {
        let producer: TracedProducer = self.config().set("linger.ms", "0").create().unwrap();
        let mut traces = Vec::new();
        for value in values {
            let (cx, trace) = root();
            let record = Record::to(TOPIC)
                .with_partition(partition)
                .with_key("order-7")
                .with_value(*value)
                .with_header("x-tenant", "acme")
                .with_header([0xff, 0x00], [0xfe]);
            producer.send_record(&record, WAIT).with_context(cx).await.unwrap();
            traces.push(trace);
        }
        traces
    }

    /// The next `count` records of a partition, raw, as a plain consumer sees them.
    pub(super) async fn read(&self, topic: &str, partition: i32, count: usize) -> Vec<Raw> {
        let mut config = self.config();
        config.set("group.id", "reader").set("fetch.wait.max.ms", "10").set("enable.auto.commit", "false");
        let consumer: StreamConsumer = config.create().unwrap();
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        consumer.assign(&partitions).unwrap();
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(Raw::of(&soon(consumer.recv()).await.unwrap()));
        }
        all
    }

    /// What the group has committed of a partition.
    pub(super) fn committed(&self, partition: i32) -> Option<i64> {
        let consumer: StreamConsumer = self.config().set("group.id", "billing").create().unwrap();
        let mut asked = TopicPartitionList::new();
        asked.add_partition(TOPIC, partition);
        let answer = consumer.committed_offsets(asked, WAIT).unwrap();
        answer.elements().first().and_then(|element| match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    }
}

/// A record with every header, trace headers among them.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) partition: i32,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Raw {
    fn of(message: &rdkafka::message::BorrowedMessage<'_>) -> Self {
        use rdkafka::Message as _;
        use throughline::propagation::HeaderView as _;
        let mut headers = Vec::new();
        message.walk_back(&mut |name, value| {
            headers.push((name.to_vec(), value.map(<[u8]>::to_vec)));
            std::ops::ControlFlow::Continue(())
        });
        headers.reverse();
        Raw {
            partition: message.partition(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
        }
    }

    /// The value of the one header of this name.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        let mut found = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        let value = found.next()?.1.as_deref();
        assert!(found.next().is_none(), "{name} twice in {self:?}");
        value
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.header(name).map(|value| std::str::from_utf8(value).unwrap())
    }
}

/// Retries without waits that a test would feel.
pub(super) fn fast() -> Backoff {
    Backoff::new().initial(Duration::from_millis(1))
}

/// What handlers saw, for a test to wait for.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    values: Arc<Mutex<Vec<String>>>,
    calls: Arc<AtomicU64>,
    told: Arc<tokio::sync::Notify>,
}

impl Seen {
    pub(super) fn note(&self, value: impl Into<String>) -> u64 {
        self.values.lock().unwrap().push(value.into());
        let calls = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.told.notify_waiters();
        calls
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.values.lock().unwrap().clone()
    }

    /// Waits until so many calls were noted.
    pub(super) async fn reaches(&self, count: usize) -> Vec<String> {
        soon(async {
            loop {
                let told = self.told.notified();
                let all = self.all();
                if all.len() >= count {
                    return all;
                }
                told.await;
            }
        })
        .await
    }
}

pub(super) fn value(record: &Record) -> String {
    String::from_utf8_lossy(record.value().as_deref().unwrap_or_default()).into_owned()
}

/// Waits until the condition holds.
pub(super) async fn until(mut holds: impl FnMut() -> bool) {
    soon(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
