//! One telemetry for a test binary, which all its tests share, and how they ask it for spans. They keep apart by their
//! trace ids.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::{TraceContextExt as _, TraceId, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::trace::SpanData;
use throughline::export::memory::MemoryExporter;
use throughline::{Setup, Telemetry};

static TELEMETRY: OnceLock<(Telemetry, MemoryExporter)> = OnceLock::new();

/// Sets telemetry up if no test has yet.
pub fn telemetry() -> &'static (Telemetry, MemoryExporter) {
    install(Setup::new("tests"))
}

/// The same for a test that wants a set-up of its own and has the process to itself.
pub fn install(setup: Setup) -> &'static (Telemetry, MemoryExporter) {
    TELEMETRY.get_or_init(|| {
        // A test of hostile headers makes thousands of traces beside those of the others.
        let memory = MemoryExporter::with_traces(100_000);
        let setup = setup.without_environment().exporters([]).exporter(memory.clone()).subscriber(false);
        (setup.install().unwrap(), memory)
    })
}

/// All that ended up to now, in whatever trace.
pub fn all_spans() -> Vec<SpanData> {
    flushed().spans()
}

/// All that ended in this trace.
pub fn spans(trace: TraceId) -> Vec<SpanData> {
    flushed().trace(trace)
}

fn flushed() -> &'static MemoryExporter {
    let (telemetry, memory) = telemetry();
    let report = telemetry.flush(Duration::from_secs(20));
    assert!(report.deadline_met, "{report}");
    memory
}

/// A context with a recorded root span of its own, which tells the test's spans from all others.
pub fn root() -> (Context, TraceId) {
    let provider = telemetry().0.provider().unwrap();
    let cx = Context::new().with_span(provider.tracer("test").start("root"));
    let trace = cx.span().span_context().trace_id();
    (cx, trace)
}

/// The one span of this name.
pub fn named<'s>(spans: &'s [SpanData], name: &str) -> &'s SpanData {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no span {name} in {spans:#?}"));
    assert!(found.next().is_none(), "two spans {name}");
    span
}

/// The one attribute of this key.
pub fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    let mut values = span.attributes.iter().filter(|kv| kv.key.as_str() == key).map(|kv| kv.value.clone());
    let value = values.next();
    assert!(values.next().is_none(), "{key} twice");
    value
}

/// The same as text.
pub fn text(span: &SpanData, key: &str) -> Option<String> {
    attribute(span, key).map(|value| value.to_string())
}
