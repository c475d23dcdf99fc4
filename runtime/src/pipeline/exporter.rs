//! What the delivery asks of an exporter: take one batch, say what became of it.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;

/// The future of one export; boxed, so that the exporters of one pipeline can be of different types.
pub(crate) type ExportFuture<'a> = Pin<Box<dyn Future<Output = Result<Exported, ExportError>> + Send + 'a>>;

/// The future of a flush or shutdown.
pub(crate) type DoneFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A destination for finished spans.
///
/// Retry, time limit, splitting, the circuit breaker and the counters are the delivery's work, the same for every
/// exporter. An exporter makes one attempt and classifies the outcome.
pub(crate) trait BatchExporter: Send + 'static {
    /// The word for `otel.component.type`, such as `otlp_http_span_exporter`.
    fn component_type(&self) -> &'static str;

    /// What users call it, in settings, reports and log lines: `otlp`, `console`.
    fn name(&self) -> &str;

    /// Prepares the exporter on the thread, and inside the runtime, that will call [`export`](Self::export).
    ///
    /// Called before the first batch, and again after a panic of this exporter.
    fn start(&mut self, resource: &Resource);

    /// Makes one attempt to hand over the spans.
    ///
    /// The future is dropped when the batch's time limit or the deadline of a shutdown passes.
    fn export<'a>(&'a mut self, spans: &'a [SpanData]) -> ExportFuture<'a>;

    /// Whether it takes spans for itself; then [`export_taken`](Self::export_taken) is called instead.
    fn takes_spans(&self) -> bool {
        false
    }

    /// Like [`export`](Self::export), for an exporter that takes them.
    fn export_taken(&mut self, spans: Vec<SpanData>) -> ExportFuture<'_> {
        Box::pin(async move { self.export(&spans).await })
    }

    /// Writes out what the exporter itself holds back.
    fn flush(&mut self) -> DoneFuture<'_> {
        Box::pin(async {})
    }

    /// Ends the exporter; no other call follows.
    fn shutdown(&mut self) -> DoneFuture<'_> {
        Box::pin(async {})
    }

    /// Whether [`export`](Self::export) may keep its thread: such an exporter gets a thread to itself.
    fn may_block(&self) -> bool;

    /// How long from now until [`wake`](Self::wake) is wanted; `None` when the exporter waits for nothing.
    ///
    /// Asked after every batch and after every `wake`.
    fn wake_in(&self) -> Option<Duration> {
        None
    }

    /// Does what the exporter wanted to do at the time that it gave in [`wake_in`](Self::wake_in).
    fn wake(&mut self) {}
}

/// A batch that arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exported {
    /// Spans of the batch that the receiver refused while it took the others (partial success of OTLP).
    pub(crate) rejected: usize,
    /// Why it refused them.
    pub(crate) reason: String,
}

impl Exported {
    /// A partial success in the words of OTLP, whose count is not to be trusted.
    #[cfg(feature = "otlp")]
    pub(crate) fn partial(rejected: i64, reason: String, of: usize) -> Self {
        Self { rejected: usize::try_from(rejected).unwrap_or(0).min(of), reason }
    }
}

/// Why one attempt failed, in the classes that decide what happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExportError {
    /// May work later: the same batch is tried again, not before `retry_after` if the receiver named a time.
    Transient { retry_after: Option<Duration>, message: Cow<'static, str> },
    /// Will not work with this batch however often it is tried.
    Permanent { message: Cow<'static, str> },
    /// The receiver takes only smaller batches: this one is halved.
    #[cfg_attr(not(feature = "otlp"), allow(dead_code))] // no other built-in exporter has such a limit
    TooLarge { message: Cow<'static, str> },
    /// The destination is gone for good (a closed pipe): the exporter is turned off.
    Closed { message: Cow<'static, str> },
}

impl ExportError {
    /// The receiver's or the system's own words.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Transient { message, .. }
            | Self::Permanent { message }
            | Self::TooLarge { message }
            | Self::Closed { message } => message,
        }
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}
