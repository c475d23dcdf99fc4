//! What every answer is wrapped in.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use opentelemetry::trace::TraceId;
use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use crate::api::jaeger::parameters::Parameters;
use crate::api::jaeger::{ids, later};
use crate::api::problem::Problem;

/// What is said of a trace that is not stored.
pub(super) const NO_TRACE: &str = "the trace is not stored";

/// An answer to a request that could be carried out.
#[derive(Debug, Serialize)]
pub(super) struct Answer<T> {
    data: Option<Vec<T>>,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<Vec<Fault>>,
}

/// Something that went wrong.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    msg: String,
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

impl Fault {
    /// A trace of several that were asked for is not stored.
    pub(super) fn missing(id: TraceId) -> Self {
        Self { code: None, msg: NO_TRACE.to_owned(), trace_id: Some(ids::short(id)) }
    }
}

impl<T: Serialize> Answer<T> {
    /// Names, with how many they are.
    pub(super) fn counted(data: Vec<T>) -> Self {
        Self { total: data.len(), ..Self::uncounted(data) }
    }

    /// Everything else has 0 there.
    pub(super) fn uncounted(data: Vec<T>) -> Self {
        Self { data: Some(data), total: 0, limit: 0, offset: 0, errors: None }
    }

    pub(super) fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.errors = Some(faults).filter(|faults| !faults.is_empty());
        self
    }

    pub(super) fn render(&self, given: &Parameters) -> Response {
        let is_pretty = given.get("prettyPrint").is_some_and(|word| word != "false");
        let mut body = Vec::new();
        let written = if is_pretty {
            let formatter = PrettyFormatter::with_indent(b"    ");
            self.serialize(&mut serde_json::Serializer::with_formatter(&mut body, formatter))
        } else {
            self.serialize(&mut serde_json::Serializer::new(&mut body))
        };
        match written {
            Ok(()) => json(StatusCode::OK, body),
            Err(_) => Error(Problem::internal()).into_response(),
        }
    }
}

fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

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
        let error = Fault { code: Some(status.as_u16()), msg: detail.into_owned(), trace_id: None };
        let answer: Answer<()> =
            Answer { data: None, total: 0, limit: 0, offset: 0, errors: Some(vec![error]) };
        later(json(status, serde_json::to_vec(&answer).unwrap_or_default()), retry_after_s)
    }
}
