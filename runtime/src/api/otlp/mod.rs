//! The OTLP receiver: `POST /v1/traces`.

use axum::Router;

use super::state::Shared;

pub(super) fn router() -> Router<Shared> {
    Router::new()
}
