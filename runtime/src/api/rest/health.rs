//! How the service is doing.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::Refused;
use super::span::time;
use crate::api::access::{Stranger, TraceIdText};
use crate::api::state::Shared;

/// How the service is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    #[schema(value_type = HealthWord)]
    status: &'static str,
    /// The caller's trace id, or a fresh one.
    trace_id: String,
    /// Only for those who may ask for traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<StoreState>,
    /// Only for those who may ask for traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<Counted>,
}

/// `degraded` while the store is away.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code)] // for the document
enum HealthWord {
    Healthy,
    Degraded,
}

/// The store.
#[derive(Debug, Serialize, ToSchema)]
struct StoreState {
    /// Version of its schema.
    schema: i32,
    size_bytes: u64,
    /// Start of the oldest trace.
    #[schema(required, format = DateTime)]
    oldest: Option<String>,
    /// Start of the newest trace.
    #[schema(required, format = DateTime)]
    newest: Option<String>,
}

/// What happened since the start.
#[derive(Debug, Serialize, ToSchema)]
struct Counted {
    /// Queries that were asked.
    queries: u64,
    /// Those that were refused because too many ran.
    queries_refused: u64,
    /// Those that failed or took too long.
    queries_failed: u64,
    /// Queries running now.
    queries_running: u64,
}

/// How the service is doing: 200 while it answers at all.
#[utoipa::path(get, path = "/health", tag = "service", responses((status = 200, body = Health), Refused))]
pub(super) async fn health(
    State(shared): State<Shared>,
    stranger: Option<Extension<Stranger>>,
    Extension(TraceIdText(trace_id)): Extension<TraceIdText>,
) -> Json<Health> {
    if stranger.is_some() {
        return Json(Health { status: "healthy", trace_id, store: None, counters: None });
    }
    let store = shared.query(|store| async move { store.health().await }).await;
    let status = if store.is_ok() { "healthy" } else { "degraded" };
    let counted = shared.counted();
    Json(Health {
        status,
        trace_id,
        store: store.ok().map(|state| StoreState {
            schema: state.schema,
            size_bytes: state.size_bytes,
            oldest: state.oldest_ns.map(time),
            newest: state.newest_ns.map(time),
        }),
        counters: Some(Counted {
            queries: counted.queries,
            queries_refused: counted.refused,
            queries_failed: counted.failed,
            queries_running: counted.running,
        }),
    })
}
