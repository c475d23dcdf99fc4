//! What there is to ask for: services and operations.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::api::problem::Problem;
use crate::api::state::Shared;

/// Every service.
#[derive(Debug, Serialize)]
pub(super) struct Services {
    services: Vec<String>,
}

pub(super) async fn services(State(shared): State<Shared>) -> Result<Json<Services>, Problem> {
    let services = shared.query(|store| async move { store.services().await }).await?;
    Ok(Json(Services { services }))
}
