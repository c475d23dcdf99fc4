//! One broker for all tests or an embedded one for each, and how tests ask for spans.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator, SpanData};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use throughline::kafka::TracedProducer;
use throughline_tests::kafka::cluster::Cluster;
use throughline_tests::peers;
use throughline_tests::recorded::telemetry;
pub(crate) use throughline_tests::recorded::{attribute, named, root, spans};

pub(crate) fn offset(span: &SpanData) -> Option<i64> {
    match attribute(span, "messaging.kafka.offset") {
        Some(Value::I64(offset)) => Some(offset),
        _ => None,
    }
}

/// A context whose trace nobody records.
pub(crate) fn unsampled() -> (Context, TraceId) {
    let (ids, flags) = (RandomIdGenerator::default(), TraceFlags::NOT_SAMPLED);
    let trace = ids.new_trace_id();
    let span = SpanContext::new(trace, ids.new_span_id(), flags, true, TraceState::NONE);
    (Context::new().with_remote_span_context(span), trace)
}

/// The real broker of this run, or an embedded one of the test's own.
pub(crate) struct Broker {
    servers: String,
    embedded: Option<Cluster>,
}

impl Broker {
    pub(crate) fn start() -> Self {
        telemetry();
        match peers::kafka() {
            Some(servers) => Broker { servers, embedded: None },
            None => {
                let cluster = Cluster::start(1);
                Broker { servers: cluster.bootstrap(), embedded: Some(cluster) }
            }
        }
    }

    /// The real one, for what the embedded one cannot do.
    pub(crate) fn real() -> Option<Self> {
        telemetry();
        let broker = peers::kafka().map(Self::at);
        if broker.is_none() {
            peers::skip("Apache Kafka", "kafka");
        }
        broker
    }

    pub(crate) fn at(servers: impl Into<String>) -> Self {
        telemetry();
        Broker { servers: servers.into(), embedded: None }
    }

    /// A new topic: others use the same broker, and so did the runs before this one.
    pub(crate) async fn topic(&self, test: &str, partitions: i32) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("{test}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        if let Some(cluster) = &self.embedded {
            cluster.mock().create_topic(&name, partitions, 1).unwrap();
            return name;
        }
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        let wait = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        soon(admin.create_topics([&topic], &wait)).await.unwrap().remove(0).unwrap();
        name
    }

    /// kafka.md R-18: a graceful leave makes no duplicates there.
    pub(crate) fn is_real(&self) -> bool {
        self.embedded.is_none()
    }

    pub(crate) fn servers(&self) -> &str {
        &self.servers
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers).set("linger.ms", "0");
        config
    }

    pub(crate) fn producer(&self) -> TracedProducer {
        self.config().create().unwrap()
    }

    /// A consumer of everything in its topics. kafka.md R-18: the embedded cluster waits for sessions to end.
    pub(crate) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.config();
        config
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "10")
            .set("topic.metadata.refresh.interval.ms", "500");
        config
    }
}

/// A deadline for what must come; a test that hangs says nothing.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("within a minute")
}

/// librdkafka's blocking calls, off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    soon(tokio::task::spawn_blocking(work)).await.unwrap()
}
