//! A capture: a root of its own, the code under test, a flush, that trace's spans.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator, SpanData};

use super::tap::Tap;
use crate::export::console::{Tree, TreeSpan};
use crate::setup::{Exporter, Setup, SetupError, Telemetry};

/// The collector answers within a moment; this is for a machine that stands still.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the code gave, and the spans that it made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Captured<T> {
    /// What the code returned.
    pub output: T,
    spans: Vec<SpanData>,
}

impl<T> Captured<T> {
    /// The spans of the trace that had ended when the code returned, in the order of their start.
    ///
    /// The parent of the outermost ones is the capture's own root, which is not a span of its own.
    pub fn spans(&self) -> &[SpanData] {
        &self.spans
    }

    /// The first span of that name.
    pub fn span(&self, name: &str) -> Option<&SpanData> {
        self.spans.iter().find(|span| span.name == name)
    }

    /// The spans as the console draws them, without times and ids: the same text in every run, to compare with a
    /// snapshot.
    pub fn tree(&self) -> String {
        let spans: Vec<_> = self.spans.iter().map(|span| TreeSpan::from_data(span, "")).collect();
        Tree::snapshot().render(&spans)
    }
}

/// Runs the code under a root of its own and gives back the spans of that trace.
///
/// Spans on other threads and in spawned tasks belong to it if they were given the context, and if they ended before
/// the code returned. Spans that begin a trace of their own (`root`) do not belong to it.
///
/// There are no spans if the program has switched tracing off, has shut it down, or samples by something other than the
/// parent.
///
/// ```
/// use throughline::testing::capture;
///
/// let captured = capture(|| throughline::trace_id());
/// assert!(captured.output.is_some());
/// assert!(captured.spans().is_empty());
/// ```
pub fn capture<T>(code: impl FnOnce() -> T) -> Captured<T> {
    let telemetry = telemetry();
    let (tap, context) = root();
    let output = {
        let _attached = context.attach();
        code()
    };
    finish(telemetry.as_ref(), &tap, output)
}

/// [`capture`] for async code, on whichever executor polls it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use throughline::testing::capture_async;
/// use throughline::traced_span;
///
/// #[traced_span("ollama.generate")]
/// async fn generate() -> &'static str {
///     "a plan"
/// }
///
/// let captured = capture_async(generate()).await;
/// assert_eq!(captured.output, "a plan");
/// assert_eq!(captured.tree(), "ollama.generate\n");
/// # });
/// ```
pub async fn capture_async<F: Future>(code: F) -> Captured<F::Output> {
    let telemetry = telemetry();
    let (tap, context) = root();
    let output = code.with_context(context).await;
    finish(telemetry.as_ref(), &tap, output)
}

/// A sampled parent that is no span: what the code under test makes are the outermost spans of its trace.
fn root() -> (Tap, Context) {
    let ids = RandomIdGenerator::default();
    let trace_id: TraceId = ids.new_trace_id();
    let span_id: SpanId = ids.new_span_id();
    let root = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, TraceState::NONE);
    (Tap::open(trace_id), Context::current().with_remote_span_context(root))
}

/// The spans are there when the collector has looked; no exporter is waited for.
fn finish<T>(telemetry: Option<&Telemetry>, tap: &Tap, output: T) -> Captured<T> {
    if let Some(telemetry) = telemetry {
        telemetry.collect(PATIENCE);
    }
    let mut spans = tap.take();
    spans.sort_by_key(|span| span.start_time);
    Captured { output, spans }
}

/// What is installed, or else a pipeline that only captures read.
fn telemetry() -> Option<Telemetry> {
    if let Some(installed) = Telemetry::current() {
        return Some(installed);
    }
    let setup = Setup::new("test").without_environment().exporters([Exporter::None]);
    // The test's own subscriber would come too late.
    #[cfg(feature = "tracing")]
    let setup = setup.subscriber(false);
    match setup.install() {
        Ok(telemetry) => {
            // For the life of the process: the next capture uses it, too.
            std::mem::forget(telemetry);
            Telemetry::current()
        }
        // Another test was faster.
        Err(SetupError::AlreadyInstalled) => Telemetry::current(),
        Err(_) => None,
    }
}
