//! What Jaeger's clients ask for; nested under `/jaeger`.

use axum::Router;

use super::state::Shared;

pub(super) fn router() -> Router<Shared> {
    Router::new()
}
