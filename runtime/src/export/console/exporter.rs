//! The console as an exporter: it gathers the spans of a trace until they make a tree.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use tokio::time::Instant;

use super::tree::{Tree, TreeSpan};
use crate::export::json::{ResourceObject, SpanObject};
use crate::pipeline::exporter::{BatchExporter, DoneFuture, ExportError, ExportFuture, Exported};

/// A trace whose local root does not end is printed after this time.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many spans are held back at most, all traces together.
const HELD: usize = 1_000;

/// The console for people: a tree per trace, in colour on a terminal unless `NO_COLOR` is set.
pub(crate) fn tree() -> Box<dyn BatchExporter> {
    let colour =
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Box::new(Console::new(Style::Tree(Tree::new().colour(colour)), io::stdout()))
}

/// The console for programs: a JSON object per span and line.
pub(crate) fn json_lines() -> Box<dyn BatchExporter> {
    Box::new(Console::new(Style::Json, io::stdout()))
}

enum Style {
    Tree(Tree),
    Json,
}

struct Console<W> {
    style: Style,
    out: W,
    resource: ResourceObject,
    gathered: Gathered,
    /// Why a tree could not be printed between two batches; the next batch reports it.
    broken: Option<io::Error>,
}

impl<W: Write + Send + 'static> Console<W> {
    fn new(style: Style, out: W) -> Self {
        Self { style, out, resource: ResourceObject::default(), gathered: Gathered::default(), broken: None }
    }

    fn take(&mut self, spans: &[SpanData]) -> io::Result<()> {
        let text = match &self.style {
            Style::Tree(tree) => {
                let now = Instant::now();
                for span in spans {
                    self.gathered.add(span, self.resource.service_name(), now);
                }
                trees(tree, self.gathered.complete())
            }
            Style::Json => json(spans, &self.resource),
        };
        self.print(&text)
    }

    /// Prints traces that began before `limit`, complete or not.
    fn print_begun_before(&mut self, limit: Option<Instant>) {
        if let Style::Tree(tree) = &self.style {
            let text = trees(tree, self.gathered.begun_before(limit));
            if let Err(error) = self.print(&text) {
                self.broken = Some(error);
            }
        }
    }

    /// In one piece, so that the lines of others do not get in between.
    fn print(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write + Send + 'static> BatchExporter for Console<W> {
    fn component_type(&self) -> &'static str {
        "throughline_console_span_exporter"
    }

    fn name(&self) -> &str {
        "console"
    }

    fn start(&mut self, resource: &Resource) {
        self.resource = ResourceObject::new(resource);
    }

    fn export<'a>(&'a mut self, spans: &'a [SpanData]) -> ExportFuture<'a> {
        Box::pin(async move {
            if let Some(error) = self.broken.take() {
                return Err(classified(&error));
            }
            self.take(spans).map(|()| Exported::default()).map_err(|error| classified(&error))
        })
    }

    fn flush(&mut self) -> DoneFuture<'_> {
        self.print_begun_before(None);
        Box::pin(async {})
    }

    fn shutdown(&mut self) -> DoneFuture<'_> {
        self.flush()
    }

    fn may_block(&self) -> bool {
        // A pipe whose reader is slow.
        true
    }

    fn wake_in(&self) -> Option<Duration> {
        let due = self.gathered.first_begun()? + PATIENCE;
        Some(due.saturating_duration_since(Instant::now()))
    }

    fn wake(&mut self) {
        self.print_begun_before(Instant::now().checked_sub(PATIENCE));
    }
}

fn classified(error: &io::Error) -> ExportError {
    let message = format!("standard output: {error}").into();
    match error.kind() {
        io::ErrorKind::BrokenPipe => ExportError::Closed { message },
        _ => ExportError::Permanent { message },
    }
}

fn trees(tree: &Tree, traces: Vec<Trace>) -> String {
    traces.into_iter().map(|trace| tree.render(&trace.spans) + "\n").collect()
}

fn json(spans: &[SpanData], resource: &ResourceObject) -> String {
    let mut text = String::new();
    for span in spans {
        // Keys are strings and numbers finite, hence no error; an empty line would be one for the reader.
        if let Ok(line) = serde_json::to_string(&SpanObject::new(span, resource)) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

struct Trace {
    id: TraceId,
    begun: Instant,
    spans: Vec<TreeSpan>,
    /// Its local root, of which no ancestor is in this process, has ended.
    complete: bool,
}

/// Traces that are not yet printed, the oldest first.
#[derive(Default)]
struct Gathered {
    traces: VecDeque<Trace>,
    spans: usize,
}

impl Gathered {
    fn add(&mut self, span: &SpanData, service: &str, now: Instant) {
        let id = span.span_context.trace_id();
        let ends = span.parent_span_is_remote || span.parent_span_id == SpanId::INVALID;
        let shown = TreeSpan::from_data(span, service);
        self.spans += 1;
        // The newest is the likeliest.
        match self.traces.iter_mut().rev().find(|trace| trace.id == id) {
            Some(trace) => {
                trace.spans.push(shown);
                trace.complete |= ends;
            }
            None => self.traces.push_back(Trace { id, begun: now, spans: vec![shown], complete: ends }),
        }
    }

    /// Takes the traces whose local root has ended, and the oldest ones above the bound.
    fn complete(&mut self) -> Vec<Trace> {
        let mut taken = self.take_if(|trace| trace.complete);
        while self.spans > HELD
            && let Some(oldest) = self.traces.pop_front()
        {
            self.spans -= oldest.spans.len();
            taken.push(oldest);
        }
        taken
    }

    fn begun_before(&mut self, limit: Option<Instant>) -> Vec<Trace> {
        self.take_if(|trace| limit.is_none_or(|limit| trace.begun <= limit))
    }

    fn first_begun(&self) -> Option<Instant> {
        self.traces.front().map(|trace| trace.begun)
    }

    fn take_if(&mut self, wanted: impl Fn(&Trace) -> bool) -> Vec<Trace> {
        let (taken, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.traces).into_iter().partition(wanted);
        self.traces = kept;
        self.spans -= taken.iter().map(|trace| trace.spans.len()).sum::<usize>();
        taken.into()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
