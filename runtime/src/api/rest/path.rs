//! What the end of a trace waited for.

use axum::Json;
use axum::extract::State;
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::{Id, IdParam};
use super::openapi::{Busy, Refused, Unknown};
use super::span::{milliseconds, time};
use crate::api::params::Params;
use crate::api::problem::Problem;
use crate::api::state::Shared;
use crate::store::Tree;

/// A piece of the critical path: the time in which this span, and none below it, held up the end.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Step {
    /// 16 hex digits.
    span_id: String,
    #[schema(format = DateTime)]
    start: String,
    #[schema(format = DateTime)]
    end: String,
    /// How long it was.
    self_ms: f64,
}

/// The critical path, by time: of the first 10,000 spans of the trace.
#[utoipa::path(get, path = "/api/traces/{trace_id}/critical-path", tag = "traces",
    params(IdParam),
    responses((status = 200, body = Vec<Step>), Unknown, Refused, Busy))]
pub(super) async fn critical_path(
    State(shared): State<Shared>,
    Id(id): Id,
    uri: Uri,
) -> Result<Json<Vec<Step>>, Problem> {
    Params::new(&uri, &[], &[])?;
    let spans = shared.spans(id, None, usize::MAX).await?.spans;
    let path = Tree::new(&spans).critical_path(&spans);
    let steps = path.into_iter().map(|step| Step {
        span_id: step.span_id.to_string(),
        start: time(step.start_ns),
        end: time(step.end_ns),
        self_ms: milliseconds(step.end_ns.saturating_sub(step.start_ns)),
    });
    Ok(Json(steps.collect()))
}
