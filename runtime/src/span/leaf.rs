//! Leaves: spans that this thread knows and OpenTelemetry's context does not.
//!
//! A leaf remembers which span OpenTelemetry had active when it began. As long as that span still is the active one,
//! the leaf is the innermost span; when somebody attaches another, that one is.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};

use super::found::span_context;
use super::local::Local;

/// A leaf, as its children need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) trace: [u64; 2],
    /// Zero: no leaf.
    pub(super) span: u64,
    /// OpenTelemetry's active span when the leaf began; zero: none.
    pub(super) under: u64,
    pub(super) trace_flags: u8,
}

impl Leaf {
    pub(super) const NONE: Self = Self { trace: [0; 2], span: 0, under: 0, trace_flags: 0 };

    /// Under the current context, as an ancestor that all inside sees.
    #[cold]
    pub(super) fn to_context(self) -> Context {
        Context::map_current(|cx| cx.with_remote_span_context(self.to_span_context(TraceState::NONE)))
    }

    /// As OpenTelemetry's type, with the `tracestate` of the span around it.
    pub(super) fn to_span_context(self, trace_state: TraceState) -> SpanContext {
        span_context(self.trace, self.span, self.trace_flags, false, trace_state)
    }
}

/// The leaf that is the innermost span of this thread, if one is.
pub(super) fn innermost(local: &Local, cx: &Context) -> Option<Leaf> {
    let leaf = local.leaf.get();
    (leaf.span != 0 && active_span(cx) == leaf.under).then_some(leaf)
}

/// The id of the span that a context names; zero if it names none.
#[inline]
pub(super) fn active_span(cx: &Context) -> u64 {
    if cx.has_active_span() { u64::from_be_bytes(cx.span().span_context().span_id().to_bytes()) } else { 0 }
}

/// Undoes the entry of a leaf when dropped.
#[derive(Debug)]
pub(super) struct EnteredLeaf {
    previous: Leaf,
}

impl EnteredLeaf {
    #[inline]
    pub(super) fn new(local: &Local, leaf: Leaf) -> Self {
        Self { previous: local.leaf.replace(leaf) }
    }
}

impl Drop for EnteredLeaf {
    #[inline]
    fn drop(&mut self) {
        super::local::with(|local| local.leaf.set(self.previous));
    }
}
