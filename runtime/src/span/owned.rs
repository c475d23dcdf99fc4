//! Spans that move between threads: for futures, streams, and work that ends in a callback.

use std::borrow::Cow;
use std::mem;

use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};
use opentelemetry::{Context, ContextGuard, KeyValue};

use super::attach::Attached;
use super::core::{Begun, Core, attach};
#[cfg(feature = "kafka")]
use super::found::Found;
use super::leaf::{EnteredLeaf, Leaf, active_span};
use super::live::place;
use super::local;
#[cfg(feature = "kafka")]
use super::message::{Given, Message, MessagePlace};
use super::options::Options;
use super::outcome::Outcome;
use super::record::flag;
use super::sampler::{self, state};
use super::site::Site;
use super::sync::on;
#[cfg(feature = "kafka")]
use crate::propagation::Traceparent;

/// A span that is attached nowhere until somebody asks for it, and ends where it is dropped.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped"]
pub struct OwnedSpan {
    pub(super) core: Core,
    /// What is current inside the span: its own context, for an unsampled trace the one that keeps it so, or the
    /// parent that a leaf was told.
    cx: Option<Context>,
    /// A leaf, recording or not: what a thread has to know of it.
    leaf: Option<Leaf>,
}

impl OwnedSpan {
    /// A span that has not begun.
    #[inline]
    pub const fn idle(site: &'static Site) -> Self {
        Self { core: Core::idle(site), cx: None, leaf: None }
    }

    /// Whether attributes and outcome are wanted.
    #[inline]
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.core.is_recording()
    }

    /// The context that names this span; `None` when there is none (tracing is off, or a leaf).
    #[must_use]
    pub fn context(&self) -> Option<&Context> {
        self.cx.as_ref().filter(|_| self.leaf.is_none())
    }

    /// The span's context; invalid when tracing is off. Of an unsampled trace, that of its root.
    #[must_use]
    pub fn span_context(&self) -> SpanContext {
        if let Some(leaf) = self.leaf {
            return leaf.to_span_context(TraceState::NONE);
        }
        self.cx.as_ref().map_or(SpanContext::NONE, |cx| cx.span().span_context().clone())
    }

    /// Sets attributes; those of the same key are overwritten.
    pub fn set_attributes(&mut self, attributes: impl IntoIterator<Item = KeyValue>) {
        if let Some(side) = self.core.side() {
            attributes.into_iter().for_each(|attribute| side.set_attribute(attribute));
        }
    }

    /// Gives the span another name.
    pub fn update_name(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(side) = self.core.side() {
            side.update_name(name.into());
        }
    }

    /// Marks the span as failed: status Error with the description, and `error.type`.
    pub fn fail(
        &mut self,
        error_type: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
    ) {
        if self.is_recording() {
            self.core.fail(error_type.into(), description.into());
        }
    }

    /// Adds a link.
    pub fn add_link(&mut self, to: SpanContext) {
        if let Some(side) = self.core.side() {
            side.add_link_to(to);
        }
    }

    /// Where it tells of its message, if this is the span of one; until the span ends.
    #[cfg(feature = "kafka")]
    pub(crate) fn message_place(&self) -> Option<MessagePlace> {
        self.core.message_place()
    }

    /// Ends the span now, with the outcome that it has.
    pub fn end(mut self) {
        self.close(0);
    }

    /// Remembers that what is inside panicked: what ends the span is a later drop, perhaps after the panic was caught.
    #[cfg(feature = "kafka")]
    pub(crate) fn panicked(&mut self) {
        self.core.panicked_in_poll();
    }

    /// Ends the span as cancelled: it was given up before its end.
    pub fn cancel(mut self) {
        self.close(flag::CANCELLED);
    }

    #[inline]
    pub(super) fn finish(&mut self, outcome: Outcome) {
        self.core.finish(outcome);
        self.cx = None;
        self.leaf = None;
    }

    #[inline]
    pub(super) fn close(&mut self, how: u8) {
        if self.is_recording() {
            let how = self.core.how_dropped(how);
            self.core.end(how);
        }
        self.cx = None;
        self.leaf = None;
    }

    /// Makes the span current on this thread until the guard is dropped.
    ///
    /// Takes the context along: an annotated function that returns at its first poll never needs it again, and a
    /// clone costs as much as all the rest. Whoever attaches again calls [`OwnedSpan::keep`] before detaching.
    #[inline]
    pub(super) fn attach(&mut self) -> Attached {
        if self.cx.is_none() && self.leaf.is_none() {
            return Attached::No;
        }
        self.attach_own()
    }

    fn attach_own(&mut self) -> Attached {
        if !local::is_there() {
            return Attached::No;
        }
        if let Some(leaf) = self.leaf {
            let guard = self.cx.clone().and_then(attach);
            return Self::attach_leaf(leaf, guard);
        }
        match self.cx.take() {
            Some(cx) => match attach(cx) {
                Some(guard) => Attached::Context { _guard: guard },
                None => Self::attach_leaf(self.core.as_leaf(0), None),
            },
            None => Attached::No,
        }
    }

    /// Innermost under whatever is active here: not the same as where it began, when its future was spawned.
    #[cold]
    fn attach_leaf(leaf: Leaf, guard: Option<ContextGuard>) -> Attached {
        let leaf = Leaf { under: Context::map_current(active_span), ..leaf };
        Attached::Leaf { _entered: local::with(|local| EnteredLeaf::new(local, leaf)), _guard: guard }
    }

    /// Keeps the context for the next attachment; called while it is current.
    #[inline]
    pub(super) fn keep(&mut self, attached: &Attached) {
        match attached {
            Attached::No => {}
            // The next poll may come on another thread, where these writes would not be found.
            Attached::Leaf { .. } => self.core.take_leaf_writes(),
            Attached::Context { .. } => {
                let current = Context::current();
                let named = current.span().span_context().span_id();
                let own = self.core.span_context();
                self.cx = match own {
                    // Somebody inside attached a context and left it there.
                    Some(own) if own.span_id() != named => self.core.context_under(&current),
                    _ => Some(current),
                };
            }
        }
    }

    /// Polls what is inside. If that panics, the context is kept all the same: what a future holds is dropped later,
    /// by whoever owns it, and belongs to the span as much as what the unwinding drops.
    #[inline]
    pub(super) fn polling<T>(&mut self, attached: &Attached, poll: impl FnOnce() -> T) -> T {
        let unwinding = KeepUnwinding { span: self, attached };
        let polled = poll();
        mem::forget(unwinding);
        polled
    }

    /// Makes the span current until the guard is dropped.
    pub fn enter(&mut self) -> Entered {
        let kept = self.cx.clone();
        let attached = self.attach();
        self.cx = kept;
        Entered { _attached: attached }
    }
}

/// Makes an [`OwnedSpan`] current until it is dropped. Stays on its thread.
#[derive(Debug)]
#[must_use = "the span is current until this is dropped"]
pub struct Entered {
    _attached: Attached,
}

/// Dropped by a panic only.
struct KeepUnwinding<'a> {
    span: &'a mut OwnedSpan,
    attached: &'a Attached,
}

impl Drop for KeepUnwinding<'_> {
    #[cold]
    fn drop(&mut self) {
        self.span.core.panicked_in_poll();
        self.span.keep(self.attached);
    }
}

impl Drop for OwnedSpan {
    #[inline]
    fn drop(&mut self) {
        if self.is_recording() {
            self.close(0);
        }
    }
}

/// Begins the span under the current context; attaches nothing. True if it records.
#[inline(never)]
pub fn open(span: &mut OwnedSpan) -> bool {
    if !on() {
        return false;
    }
    local::with(|local| {
        let OwnedSpan { core, cx, .. } = &mut *span;
        if sampler::current_state() == state::ASK
            || core.begin::<{ place::OWNED }>(local, |own| *cx = Some(own)) == Begun::Slow
        {
            *cx = core.begin_with(local, Options::new());
        }
    });
    keep_unsampled(span);
    span.is_recording()
}

/// Begins a leaf.
#[inline(never)]
pub fn open_leaf(span: &mut OwnedSpan) -> bool {
    if !on() {
        return false;
    }
    if sampler::current_state() == state::ASK {
        return open(span);
    }
    span.leaf = local::with(|local| span.core.begin_leaf(local));
    match span.leaf {
        Some(leaf) if leaf.trace_flags & 1 == 0 => {
            span.leaf = None;
            span.cx = Some(leaf.to_context());
        }
        Some(_) => {}
        None => keep_unsampled(span),
    }
    span.is_recording()
}

/// Begins the span as the options say; attaches nothing.
#[inline(never)]
pub fn open_with(span: &mut OwnedSpan, options: Options) -> bool {
    if !on() {
        return false;
    }
    span.cx = local::with(|local| span.core.begin_with(local, options));
    keep_unsampled(span);
    span.is_recording()
}

/// Begins a leaf as the options say; attaches nothing.
#[inline(never)]
pub fn open_leaf_with(span: &mut OwnedSpan, options: Options) -> bool {
    if sampler::current_state() != state::ON {
        return open_with(span, options);
    }
    (span.cx, span.leaf) = local::with(|local| span.core.begin_leaf_with(local, options));
    if span.leaf.is_none() {
        keep_unsampled(span);
    }
    span.is_recording()
}

/// A future may be spawned: what it does there must find the unsampled trace that it belongs to, or it would be
/// the root of a new one.
#[inline]
fn keep_unsampled(span: &mut OwnedSpan) {
    if span.cx.is_none() && local::is_there() {
        span.cx = Some(super::current::context());
    }
}

/// Calls the synchronous part of a function that returns a future or a stream, inside the span.
#[inline]
pub fn in_cx<R>(span: &mut OwnedSpan, body: impl FnOnce() -> R) -> R {
    let attached = span.attach();
    let value = body();
    span.keep(&attached);
    drop(attached);
    value
}

/// What [`open_message`] does below a sender that is not sampled, of whose message nothing needs to be known.
#[cfg(feature = "kafka")]
#[inline(never)]
pub(crate) fn open_unsampled(span: &mut OwnedSpan, sender: Traceparent) -> Option<bool> {
    if sampler::current_state() != state::ON {
        return None;
    }
    let begun = local::with(|local| Core::begin_unsampled(local, sender, |cx| span.cx = Some(cx)));
    if begun == Begun::Slow {
        return None;
    }
    keep_unsampled(span);
    Some(false)
}

/// Begins the span of a message below the span that sent it, or as a root; attaches nothing. `None`, and nothing is done,
/// where more must be decided: by a sampler, or because another span is current. Else whether it records.
#[cfg(feature = "kafka")]
#[inline(never)]
pub(crate) fn open_message(
    span: &mut OwnedSpan,
    sender: Option<Traceparent>,
    given: &'static Given,
    message: &Message<'_>,
) -> Option<bool> {
    if sampler::current_state() != state::ON {
        return None;
    }
    let sender = sender.map_or(Found::NONE, Found::from);
    let begun = local::with(|local| {
        let OwnedSpan { core, cx, .. } = &mut *span;
        core.begin_message::<{ place::MESSAGE }>(local, sender, given, message, |own| *cx = Some(own))
    });
    if begun == Begun::Slow {
        return None;
    }
    keep_unsampled(span);
    Some(span.is_recording())
}
