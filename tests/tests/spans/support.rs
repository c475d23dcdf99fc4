//! One pipeline for the process; each test reads the spans of a trace of its own.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use throughline::export::memory::MemoryExporter;
use throughline::opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use throughline::opentelemetry::{Context, Value};
use throughline::{Setup, Telemetry};

pub(super) type SpanData = opentelemetry_sdk::trace::SpanData;

const LIMIT: Duration = Duration::from_secs(20);

fn installed() -> &'static (Telemetry, MemoryExporter) {
    static INSTALLED: OnceLock<(Telemetry, MemoryExporter)> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let kept = MemoryExporter::with_traces(10_000);
        let telemetry = Setup::new("spans")
            .without_environment()
            .subscriber(false)
            .exporter(kept.clone())
            .install()
            .expect("the only set-up of this process");
        (telemetry, kept)
    })
}

/// The spans of one trace, in the order in which they began.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) parent: SpanContext,
    all: Vec<SpanData>,
}

/// Runs `code` under a remote parent with a trace id of its own and gives what was recorded in that trace.
pub(super) fn spans_of<T>(code: impl FnOnce() -> T) -> (T, Spans) {
    let parent = new_parent();
    let attached = Context::new().with_remote_span_context(parent.clone()).attach();
    let value = code();
    drop(attached);
    let spans = spans_in(&parent);
    (value, spans)
}

/// Runs a future on a runtime of its own that uses this thread.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

/// The spans of a trace, and the report that all of them were delivered.
pub(super) fn spans_in(parent: &SpanContext) -> Spans {
    let (telemetry, kept) = installed();
    let report = telemetry.flush(LIMIT);
    assert!(report.deadline_met, "{report}");
    let mut all = kept.trace(parent.trace_id());
    all.sort_by_key(|span| span.start_time);
    Spans { parent: parent.clone(), all }
}

pub(super) fn new_parent() -> SpanContext {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    installed();
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let trace_id = TraceId::from(0x7468_726f_7567_6800_0000_0000_0000_0000_u128 + u128::from(id));
    SpanContext::new(trace_id, SpanId::from(id), TraceFlags::SAMPLED, true, TraceState::NONE)
}

impl Spans {
    pub(super) fn names(&self) -> Vec<&str> {
        self.all.iter().map(|span| &*span.name).collect()
    }

    /// The only span of this name.
    #[track_caller]
    pub(super) fn named(&self, name: &str) -> &SpanData {
        let mut found = self.all.iter().filter(|span| span.name == name);
        let span = found.next().unwrap_or_else(|| panic!("no span {name}: {:?}", self.names()));
        assert!(found.next().is_none(), "two spans {name}");
        span
    }

    /// All spans of this name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &SpanData> {
        self.all.iter().filter(move |span| span.name == name)
    }

    /// The only span of the trace.
    #[track_caller]
    pub(super) fn only(&self) -> &SpanData {
        assert_eq!(self.all.len(), 1, "{:?}", self.names());
        &self.all[0]
    }

    #[track_caller]
    pub(super) fn assert_child(&self, child: &str, parent: &str) {
        let (child, parent) = (self.named(child), self.named(parent));
        assert_eq!(
            child.parent_span_id,
            parent.span_context.span_id(),
            "{} under {}",
            child.name,
            parent.name
        );
    }
}

/// Reading one exported span.
pub(super) trait SpanDataExt {
    fn value(&self, key: &str) -> Option<Value>;
    fn text(&self, key: &str) -> Option<String>;
    fn failed_with(&self) -> Option<(String, String)>;
    fn assert_unset(&self);
}

impl SpanDataExt for SpanData {
    fn value(&self, key: &str) -> Option<Value> {
        let mut found = self.attributes.iter().filter(|attribute| attribute.key.as_str() == key);
        let value = found.next().map(|attribute| attribute.value.clone());
        assert!(found.next().is_none(), "{key} is there twice");
        value
    }

    fn text(&self, key: &str) -> Option<String> {
        self.value(key).map(|value| value.as_str().into_owned())
    }

    /// `error.type` and the description of a span with status Error.
    fn failed_with(&self) -> Option<(String, String)> {
        match &self.status {
            Status::Error { description } => Some((self.text("error.type")?, description.to_string())),
            _ => None,
        }
    }

    #[track_caller]
    fn assert_unset(&self) {
        assert_eq!(self.status, Status::Unset);
        assert_eq!(self.value("error.type"), None);
        assert_eq!(self.value("throughline.cancelled"), None);
    }
}

pub(super) fn kind_of(span: &SpanData) -> SpanKind {
    span.span_kind.clone()
}

/// Pending once, so that a caller sees a second poll.
pub(super) async fn yield_once() {
    tokio::task::yield_now().await;
}
