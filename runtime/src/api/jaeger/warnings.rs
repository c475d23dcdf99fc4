//! What a client is warned of: a part of a trace that is not there, or cannot be right.

use std::collections::HashSet;

use opentelemetry::trace::SpanId;

use super::traces::Trace;
use crate::store::StoredSpan;

/// A trace of which only a part is told.
pub(super) fn of_trace(trace: &Trace) -> Option<String> {
    let spans = trace.spans.len();
    trace
        .is_cut
        .then(|| format!("only the first {spans} spans of the trace are shown: an answer holds no more"))
}

/// For each span, in their order. Links are looked at where they are told.
pub(super) fn of_spans(trace: &Trace) -> Vec<Vec<String>> {
    let known: HashSet<SpanId> = trace.spans.iter().map(|span| span.span_id).collect();
    let mut seen: HashSet<SpanId> = HashSet::with_capacity(known.len());
    let warnings = |span: &StoredSpan| {
        let mut warnings = Vec::new();
        if !seen.insert(span.span_id) {
            warnings.push("another span of this trace has the same id".to_owned());
        }
        // In a cut trace the parent may be among those that are not shown.
        if !span.is_root() && !trace.is_cut && !known.contains(&span.parent_span_id) {
            warnings.push(format!("its parent {} is not stored", span.parent_span_id));
        }
        warnings
    };
    trace.spans.iter().map(warnings).collect()
}

/// Links that lead nowhere, left out.
pub(super) fn of_links(left_out: usize) -> Option<String> {
    (left_out > 0).then(|| format!("{left_out} of its links name no trace and are left out"))
}
