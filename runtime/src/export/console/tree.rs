//! A trace as a picture in text.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use opentelemetry_sdk::trace::SpanData;

use super::forest::{self, Place};
use super::{attributes, text};

/// Columns of the duration bar.
const BAR: usize = 20;
/// Columns that names may take before they push the bar out of line.
const NAME_COLUMN: usize = 56;
/// Levels that are drawn; deeper ones show their depth as a number.
const LEVELS: usize = 24;
/// The most characters of a name, and of an error's description.
const NAME_LENGTH: usize = 80;
const ERROR_LENGTH: usize = 160;

const RED: &str = "\u{1b}[31m";
const BOLD: &str = "\u{1b}[1m";
const DIM: &str = "\u{1b}[2m";
const CYAN: &str = "\u{1b}[36m";
const PLAIN: &str = "\u{1b}[0m";

/// One span as a [`Tree`] shows it; any source of spans can fill it in.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TreeSpan {
    /// The trace to which the span belongs.
    pub trace_id: TraceId,
    /// The span's own id.
    pub span_id: SpanId,
    /// `SpanId::INVALID` for a root, which is the default.
    pub parent_span_id: SpanId,
    /// The service that made the span; empty by default. Shown when a tree has several.
    pub service: String,
    /// The span's name.
    pub name: String,
    /// `Internal` by default.
    pub kind: SpanKind,
    /// The epoch by default.
    pub start_time: SystemTime,
    /// The epoch by default.
    pub end_time: SystemTime,
    /// `Unset` by default.
    pub status: Status,
    /// Empty by default. Those of interest are shown, five at most.
    pub attributes: Vec<KeyValue>,
}

impl TreeSpan {
    /// A root span with this name, and everything else at its default.
    pub fn new(trace_id: TraceId, span_id: SpanId, name: impl Into<String>) -> Self {
        Self {
            trace_id,
            span_id,
            parent_span_id: SpanId::INVALID,
            service: String::new(),
            name: name.into(),
            kind: SpanKind::Internal,
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            status: Status::Unset,
            attributes: Vec::new(),
        }
    }

    /// A finished span of the SDK, made by the service of that name.
    pub fn from_data(span: &SpanData, service: &str) -> Self {
        Self {
            trace_id: span.span_context.trace_id(),
            span_id: span.span_context.span_id(),
            parent_span_id: span.parent_span_id,
            service: service.to_owned(),
            name: span.name.clone().into_owned(),
            kind: span.span_kind.clone(),
            start_time: span.start_time,
            end_time: span.end_time,
            status: span.status.clone(),
            attributes: span.attributes.clone(),
        }
    }

    fn duration(&self) -> Duration {
        self.end_time.duration_since(self.start_time).unwrap_or_default()
    }
}

/// How a trace is drawn: one line per span with its name, a bar and a number for its duration, its service when the
/// trace has several, the time it spent in the broker, its error, and its key attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a tree draws nothing until `render` is called"]
pub struct Tree {
    colour: bool,
    times: bool,
    header: bool,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A tree as the console prints it: with a line for the trace above the spans, with times, without colour.
    pub fn new() -> Self {
        Self { colour: false, times: true, header: true }
    }

    /// A tree to compare with a stored text: nothing in it changes from run to run. No trace id, no times.
    pub fn snapshot() -> Self {
        Self { colour: false, times: false, header: false }
    }

    /// Whether to use ANSI colours: errors are red. Off by default.
    pub fn colour(mut self, on: bool) -> Self {
        self.colour = on;
        self
    }

    /// Whether to show bars, durations and the time spent in the broker. On by default.
    pub fn times(mut self, on: bool) -> Self {
        self.times = on;
        self
    }

    /// Whether each trace begins with a line that has its trace id. On by default.
    pub fn header(mut self, on: bool) -> Self {
        self.header = on;
        self
    }

    /// Draws the spans, in any order given, one tree per trace; traces in order of their first start.
    pub fn render(&self, spans: &[TreeSpan]) -> String {
        let mut traces: Vec<Vec<TreeSpan>> = Vec::new();
        for span in spans {
            match traces.iter_mut().find(|t| t.first().is_some_and(|s| s.trace_id == span.trace_id)) {
                Some(trace) => trace.push(span.clone()),
                None => traces.push(vec![span.clone()]),
            }
        }
        traces.sort_by_key(|trace| trace.iter().map(|span| span.start_time).min());
        let mut out = String::new();
        for trace in &traces {
            self.render_trace(trace, &mut out);
        }
        out
    }

    fn render_trace(&self, spans: &[TreeSpan], out: &mut String) {
        let picture = Picture::of(spans);
        if self.header {
            self.header_line(&picture, spans, out);
        }
        let rows: Vec<_> = forest::arrange(spans)
            .into_iter()
            .filter_map(|place| spans.get(place.index).map(|span| (stem(&place, span), place, span)))
            .collect();
        let column = rows.iter().map(|(stem, ..)| text::width(stem)).filter(|w| *w <= NAME_COLUMN).max();
        for (stem, place, span) in &rows {
            self.span_line(&picture, stem, place, span, column.unwrap_or(0), out);
        }
    }

    fn header_line(&self, picture: &Picture<'_>, spans: &[TreeSpan], out: &mut String) {
        let trace_id = spans.first().map_or(TraceId::INVALID, |span| span.trace_id);
        let errors = spans.iter().filter(|span| is_error(span)).count();
        let _ = write!(out, "{}trace {trace_id}{}", self.paint(BOLD), self.paint(PLAIN));
        if self.times {
            let _ = write!(out, "  {}", text::duration(picture.length));
        }
        let _ = write!(out, "  {}", counted(spans.len(), "span"));
        match picture.services.as_slice() {
            [] | [""] => {}
            [only] => {
                let _ = write!(out, "  {}", text::shown(only, NAME_LENGTH));
            }
            several => {
                let _ = write!(out, "  {}", counted(several.len(), "service"));
            }
        }
        if errors > 0 {
            let _ = write!(out, "  {}{}{}", self.paint(RED), counted(errors, "error"), self.paint(PLAIN));
        }
        out.push('\n');
    }

    fn span_line(
        &self,
        picture: &Picture<'_>,
        stem: &str,
        place: &Place,
        span: &TreeSpan,
        column: usize,
        out: &mut String,
    ) {
        let failed = is_error(span);
        let (on, off) = if failed { (self.paint(RED), self.paint(PLAIN)) } else { ("", "") };
        let _ = write!(out, "{on}{stem}{off}");
        if self.times {
            let pad = column.saturating_sub(text::width(stem));
            let bar = picture.bar(span);
            let length = text::duration(span.duration());
            let _ = write!(out, "{:pad$}  {on}{bar}{off}  {length:>8}", "");
        }
        if picture.services.len() > 1 {
            let service = text::shown(&span.service, NAME_LENGTH);
            let _ = write!(out, "  {}[{service}]{}", self.paint(CYAN), self.paint(PLAIN));
        }
        if self.times
            && span.kind == SpanKind::Consumer
            && let Some(millis) = attributes::number(&span.attributes, "throughline.messaging.queue_time_ms")
            && let Ok(queued) = Duration::try_from_secs_f64(millis / 1e3)
        {
            let _ = write!(out, "  {} in the broker", text::duration(queued));
        }
        if failed {
            let _ = write!(out, "  {}{}{}", self.paint(RED), error_text(span), self.paint(PLAIN));
        }
        if attributes::is_true(&span.attributes, "throughline.cancelled") {
            out.push_str("  cancelled");
        }
        if place.orphan {
            out.push_str("  (its parent is missing)");
        }
        let mut separator = "  ";
        for attribute in attributes::of_interest(&span.attributes) {
            let _ = write!(out, "{separator}{}{attribute}{}", self.paint(DIM), self.paint(PLAIN));
            separator = " ";
        }
        out.push('\n');
    }

    fn paint(&self, code: &'static str) -> &'static str {
        if self.colour { code } else { "" }
    }
}

/// The branches in front of a span, and its name.
fn stem(place: &Place, span: &TreeSpan) -> String {
    let mut stem = String::new();
    let depth = place.branches.len();
    let hidden = depth.saturating_sub(LEVELS);
    if hidden > 0 {
        let _ = write!(stem, "…{hidden} ");
    }
    for (n, goes_on) in place.branches.iter().enumerate().skip(hidden) {
        stem.push_str(match (n + 1 == depth, goes_on) {
            (true, true) => "├─ ",
            (true, false) => "└─ ",
            (false, true) => "│  ",
            (false, false) => "   ",
        });
    }
    stem.push_str(&text::shown(&span.name, NAME_LENGTH));
    stem
}

fn is_error(span: &TreeSpan) -> bool {
    matches!(span.status, Status::Error { .. })
}

/// `error: type: description`, as far as they are known.
fn error_text(span: &TreeSpan) -> String {
    let mut shown = "error".to_owned();
    let kind = attributes::find(&span.attributes, "error.type").map(opentelemetry::Value::as_str);
    let description = match &span.status {
        Status::Error { description } => description.as_ref(),
        _ => "",
    };
    for part in [kind.as_deref().unwrap_or_default(), description] {
        if !part.is_empty() {
            let _ = write!(shown, ": {}", text::shown(part, ERROR_LENGTH));
        }
    }
    shown
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// What all lines of one trace share.
struct Picture<'s> {
    begin: SystemTime,
    length: Duration,
    services: Vec<&'s str>,
}

impl<'s> Picture<'s> {
    fn of(spans: &'s [TreeSpan]) -> Self {
        let begin = spans.iter().map(|span| span.start_time).min().unwrap_or(SystemTime::UNIX_EPOCH);
        let end = spans.iter().map(|span| span.end_time).max().unwrap_or(begin);
        let mut services: Vec<_> = spans.iter().map(|span| span.service.as_str()).collect();
        services.sort_unstable();
        services.dedup();
        Self { begin, length: end.duration_since(begin).unwrap_or_default(), services }
    }

    /// Where in the trace's time the span lies; at least one column, however short.
    fn bar(&self, span: &TreeSpan) -> String {
        let column = |at: SystemTime| {
            let since = at.duration_since(self.begin).unwrap_or_default().as_secs_f64();
            let whole = self.length.as_secs_f64();
            if whole <= 0.0 { 0.0 } else { (since / whole).min(1.0) * BAR as f64 }
        };
        // In 0..=BAR by the line above.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let (from, to) = (column(span.start_time).floor() as usize, column(span.end_time).ceil() as usize);
        let from = from.min(BAR - 1);
        let to = to.clamp(from + 1, BAR);
        format!("{}{}{}", "·".repeat(from), "█".repeat(to - from), "·".repeat(BAR - to))
    }
}
