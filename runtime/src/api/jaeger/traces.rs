//! Whole traces, as far as one answer may hold them.

use std::sync::Arc;

use opentelemetry::trace::TraceId;

use super::search::Search;
use crate::api::options::ApiOptions;
use crate::api::problem::Problem;
use crate::api::spans;
use crate::api::state::Shared;
use crate::store::{Page, Store, StoreError, StoredSpan};

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
        let found = spans::read(store, id, None, room.spans, room.bytes).await?;
        if found.spans.is_empty() && !found.more {
            continue;
        }
        if found.more && !traces.is_empty() {
            break;
        }
        room.spans = room.spans.saturating_sub(found.spans.len());
        room.bytes = room.bytes.saturating_sub(found.bytes);
        traces.push(Trace { id, spans: found.spans, is_cut: found.more });
        if room.bytes == 0 {
            break;
        }
    }
    Ok(traces)
}
