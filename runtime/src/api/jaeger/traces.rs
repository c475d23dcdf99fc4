//! Whole traces, as far as one answer may hold them.

use std::sync::Arc;

use opentelemetry::trace::TraceId;

use super::search::Search;
use crate::api::options::ApiOptions;
use crate::api::problem::Problem;
use crate::api::state::Shared;
use crate::store::{Page, Store, StoreError, StoredSpan};

/// Spans are read in parts, because nobody knows beforehand how large they are: this many at first.
const FIRST_PART: usize = 16;

/// And never more than this many.
const LARGEST_PART: usize = 512;

/// A trace.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) id: TraceId,
    /// By start; at least one.
    pub(super) spans: Vec<StoredSpan>,
    /// Whether there are more spans than an answer holds.
    pub(super) is_cut: bool,
}

/// What is left of an answer.
#[derive(Debug, Clone, Copy)]
struct Room {
    spans: usize,
    bytes: usize,
}

impl Room {
    fn new(options: &ApiOptions) -> Self {
        Self { spans: options.max_spans, bytes: options.max_answer_bytes }
    }
}

/// The newest traces that a search means. One that no longer fits is left out, with all older ones; the newest is cut.
pub(super) async fn find(shared: &Shared, search: Search) -> Result<Vec<Trace>, Problem> {
    if search.is_impossible {
        return Ok(Vec::new());
    }
    let room = Room::new(&shared.options);
    shared
        .query(move |store| async move {
            let list = store.list(search.filter, Page::first(search.depth).count(false)).await?;
            let ids = list.traces.into_iter().map(|trace| trace.trace_id).collect();
            load(&store, ids, room).await
        })
        .await
}

/// These traces, in their order. Those that are not stored, or no longer fit, are left out; the first is cut.
pub(super) async fn by_id(shared: &Shared, ids: Vec<TraceId>) -> Result<Vec<Trace>, Problem> {
    let room = Room::new(&shared.options);
    shared.query(move |store| async move { load(&store, ids, room).await }).await
}

async fn load(store: &Arc<dyn Store>, ids: Vec<TraceId>, mut room: Room) -> Result<Vec<Trace>, StoreError> {
    let mut traces: Vec<Trace> = Vec::new();
    for id in ids {
        let trace = one(store, id, &mut room).await?;
        if trace.is_cut && !traces.is_empty() {
            break;
        }
        if !trace.spans.is_empty() {
            traces.push(trace);
        }
    }
    Ok(traces)
}

async fn one(store: &Arc<dyn Store>, id: TraceId, room: &mut Room) -> Result<Trace, StoreError> {
    let mut trace = Trace { id, spans: Vec::new(), is_cut: false };
    let mut part = FIRST_PART;
    loop {
        // One more than fits tells that there are more.
        let limit = part.min(room.spans.saturating_add(1));
        let after = trace.spans.last().map(StoredSpan::cursor);
        let spans = store.spans(id, after, limit).await?;
        let is_last = spans.len() < limit;
        for span in spans {
            let bytes = text_bytes(&span);
            // The first span of an answer is always told.
            let fits = room.spans > 0 && (bytes <= room.bytes || trace.spans.is_empty());
            if !fits {
                trace.is_cut = true;
                return Ok(trace);
            }
            room.spans -= 1;
            room.bytes = room.bytes.saturating_sub(bytes);
            trace.spans.push(span);
        }
        if is_last {
            return Ok(trace);
        }
        let read: usize = trace.spans.iter().map(text_bytes).sum();
        let mean = read / trace.spans.len().max(1);
        part = (room.bytes / mean.max(1)).clamp(1, LARGEST_PART);
    }
}

fn text_bytes(span: &StoredSpan) -> usize {
    let texts = [&span.operation_name, &span.attributes_json, &span.events_json, &span.links_json];
    // Ids, times and the names of fields are some 300 bytes in either version.
    300 + texts.iter().map(|text| text.len()).sum::<usize>()
        + span.error_message.as_ref().map_or(0, String::len)
}
