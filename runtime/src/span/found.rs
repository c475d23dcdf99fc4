//! What a span begins from: the parent that was found, and what follows from it.

use opentelemetry::Context;
use opentelemetry::trace::{Link, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};

use super::local::Local;
use super::sampler;
#[cfg(feature = "kafka")]
use crate::propagation::Traceparent;

/// The parent that was found, as numbers.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) trace: [u64; 2],
    /// Zero: none, the span will be a root, and the rest means nothing.
    pub(super) span: u64,
    pub(super) trace_flags: u8,
    pub(super) is_remote: bool,
}

impl Found {
    pub(super) const NONE: Self = Self { trace: [0; 2], span: 0, trace_flags: 0, is_remote: false };

    #[inline]
    pub(super) fn from_span_context(context: &SpanContext) -> Self {
        let trace = words(context.trace_id());
        let span = u64::from_be_bytes(context.span_id().to_bytes());
        Self {
            trace,
            span: if trace == [0; 2] { 0 } else { span },
            trace_flags: context.trace_flags().to_u8(),
            is_remote: context.is_remote(),
        }
    }

    /// The parent that a context names.
    pub(super) fn by_context(cx: &Context) -> Self {
        if cx.has_active_span() { Self::from_span_context(cx.span().span_context()) } else { Self::NONE }
    }

    /// The parent on this thread, whose current context is `cx`: our innermost leaf, if it is newer than the span
    /// that the context names.
    #[inline]
    pub(super) fn by_current(local: &Local, cx: &Context) -> Self {
        Self::by_context(cx).or_newer_leaf(local)
    }

    /// This span, which OpenTelemetry has active, or the leaf that began under it.
    #[inline(always)]
    pub(super) fn or_newer_leaf(self, local: &Local) -> Self {
        let leaf = local.leaf.get();
        if leaf.span == 0 || leaf.under != self.span {
            return self;
        }
        Self { trace: leaf.trace, span: leaf.span, trace_flags: leaf.trace_flags, is_remote: false }
    }

    pub(super) fn to_span_context(self) -> SpanContext {
        // Not the constant: that is memory, of which the compiler does not see that there is nothing to clone.
        span_context(self.trace, self.span, self.trace_flags, self.is_remote, TraceState::default())
    }
}

#[cfg(feature = "kafka")]
impl From<Traceparent> for Found {
    #[inline]
    fn from(sender: Traceparent) -> Self {
        Self {
            trace: words(sender.trace_id),
            span: u64::from_be_bytes(sender.span_id.to_bytes()),
            trace_flags: sender.flags.to_u8(),
            is_remote: true,
        }
    }
}

/// A trace id as two words, the higher first.
#[allow(clippy::cast_possible_truncation)]
#[inline]
pub(super) fn words(id: TraceId) -> [u64; 2] {
    let number = u128::from_be_bytes(id.to_bytes());
    [(number >> 64) as u64, number as u64]
}

/// A span's context in OpenTelemetry's type, from the numbers that we keep of it.
#[inline(always)]
pub(super) fn span_context(
    trace: [u64; 2],
    span: u64,
    trace_flags: u8,
    is_remote: bool,
    trace_state: TraceState,
) -> SpanContext {
    let trace_flags = TraceFlags::new(trace_flags);
    SpanContext::new(trace_id(trace), SpanId::from(span), trace_flags, is_remote, trace_state)
}

#[inline]
pub(crate) fn trace_id(words: [u64; 2]) -> TraceId {
    TraceId::from((u128::from(words[0]) << 64) | u128::from(words[1]))
}

/// Ids and decision of a span that begins.
#[derive(Clone, Copy)]
pub(super) struct Sampled {
    pub(super) trace: [u64; 2],
    pub(super) span: u64,
    pub(super) trace_flags: u8,
    pub(super) records: bool,
}

impl Sampled {
    #[inline(always)]
    pub(super) fn span_context(self, trace_state: TraceState) -> SpanContext {
        span_context(self.trace, self.span, self.trace_flags, false, trace_state)
    }
}

/// Decides by the parent, or for a root by its trace id, and takes ids; `None` where nothing changes.
#[inline(always)]
pub(super) fn decide(local: &Local, parent: Found) -> Option<Sampled> {
    let mut sampled =
        Sampled { trace: parent.trace, span: 0, trace_flags: parent.trace_flags, records: true };
    if parent.span == 0 {
        sampled.trace = local.ids.next_trace();
        sampled.trace_flags = 1;
        if !sampler::samples_root(sampled.trace[1]) {
            let span = local.ids.next_span();
            return Some(Sampled { span, trace_flags: 0, records: false, ..sampled });
        }
    } else if parent.trace_flags & 1 == 0 {
        return None;
    }
    sampled.span = local.ids.next_span();
    Some(sampled)
}

/// A link to the span that a root was called from.
pub(super) fn link_to(caller: Found) -> Option<Link> {
    (caller.span != 0).then(|| Link::new(caller.to_span_context(), Vec::new(), 0))
}
