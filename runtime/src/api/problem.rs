//! Errors as RFC 9457 has them.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::store::StoreError;

/// After this many seconds a store that was away is worth another try.
const STORE_AWAY_S: u32 = 5;

/// What went wrong with a request. The guard around all routes adds the trace id to it.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// For people; never SQL.
    pub(crate) detail: Cow<'static, str>,
    /// The parameter that is to blame.
    pub(crate) parameter: Option<Cow<'static, str>>,
    pub(crate) retry_after_s: Option<u32>,
}

#[allow(dead_code)] // until all endpoints are there
impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), parameter: None, retry_after_s: None }
    }

    /// 400 for a parameter.
    pub(crate) fn parameter(
        name: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { parameter: Some(name.into()), ..Self::new(StatusCode::BAD_REQUEST, detail) }
    }

    pub(crate) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 429.
    pub(crate) fn busy(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after_s: Some(1), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// 500, of which the client is told nothing.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be handled")
    }

    fn body<'p>(&'p self, trace_id: &'p str) -> Body<'p> {
        Body {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            parameter: self.parameter.as_deref(),
            trace_id,
        }
    }

    /// The answer.
    pub(super) fn render(self, trace_id: &str) -> Response {
        let body = serde_json::to_vec(&self.body(trace_id)).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } | StoreError::NotMigrated { .. } => Self {
                retry_after_s: Some(STORE_AWAY_S),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be used now")
            },
            StoreError::TimedOut => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "the query was given up after its time limit; ask for a shorter time range",
            ),
            StoreError::Cursor => Self::new(StatusCode::BAD_REQUEST, error.to_string()),
            _ => Self::internal(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Debug, Serialize)]
struct Body<'p> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'p str>,
    trace_id: &'p str,
}
