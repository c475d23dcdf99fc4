//! What there is to ask for: services, operations, and who calls whom.

use axum::Json;
use axum::extract::State;
use http::Uri;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::filter::{KindWord, kind};
use super::openapi::{Busy, Refused};
use super::span::{KindName, kind_name, milliseconds};
use crate::api::params::Params;
use crate::api::problem::Problem;
use crate::api::state::Shared;
use crate::store::Edge;

/// Every service.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Services {
    /// Sorted.
    services: Vec<String>,
}

/// The names of all services.
#[utoipa::path(get, path = "/api/services", tag = "names",
    responses((status = 200, body = Services), Refused, Busy))]
pub(super) async fn services(State(shared): State<Shared>, uri: Uri) -> Result<Json<Services>, Problem> {
    Params::new(&uri, &[], &[])?;
    let services = shared.query(|store| async move { store.services().await }).await?;
    Ok(Json(Services { services }))
}

/// Parameters of the operations.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // for the document
pub(super) struct OperationParams {
    /// Of this service only.
    service: Option<String>,
    /// Of this kind only.
    #[param(inline)]
    kind: Option<KindWord>,
}

/// The names of spans.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Operations {
    /// Sorted by name.
    operations: Vec<Operation>,
}

/// The name of spans, and their kind.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Operation {
    name: String,
    #[schema(value_type = KindName)]
    kind: &'static str,
}

/// The names of spans, each with its kind.
#[utoipa::path(get, path = "/api/operations", tag = "names", params(OperationParams),
    responses((status = 200, body = Operations), Refused, Busy))]
pub(super) async fn operations(State(shared): State<Shared>, uri: Uri) -> Result<Json<Operations>, Problem> {
    let params = Params::new(&uri, &["service", "kind"], &[])?;
    let service = params.text("service").map(str::to_owned);
    let kind = kind(&params)?;
    let found = shared.query(|store| async move { store.operations(service, kind).await }).await?;
    let operations = found.into_iter().map(|(name, kind)| Operation { name, kind: kind_name(kind) });
    Ok(Json(Operations { operations: operations.collect() }))
}

/// Parameters of the dependencies.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // for the document
pub(super) struct RangeParams {
    /// Earliest start, included; without a zone it is UTC. Default: a day before the latest. Not more than 7 days are looked at.
    #[param(format = DateTime)]
    start_time_from: Option<String>,
    /// Latest start, excluded; without a zone it is UTC. Default: now.
    #[param(format = DateTime)]
    start_time_to: Option<String>,
}

/// Who calls whom.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Dependencies {
    /// Sorted by parent and child.
    edges: Vec<Call>,
}

/// Calls from one service to another, or to something that makes no spans, such as a database.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Call {
    /// Who calls.
    parent: String,
    /// Who is called.
    child: String,
    calls: u64,
    /// Those with an error status.
    errors: u64,
    /// Nearest-rank percentile of the duration, as the called side saw it if it makes spans.
    p95_ms: f64,
}

impl From<&Edge> for Call {
    fn from(edge: &Edge) -> Self {
        Self {
            parent: edge.parent.clone(),
            child: edge.child.clone(),
            calls: edge.calls,
            errors: edge.errors,
            p95_ms: milliseconds(edge.p95_ns),
        }
    }
}

/// Who calls whom; kept for 60 s.
#[utoipa::path(get, path = "/api/dependencies", tag = "names", params(RangeParams),
    responses((status = 200, body = Dependencies), Refused, Busy))]
pub(super) async fn dependencies(
    State(shared): State<Shared>,
    uri: Uri,
) -> Result<Json<Dependencies>, Problem> {
    let params = Params::new(&uri, &["start_time_from", "start_time_to"], &[])?;
    let edges = shared.dependencies(params.time("start_time_from")?, params.time("start_time_to")?).await?;
    Ok(Json(Dependencies { edges: edges.iter().map(Call::from).collect() }))
}
