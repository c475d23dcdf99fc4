//! What handlers take from a request.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use opentelemetry::trace::TraceId;

use crate::api::params::trace_id;
use crate::api::problem::Problem;

/// The trace that the path names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Id(pub(super) TraceId);

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
