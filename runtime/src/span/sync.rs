//! Spans of sync functions and scopes: a slot on the stack, filled in place, ended when the scope ends.

use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use opentelemetry::ContextGuard;

use super::core::{Begun, Core, attach};
#[cfg(feature = "kafka")]
use super::found::Found;
#[cfg(feature = "kafka")]
use super::future::Ending;
use super::leaf::Leaf;
use super::live::place;
use super::local::{self, Local};
#[cfg(feature = "kafka")]
use super::message::{Given, Message};
use super::options::Options;
use super::outcome::Outcome;
use super::sampler::{self, state};
use super::site::Site;
#[cfg(feature = "kafka")]
use crate::propagation::Traceparent;

/// A span that lasts as long as a scope. Stays on its thread.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped; bind it: `let _span = span!(..);`"]
pub struct Span {
    pub(super) core: Core,
    /// Taken when the span is left, so that there is nothing to drop after it.
    guard: ManuallyDrop<Option<ContextGuard>>,
    /// Of a leaf, the one before it. Not a guard: that is copied where this is written once.
    leaf_before: Option<Leaf>,
}

impl Span {
    /// A span that has not begun.
    #[inline]
    pub const fn idle(site: &'static Site) -> Self {
        Self { core: Core::idle(site), guard: ManuallyDrop::new(None), leaf_before: None }
    }

    #[inline(always)]
    fn enter_leaf(&mut self, local: &Local, leaf: Leaf) {
        self.leaf_before = Some(local.leaf.get());
        local.leaf.set(leaf);
    }

    /// Sets attributes; those of the same key are overwritten.
    #[cfg(feature = "kafka")]
    pub(crate) fn set_attributes(&mut self, attributes: impl IntoIterator<Item = opentelemetry::KeyValue>) {
        if let Some(side) = self.core.side() {
            attributes.into_iter().for_each(|attribute| side.set_attribute(attribute));
        }
    }

    /// Ends the record, then what is current is what was before.
    #[inline(always)]
    fn leave(&mut self, end: impl FnOnce(&mut Core)) {
        end(&mut self.core);
        if let Some(before) = self.leaf_before {
            self.leaf_before = None;
            local::with(|local| local.leaf.set(before));
        }
        if let Some(guard) = self.guard.take() {
            if local::is_there() {
                drop(guard);
            } else {
                // Kept in a thread-local; OpenTelemetry's is gone, and detaching from it would panic.
                mem::forget(guard);
            }
        }
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if self.core.is_recording() || self.guard.is_some() || self.leaf_before.is_some() {
            end_dropped(self);
        }
    }
}

#[inline(never)]
fn end_dropped(span: &mut Span) {
    span.leave(|core| {
        let how = if thread::panicking() { core.how_dropped(0) } else { 0 };
        core.end(how);
    });
}

/// Whether spans are recorded at all: set-up ran, and tracing is neither switched off nor shut down.
#[inline]
pub fn on() -> bool {
    sampler::current_state() != state::OFF
}

/// Begins the span on this thread. True if it records: then fields are worth evaluating.
#[inline]
pub fn enter(span: &mut Span) -> bool {
    on() && enter_caught(span)
}

/// Begins a leaf: nothing is attached, so spans made by others inside have its nearest ancestor as their parent.
#[inline]
pub fn enter_leaf(span: &mut Span) -> bool {
    on() && enter_leaf_on(span)
}

/// Inside the closure of `Context::map_current` OpenTelemetry's stack is borrowed, and attaching panics. Such a span
/// is recorded as a leaf; its host does not learn of it.
///
/// Not generic over the span and not inlined: a big value returned through closures costs more than all the rest.
#[inline(never)]
fn enter_caught(span: &mut Span) -> bool {
    if catch_unwind(AssertUnwindSafe(|| enter_on(span))).is_err() {
        enter_unattached(span);
    }
    span.core.is_recording()
}

#[inline(always)]
fn enter_on(span: &mut Span) {
    local::with(|local| {
        let Span { core, guard, .. } = span;
        if sampler::current_state() != state::ASK
            && core.begin::<{ place::SYNC }>(local, |cx| *guard = ManuallyDrop::new(Some(cx.attach())))
                == Begun::Done
        {
            return;
        }
        if let Some(cx) = core.begin_with(local, Options::new()) {
            *guard = ManuallyDrop::new(Some(cx.attach()));
        }
    });
}

#[cold]
fn enter_unattached(span: &mut Span) {
    local::with(|local| {
        let under = opentelemetry::Context::map_current(super::leaf::active_span);
        let leaf = span.core.as_leaf(under);
        span.enter_leaf(local, leaf);
        if let Some(stats) = local.stats() {
            span.core.start_now(stats, None);
        }
    });
}

/// The root of an unsampled trace: as a leaf it would be unknown to spans of others inside, which would then be the
/// roots of new traces.
#[cold]
fn enter_unsampled(span: &mut Span, local: &Local, leaf: Leaf) {
    match attach(leaf.to_context()) {
        Some(guard) => *span.guard = Some(guard),
        None => span.enter_leaf(local, leaf),
    }
}

#[inline(never)]
fn enter_leaf_on(span: &mut Span) -> bool {
    if sampler::current_state() == state::ASK {
        // A sampler that must be asked wants a context; such a span costs what it costs.
        return enter_caught(span);
    }
    local::with(|local| match span.core.begin_leaf(local) {
        None => {}
        Some(leaf) if leaf.trace_flags & 1 == 0 => enter_unsampled(span, local, leaf),
        Some(leaf) => span.enter_leaf(local, leaf),
    });
    span.core.is_recording()
}

/// What [`enter_message`] does below a sender that is not sampled, of whose message nothing needs to be known.
#[cfg(feature = "kafka")]
#[inline(never)]
pub(crate) fn enter_unsampled_message(span: &mut Span, sender: Traceparent) -> Option<bool> {
    if sampler::current_state() != state::ON {
        return None;
    }
    let mut own = None;
    let begun = local::with(|local| Core::begin_unsampled(local, sender, |cx| own = Some(cx)));
    *span.guard = own.and_then(attach);
    (begun == Begun::Done).then_some(false)
}

/// Begins the span of a message below the span that sent it, or as a root. `None`, and nothing is done, where more must
/// be decided: by a sampler, or because another span is current. Else whether it records.
#[cfg(feature = "kafka")]
#[inline(never)]
pub(crate) fn enter_message(
    span: &mut Span,
    sender: Option<Traceparent>,
    given: &'static Given,
    message: &Message<'_>,
) -> Option<bool> {
    if sampler::current_state() != state::ON {
        return None;
    }
    let sender = sender.map_or(Found::NONE, Found::from);
    let mut own = None;
    let begun = local::with(|local| {
        span.core.begin_message::<{ place::MESSAGE_SYNC }>(local, sender, given, message, |cx| own = Some(cx))
    });
    if begun == Begun::Slow {
        return None;
    }
    if let Some(cx) = own {
        match attach(cx) {
            Some(guard) => *span.guard = Some(guard),
            None => enter_unattached(span),
        }
    }
    Some(span.core.is_recording())
}

/// Begins the span as the options say.
#[inline(never)]
pub fn enter_with(span: &mut Span, options: Options) -> bool {
    if !on() {
        return false;
    }
    let cx = local::with(|local| span.core.begin_with(local, options));
    if let Some(cx) = cx {
        match attach(cx) {
            Some(guard) => *span.guard = Some(guard),
            None => enter_unattached(span),
        }
    }
    span.core.is_recording()
}

/// Begins a leaf as the options say.
#[inline(never)]
pub fn enter_leaf_with(span: &mut Span, options: Options) -> bool {
    if sampler::current_state() != state::ON {
        // A sampler that must be asked wants a context.
        return enter_with(span, options);
    }
    local::with(|local| {
        let (cx, leaf) = span.core.begin_leaf_with(local, options);
        *span.guard = cx.and_then(attach);
        if let Some(leaf) = leaf {
            span.enter_leaf(local, leaf);
        }
    });
    span.core.is_recording()
}

/// Calls the body inside the span and ends it by the outcome, before the value reaches the caller.
#[inline]
pub fn in_span<T, F, P>(span: &mut Span, body: F, probe: P) -> T
where
    F: FnOnce() -> T,
    P: FnOnce(&T) -> Outcome,
{
    let value = body();
    if span.core.is_recording() {
        finish(span, probe(&value));
    }
    value
}

/// Like [`in_span`], with an ending of any kind.
#[cfg(feature = "kafka")]
#[inline]
pub(crate) fn in_span_until<T, F, P>(span: &mut Span, body: F, ending: P) -> T
where
    F: FnOnce() -> T,
    P: Ending<T>,
{
    let value = body();
    if span.core.is_recording() || ending.is_wanted() {
        finish(span, ending.outcome(&value));
    }
    value
}

#[inline(never)]
fn finish(span: &mut Span, outcome: Outcome) {
    span.leave(|core| core.finish(outcome));
}
