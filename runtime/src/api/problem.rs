//! Errors as RFC 9457 has them.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

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

    /// 503 of a server that is about to end.
    pub(crate) fn ending() -> Self {
        Self {
            retry_after_s: Some(STORE_AWAY_S),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is about to end")
        }
    }

    /// 500, of which the client is told nothing.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be handled")
    }

    fn body(self, trace_id: &str) -> Body {
        Body {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
            parameter: self.parameter,
            trace_id: trace_id.to_owned(),
        }
    }

    /// Makes it the answer. Headers that are there already, such as `Allow`, stay.
    pub(super) fn render(self, response: &mut Response, trace_id: &str) {
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        *response.body_mut() = serde_json::to_vec(&self.body(trace_id)).unwrap_or_default().into();
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
            StoreError::TooLarge | StoreError::Cursor => {
                Self::new(StatusCode::BAD_REQUEST, error.to_string())
            }
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

/// What went wrong, as RFC 9457 has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Body {
    /// Always `about:blank`: the status says it all.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The words that go with the status.
    title: &'static str,
    /// The status, once more.
    status: u16,
    /// For people.
    detail: Cow<'static, str>,
    /// The parameter that is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<Cow<'static, str>>,
    /// For a search in logs.
    trace_id: String,
}
