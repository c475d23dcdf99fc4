//! The spans of a trace, read without holding more of them than an answer may.

use std::sync::Arc;

use opentelemetry::trace::TraceId;

use super::problem::Problem;
use super::state::State;
use crate::store::{SpanCursor, Store, StoreError, StoredSpan};

/// How many are read at first, while it is not known how large they are.
const FIRST: usize = 64;

/// How many are read at once at most.
const MOST: usize = 2_000;

/// Some spans of a trace, by start.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    pub(crate) spans: Vec<StoredSpan>,
    /// Whether there are more after these.
    pub(crate) more: bool,
    /// How much text they have.
    pub(crate) bytes: usize,
}

impl Spans {
    /// Where the next part begins, if there is one.
    pub(crate) fn next(&self) -> Option<SpanCursor> {
        self.spans.last().filter(|_| self.more).map(StoredSpan::cursor)
    }
}

impl State {
    /// The spans after a place, at most `limit` and no more text than an answer may have; 404 when there is no such trace.
    pub(crate) async fn spans(
        &self,
        id: TraceId,
        after: Option<SpanCursor>,
        limit: usize,
    ) -> Result<Spans, Problem> {
        let (limit, most_bytes) = (limit.min(self.options.max_spans), self.options.max_answer_bytes);
        self.query(move |store| async move {
            let found = read(&store, id, after, limit, most_bytes).await?;
            if found.spans.is_empty() && store.trace(id).await?.is_none() {
                return Ok(None);
            }
            Ok(Some(found))
        })
        .await?
        .ok_or_else(unknown_trace)
    }
}

/// 404.
pub(crate) fn unknown_trace() -> Problem {
    Problem::not_found("there is no such trace")
}

/// The spans after a place, at most `limit` and no more than one beyond so much text.
pub(crate) async fn read(
    store: &Arc<dyn Store>,
    id: TraceId,
    mut after: Option<SpanCursor>,
    limit: usize,
    most_bytes: usize,
) -> Result<Spans, StoreError> {
    let mut found = Spans::default();
    let mut at_once = FIRST;
    loop {
        // One more than is wanted tells whether there are more.
        let wanted = limit.saturating_sub(found.spans.len()).saturating_add(1).min(at_once);
        let some = match store.spans(id, after, wanted).await {
            Err(StoreError::TooLarge) if wanted > 1 => {
                at_once = wanted / 2;
                continue;
            }
            some => some?,
        };
        let is_end = some.len() < wanted;
        for span in some {
            if found.spans.len() >= limit || (found.bytes >= most_bytes && !found.spans.is_empty()) {
                found.more = true;
                return Ok(found);
            }
            found.bytes = found.bytes.saturating_add(weight(&span));
            after = Some(span.cursor());
            found.spans.push(span);
        }
        if is_end {
            return Ok(found);
        }
        let each = found.bytes / found.spans.len().max(1);
        at_once = (most_bytes.saturating_sub(found.bytes) / each.max(1)).clamp(1, MOST);
    }
}

/// How much text it has.
fn weight(span: &StoredSpan) -> usize {
    let texts = [&span.operation_name, &span.attributes_json, &span.events_json, &span.links_json];
    let optional = [&span.error_message, &span.trace_state];
    400 + texts.iter().map(|text| text.len()).sum::<usize>()
        + optional.iter().filter_map(|text| text.as_ref()).map(String::len).sum::<usize>()
        // Shared in memory, but not in an answer.
        + span.resource.resource_json.len()
}
