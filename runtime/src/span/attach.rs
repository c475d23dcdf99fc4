//! Making a span the current one of a thread, for OpenTelemetry and for our own book-keeping, and undoing it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use opentelemetry::{Context, ContextGuard};

use super::core::Core;
use super::local::{self, Current, Local};

/// Undoes an attachment when dropped. Stays on its thread.
#[derive(Debug)]
pub(super) struct Attached {
    otel: Option<ContextGuard>,
    previous: Current,
    previous_attached: u64,
}

impl Attached {
    /// Makes `core` the innermost span and `cx`, which names it, the current context.
    #[inline]
    pub(super) fn new(local: &Local, core: &Core, cx: Context) -> Self {
        let otel = attach(cx);
        let mut current = core.as_current();
        let mut attached = core.span_id();
        if otel.is_none() {
            // Like a leaf: we know the span, OpenTelemetry's context does not.
            current.leaf = true;
            attached = local.attached.get();
        }
        Self {
            otel,
            previous: local.current.replace(current),
            previous_attached: local.attached.replace(attached),
        }
    }

    /// Makes a leaf the innermost span; the current context, which names `active`, stays.
    #[inline]
    pub(super) fn leaf(local: &Local, core: &Core, active: u64) -> Self {
        Self {
            otel: None,
            previous: local.current.replace(core.as_current()),
            previous_attached: local.attached.replace(active),
        }
    }
}

impl Drop for Attached {
    #[inline]
    fn drop(&mut self) {
        local::with(|local| {
            local.current.set(self.previous);
            local.attached.set(self.previous_attached);
        });
        self.otel = None;
    }
}

/// Inside the closure of `Context::map_current`, OpenTelemetry's stack is borrowed and `attach` panics. Such a span
/// is recorded without being attached; its host does not learn of it.
#[inline]
fn attach(cx: Context) -> Option<ContextGuard> {
    catch_unwind(AssertUnwindSafe(|| cx.attach())).ok()
}
