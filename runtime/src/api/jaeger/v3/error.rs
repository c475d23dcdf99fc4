//! What went wrong, as this version says it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::api::jaeger::later;
use crate::api::problem::Problem;

/// A request that could not be carried out.
#[derive(Debug)]
pub(in crate::api::jaeger) struct Error(Problem);

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Problem { status, detail, retry_after_s, .. } = self.0;
        let body = json!({ "error": { "httpCode": status.as_u16(), "message": detail } });
        later((status, Json(body)).into_response(), retry_after_s)
    }
}
