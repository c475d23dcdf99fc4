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
    /// Only this thread knows the span.
    Leaf { _entered: EnteredLeaf },
}
