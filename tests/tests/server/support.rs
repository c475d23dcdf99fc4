//! A server per test, one set-up for all: tests tell their spans apart by the trace id that the client sends.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use axum::Router;
use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator, SpanData};
use throughline::export::memory::MemoryExporter;
use throughline::server::ServerLayer;
use throughline::{Setup, Telemetry};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Traces {
    telemetry: Telemetry,
    kept: MemoryExporter,
}

pub(crate) fn traces() -> &'static Traces {
    static TRACES: OnceLock<Traces> = OnceLock::new();
    TRACES.get_or_init(|| {
        let kept = MemoryExporter::with_traces(10_000);
        let setup = Setup::new("server-tests").without_environment().exporter(kept.clone());
        Traces { telemetry: setup.install().expect("set-up"), kept }
    })
}

impl Traces {
    /// The spans of a trace that have ended by now.
    pub(crate) fn ended(&self, trace: TraceId) -> Vec<SpanData> {
        let _ = self.telemetry.flush(PATIENCE);
        self.kept.trace(trace)
    }

    /// The spans of a trace when there are as many, since a server ends them after its client has the answer.
    pub(crate) async fn wait(&self, trace: TraceId, count: usize) -> Vec<SpanData> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let spans = self.ended(trace);
            if spans.len() >= count || Instant::now() > deadline {
                assert_eq!(spans.len(), count, "{spans:?}");
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) async fn server_span(&self, trace: TraceId) -> SpanData {
        self.wait(trace, 1).await.remove(0)
    }
}

/// A caller's side of a trace.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) trace: TraceId,
    pub(crate) span: opentelemetry::trace::SpanId,
}

impl Caller {
    pub(crate) fn new() -> Self {
        let ids = RandomIdGenerator::default();
        Self { trace: ids.new_trace_id(), span: ids.new_span_id() }
    }

    pub(crate) fn traceparent(self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }
}

/// Serves the routes with the layer; gives the base URL.
pub(crate) async fn serve(routes: Router, layer: ServerLayer) -> String {
    traces();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, routes.layer(layer)).await });
    format!("http://{address}")
}

pub(crate) async fn get(url: &str, caller: Caller) -> reqwest::Response {
    let request = reqwest::Client::new().get(url).header("traceparent", caller.traceparent());
    request.send().await.expect("an answer")
}

pub(crate) fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|KeyValue { key: known, .. }| known.as_str() == key);
    found.map(|attribute| attribute.value.clone())
}

pub(crate) fn error_type(span: &SpanData) -> String {
    assert_eq!(span.span_kind, SpanKind::Server);
    attribute(span, "error.type").map(|value| value.to_string()).unwrap_or_default()
}
