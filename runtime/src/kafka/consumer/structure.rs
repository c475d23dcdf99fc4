//! Where a process span hangs: under the message's creation context, under the active span, or by itself.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

use crate::kafka::options::{ContextMode, ProcessOptions};
use crate::{diagnostics, propagation, span};

static OLD_RECORD_SEEN: AtomicBool = AtomicBool::new(false);

/// Where a process span hangs.
pub(super) enum Parent {
    Creation,
    Ambient,
    Root,
}

impl Parent {
    /// The context that the span begins under: everything that is current here, with the chosen parent.
    pub(super) fn context(&self, remote: &Context, baggage: bool) -> Context {
        let current = span::current::context();
        let cx = match self {
            // Without the span, which goes beside it.
            Parent::Creation => propagation::with_state_of(current, remote),
            Parent::Ambient => current,
            Parent::Root => current.with_remote_span_context(SpanContext::NONE),
        };
        if baggage { propagation::with_baggage_of(cx, remote) } else { cx }
    }
}

pub(super) struct Structure {
    pub(super) parent: Parent,
    /// The ambient span, where it is not the parent.
    pub(super) link: Option<SpanContext>,
}

impl Structure {
    /// kafka.md C-1, C-2 and the table of section 3.1.
    pub(super) fn of(
        options: &ProcessOptions,
        creation: &SpanContext,
        timestamp_ms: Option<i64>,
        now_ms: i64,
    ) -> Self {
        let ambient = span::current::span_context();
        let under = ambient.is_valid();
        let continues = creation.is_valid() && !is_too_old(options, timestamp_ms, now_ms);
        let parent = match options.context {
            ContextMode::NewRoot => Parent::Root,
            ContextMode::Parent if continues => Parent::Creation,
            _ if under => Parent::Ambient,
            ContextMode::ParentOrLink if continues => Parent::Creation,
            _ => Parent::Root,
        };
        let link = (under && !matches!(parent, Parent::Ambient)).then_some(ambient);
        Structure { parent, link }
    }
}

#[inline]
pub(super) fn is_too_old(options: &ProcessOptions, timestamp_ms: Option<i64>, now_ms: i64) -> bool {
    let (Some(limit), Some(sent)) = (options.parent_max_age, timestamp_ms.filter(|ms| *ms > 0)) else {
        return false;
    };
    let age = now_ms.saturating_sub(sent);
    let too_old = u128::try_from(age).is_ok_and(|age| age > limit.as_millis());
    if too_old && !OLD_RECORD_SEEN.swap(true, Ordering::Relaxed) {
        diagnostics::info(format_args!(
            "a record is {age} ms old, more than parent_max_age ({limit:?}): its span is linked to the sender's, not \
             its child; this is said once"
        ));
    }
    too_old
}
