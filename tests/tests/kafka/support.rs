//! A cluster per test, one telemetry for the process, and how tests ask for spans.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::Value;
use opentelemetry::trace::{TraceId, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, trace::TraceContextExt as _};
use opentelemetry_sdk::trace::SpanData;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use throughline::export::memory::MemoryExporter;
use throughline::kafka::TracedProducer;
use throughline::{Setup, Telemetry};

/// The telemetry of this process, which all its tests share; they keep apart by their trace ids.
fn telemetry() -> &'static (Telemetry, MemoryExporter) {
    static TELEMETRY: OnceLock<(Telemetry, MemoryExporter)> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        // The test of hostile headers makes thousands of traces beside those of the others.
        let memory = MemoryExporter::with_traces(100_000);
        let setup = Setup::new("kafka-tests")
            .without_environment()
            .exporters([])
            .exporter(memory.clone())
            .subscriber(false);
        (setup.install().unwrap(), memory)
    })
}

/// Everything that ended in this trace.
pub(crate) fn spans(trace: TraceId) -> Vec<SpanData> {
    let (telemetry, memory) = telemetry();
    let report = telemetry.flush(Duration::from_secs(20));
    assert!(report.deadline_met, "{report}");
    memory.trace(trace)
}

/// The one span of this name.
pub(crate) fn named<'s>(spans: &'s [SpanData], name: &str) -> &'s SpanData {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no span {name} in {spans:#?}"));
    assert!(found.next().is_none(), "two spans {name}");
    span
}

pub(crate) fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    let mut values = span.attributes.iter().filter(|kv| kv.key.as_str() == key).map(|kv| kv.value.clone());
    let value = values.next();
    assert!(values.next().is_none(), "{key} twice");
    value
}

pub(crate) fn text(span: &SpanData, key: &str) -> Option<String> {
    attribute(span, key).map(|value| value.to_string())
}

/// A context with a recorded root span of its own, which tells the test's spans from all others.
pub(crate) fn root() -> (Context, TraceId) {
    let provider = telemetry().0.provider().unwrap();
    let cx = Context::new().with_span(provider.tracer("test").start("root"));
    let trace = cx.span().span_context().trace_id();
    (cx, trace)
}

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
