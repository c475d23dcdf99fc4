//! What handlers take from a request, and give back in the head of an answer.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::response::Response;
use http::HeaderValue;
use http::header::LINK;
use http::request::Parts;
use opentelemetry::trace::TraceId;
use utoipa::IntoParams;

use crate::api::params::trace_id;
use crate::api::problem::Problem;

/// The trace that the path names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Id(pub(super) TraceId);

/// What the document says of it.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code)] // for the document
pub(super) struct IdParam {
    /// 32 hex digits.
    #[param(pattern = "^[0-9a-fA-F]{32}$")]
    trace_id: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let wrong = || Problem::parameter("trace_id", "expected 32 hex digits");
        // By name: the routes may be nested below parameters of another program.
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| wrong())?;
        let (_, text) = params.iter().find(|(name, _)| *name == "trace_id").ok_or_else(wrong)?;
        trace_id(text).map(Self).ok_or_else(wrong)
    }
}

/// The answer, with a header that names the query of the next part if there is one (RFC 8288).
pub(super) fn with_next(mut response: Response, query: Option<String>) -> Response {
    let link = query.and_then(|query| HeaderValue::try_from(format!("<?{query}>; rel=\"next\"")).ok());
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    response
}
