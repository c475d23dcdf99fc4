//! Spans of sync functions and scopes: a slot on the stack, filled in place, ended when the scope ends.

use super::attach::Attached;
use super::core::{Core, Phase};
use super::local;
use super::options::Options;
use super::outcome::Outcome;
use super::sampler;
use super::site::Site;

/// A span that lasts as long as a scope. Stays on its thread.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped; bind it: `let _span = span!(..);`"]
pub struct Span {
    // Ends in `drop`, before the fields are dropped: first the record, then the context.
    pub(super) core: Core,
    attached: Option<Attached>,
}

impl Span {
    /// A span that has not begun.
    #[inline]
    pub const fn idle(site: &'static Site) -> Self {
        Self { core: Core::idle(site), attached: None }
    }

    #[inline]
    fn close(&mut self, how: u8) {
        self.core.end(how);
        self.attached = None;
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if self.core.phase != Phase::Idle {
            let how = self.core.how_dropped(0);
            self.core.end(how);
        }
    }
}

/// Whether spans are recorded at all: set-up ran, and tracing is neither switched off nor shut down.
#[inline]
pub fn on() -> bool {
    sampler::current_state() != sampler::state::OFF
}

/// Begins the span on this thread. True if it records: then fields are worth evaluating.
///
/// Not generic and not inlined: a big value returned through closures costs more than all the rest.
#[inline(never)]
pub fn enter(span: &mut Span) -> bool {
    if !on() {
        return false;
    }
    local::with(|local| {
        if let Some(cx) = span.core.start(local) {
            span.attached = Some(Attached::new(local, &span.core, cx));
        }
    });
    span.core.phase != Phase::Idle
}

/// Begins a leaf: nothing is attached, so spans made by others inside have its nearest ancestor as their parent.
#[inline(never)]
pub fn enter_leaf(span: &mut Span) -> bool {
    if !on() {
        return false;
    }
    local::with(|local| {
        if let Some(active) = span.core.start_leaf(local) {
            span.attached = Some(Attached::leaf(local, &span.core, active));
        }
    });
    span.core.phase != Phase::Idle
}

/// Begins the span as the options say.
#[inline(never)]
pub fn enter_with(span: &mut Span, options: Options) -> bool {
    if !on() {
        return false;
    }
    local::with(|local| {
        if let Some(cx) = span.core.start_with(local, options) {
            span.attached = Some(Attached::new(local, &span.core, cx));
        }
    });
    span.core.phase != Phase::Idle
}

/// Calls the body inside the span and ends it by the outcome, before the value reaches the caller.
#[inline]
pub fn in_span<T, F, P>(span: &mut Span, body: F, probe: P) -> T
where
    F: FnOnce() -> T,
    P: FnOnce(&T) -> Outcome,
{
    let value = body();
    if span.core.phase != Phase::Idle {
        span.core.finish(probe(&value));
    }
    span.close(0);
    value
}
