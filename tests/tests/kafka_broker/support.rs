//! One broker for all tests or an embedded one for each, and how tests ask for spans.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use opentelemetry::trace::{
    SpanContext, TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator, SpanData};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use throughline::export::memory::MemoryExporter;
use throughline::kafka::TracedProducer;
use throughline::{Setup, Telemetry};
use throughline_tests::kafka::cluster::Cluster;
use throughline_tests::peers;

/// The telemetry of this process, which all its tests share; they keep apart by their trace ids.
fn telemetry() -> &'static (Telemetry, MemoryExporter) {
    static TELEMETRY: OnceLock<(Telemetry, MemoryExporter)> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let memory = MemoryExporter::with_traces(50_000);
        let setup = Setup::new("kafka-broker-tests")
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

pub(crate) fn offset(span: &SpanData) -> Option<i64> {
    match attribute(span, "messaging.kafka.offset") {
        Some(Value::I64(offset)) => Some(offset),
        _ => None,
    }
}

/// A context with a recorded root span of its own, which tells the test's spans from all others.
pub(crate) fn root() -> (Context, TraceId) {
    let provider = telemetry().0.provider().unwrap();
    let cx = Context::new().with_span(provider.tracer("test").start("root"));
    let trace = cx.span().span_context().trace_id();
    (cx, trace)
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
