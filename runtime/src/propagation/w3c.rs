//! The W3C codec: one walk over the headers reads traceparent, tracestate and baggage.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{TraceContextExt as _, TraceState};

use super::baggage;
use super::carrier::{HeaderEdit, HeaderView};
use super::refused::{Refusal, refuse};
use super::traceparent::{self, Traceparent};
use super::tracestate::{self, Parsed, RawTraceState};

pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";
pub(crate) const BAGGAGE: &str = "baggage";

/// Headers looked at, from the last one.
pub(crate) const MAX_HEADERS: usize = 1_024;

/// What several different valid `traceparent` headers mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Duplicates {
    /// The last one counts: its writer is the nearest.
    #[default]
    Last,
    /// None counts, as W3C Trace Context asks: a new trace starts.
    Reject,
}

static REJECT_DUPLICATES: AtomicBool = AtomicBool::new(false);

/// Sets what several different valid `traceparent` headers mean, for the whole process; default [`Duplicates::Last`].
pub fn set_duplicates(duplicates: Duplicates) {
    REJECT_DUPLICATES.store(duplicates == Duplicates::Reject, Ordering::Relaxed);
}

/// What is set by [`set_duplicates`].
pub(crate) fn duplicates() -> Duplicates {
    if REJECT_DUPLICATES.load(Ordering::Relaxed) { Duplicates::Reject } else { Duplicates::Last }
}

/// Which of the W3C headers are read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) trace: bool,
    pub(crate) baggage: bool,
}

impl Parts {
    pub(crate) const ALL: Self = Parts { trace: true, baggage: true };
}

/// Values of one list header, the last header first, bounded before they are joined.
struct List<'a> {
    /// Nearly always the only one, so that nothing is allocated for it.
    last: Option<&'a [u8]>,
    before: Vec<&'a [u8]>,
    bytes: usize,
    max_bytes: usize,
}

impl<'a> List<'a> {
    const fn new(max_bytes: usize) -> Self {
        List { last: None, before: Vec::new(), bytes: 0, max_bytes }
    }

    fn push(&mut self, value: Option<&'a [u8]>) {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return refuse(Refusal::Empty);
        };
        // The comma that joins it to the next one counts.
        self.bytes = self.bytes.saturating_add(value.len() + usize::from(self.last.is_some()));
        if self.last.is_none() {
            self.last = Some(value);
        } else if !self.is_too_large() {
            self.before.push(value);
        }
    }

    fn is_too_large(&self) -> bool {
        self.bytes > self.max_bytes
    }

    fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// The values, the first header first; nothing if they are too large together.
    fn in_order(&self) -> impl Iterator<Item = &'a [u8]> + Clone {
        if self.is_too_large() {
            refuse(Refusal::TooLarge);
        }
        let kept = if self.is_too_large() { 0 } else { usize::MAX };
        self.before.iter().rev().copied().chain(self.last).take(kept)
    }
}

/// Names are nearly always written in lower case; the exact comparison is one of a few words.
#[inline]
fn is_name(name: &[u8], field: &str) -> bool {
    name == field.as_bytes() || name.eq_ignore_ascii_case(field.as_bytes())
}

/// The `traceparent` of headers that hold at most one, valid, and neither `tracestate` nor baggage, which is what most
/// messages look like. `None`: there is more to look at.
#[inline]
pub(crate) fn only_span<H: HeaderView + ?Sized>(headers: &H, parts: Parts) -> Option<Option<Traceparent>> {
    if !parts.trace {
        return None;
    }
    let mut found = None;
    let mut seen = 0;
    let mut more = false;
    headers.walk_back(&mut |name, value| {
        seen += 1;
        let is_ours = match name.len() {
            11 if is_name(name, TRACEPARENT) => {
                more |= found.is_some();
                found = Some(value.unwrap_or_default());
                false
            }
            10 => is_name(name, TRACESTATE),
            7 => parts.baggage && is_name(name, BAGGAGE),
            _ => false,
        };
        more |= is_ours || seen > MAX_HEADERS;
        if more { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match found {
        _ if more => None,
        None => Some(None),
        Some(value) if value.len() > traceparent::MAX_BYTES => None,
        Some(value) => traceparent::parse(value).map(Some),
    }
}

/// What one walk over the headers found. Nothing is allocated for it, but for a list that came in several headers.
pub(crate) struct Seen<'a> {
    traceparent: Option<Traceparent>,
    tracestate: List<'a>,
    baggage: List<'a>,
}

/// Walks over the headers once, from the last one.
#[inline]
pub(crate) fn see<H: HeaderView + ?Sized>(headers: &H, parts: Parts, duplicates: Duplicates) -> Seen<'_> {
    let mut traceparent: Option<Traceparent> = None;
    let mut conflict = false;
    let mut tracestate = List::new(tracestate::MAX_BYTES);
    let mut baggage = List::new(baggage::MAX_BYTES);
    let mut seen = 0;
    headers.walk_back(&mut |name, value| {
        seen += 1;
        if seen > MAX_HEADERS {
            refuse(Refusal::TooMany);
            return ControlFlow::Break(());
        }
        // By length first: most headers are somebody else's.
        match name.len() {
            11 if parts.trace && is_name(name, TRACEPARENT) => {
                match (read_traceparent(value, traceparent.is_some(), duplicates), traceparent) {
                    (Some(new), None) => traceparent = Some(new),
                    (Some(new), Some(last)) => conflict |= new != last,
                    (None, _) => {}
                }
            }
            10 if parts.trace && is_name(name, TRACESTATE) => tracestate.push(value),
            7 if parts.baggage && is_name(name, BAGGAGE) => baggage.push(value),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    if conflict {
        refuse(Refusal::Duplicate);
        traceparent = None;
    }
    Seen { traceparent, tracestate, baggage }
}

impl Seen<'_> {
    /// `cx` with the remote span and baggage that came; `cx` itself as far as none did.
    pub(crate) fn onto(&self, cx: &Context) -> Context {
        let cx = match self.traceparent {
            Some(traceparent) => with_span(cx, traceparent, &self.tracestate),
            None => cx.clone(),
        };
        if self.baggage.is_empty() {
            return cx;
        }
        match baggage::parse(self.baggage.in_order()) {
            Some(baggage) => cx.with_baggage(baggage),
            None => cx,
        }
    }
}

/// `cx` with the remote span and baggage that `headers` carry; `cx` itself as far as they carry none.
pub(crate) fn extract<H: HeaderView + ?Sized>(
    cx: &Context,
    headers: &H,
    parts: Parts,
    duplicates: Duplicates,
) -> Context {
    match only_span(headers, parts) {
        Some(Some(span)) => cx.with_remote_span_context(span.to_span_context(TraceState::default())),
        Some(None) => cx.clone(),
        None => see(headers, parts, duplicates).onto(cx),
    }
}

/// The valid value of one header. With `Last`, those before the one that was found are not even parsed.
fn read_traceparent(value: Option<&[u8]>, found: bool, duplicates: Duplicates) -> Option<Traceparent> {
    if found && duplicates == Duplicates::Last {
        return None;
    }
    let refusal = match value {
        None | Some([]) => Refusal::Empty,
        Some(value) if value.len() > traceparent::MAX_BYTES => Refusal::TooLarge,
        Some(value) => match traceparent::parse(value) {
            Some(parsed) => return Some(parsed),
            None => Refusal::Traceparent,
        },
    };
    refuse(refusal);
    None
}

fn with_span(cx: &Context, ids: Traceparent, tracestate: &List<'_>) -> Context {
    let span = |state| ids.to_span_context(state);
    if tracestate.is_empty() {
        return cx.with_remote_span_context(span(TraceState::NONE));
    }
    match tracestate::parse(tracestate.in_order()) {
        Parsed::Empty => cx.with_remote_span_context(span(TraceState::NONE)),
        Parsed::State(state) => cx.with_remote_span_context(span(state)),
        Parsed::Raw(text) => cx
            .with_remote_span_context(span(TraceState::NONE))
            .with_value(RawTraceState { trace_id: ids.trace_id, text }),
    }
}

/// Writes the span and baggage of `cx`, in place of what `headers` held.
///
/// Without a valid span the trace headers stay as they are, so that a service which does not trace passes them on.
pub(crate) fn inject<H: HeaderEdit + ?Sized>(cx: &Context, headers: &mut H, parts: Parts) {
    let span = cx.span();
    let span = span.span_context();
    let trace = parts.trace && span.is_valid();
    let baggage = if parts.baggage && !cx.baggage().is_empty() { baggage::write(cx.baggage()) } else { None };
    match (trace, parts.baggage) {
        (true, true) => headers.remove(&[TRACEPARENT, TRACESTATE, BAGGAGE]),
        (true, false) => headers.remove(&[TRACEPARENT, TRACESTATE]),
        (false, _) if baggage.is_some() => headers.remove(&[BAGGAGE]),
        (false, _) => return,
    }
    if trace {
        headers.append(TRACEPARENT, traceparent::write(span, &mut [0; traceparent::LENGTH]));
        if *span.trace_state() != TraceState::NONE {
            let text = span.trace_state().header();
            if !text.is_empty() {
                headers.append(TRACESTATE, &text);
            }
        } else if let Some(raw) = cx.get::<RawTraceState>().filter(|raw| raw.trace_id == span.trace_id()) {
            headers.append(TRACESTATE, &raw.text);
        }
    }
    if let Some(baggage) = baggage {
        headers.append(BAGGAGE, &baggage);
    }
}
