//! The REST API: `/api/..` and `/health`.

mod names;

use axum::Router;
use axum::routing::get;

use super::state::Shared;

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/api/services", get(names::services))
}
