//! Being the current span of a thread, and ceasing to be.

use opentelemetry::ContextGuard;

use super::leaf::EnteredLeaf;

/// Undoes an attachment when dropped. Stays on its thread.
#[derive(Debug)]
pub(super) enum Attached {
    /// Nothing to undo.
    No,
    /// OpenTelemetry's context names the span.
    Context { _guard: ContextGuard },
    /// Only this thread knows the span; what OpenTelemetry's context names is its parent, if that had to be attached.
    Leaf { _entered: EnteredLeaf, _guard: Option<ContextGuard> },
}
