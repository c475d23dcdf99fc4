//! A trace for other tools.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::Uri;

use super::extract::{Id, IdParam, with_next};
use super::openapi::{Busy, Refused, Unknown};
use crate::api::params::Params;
use crate::api::problem::Problem;
use crate::api::state::Shared;
use crate::store::{SpanCursor, otlp};

/// The trace as OTLP JSON, which `POST /v1/traces` takes back. When there are more spans than go into one answer, the header
/// `Link` names the URL of the rest (`rel="next"`).
#[utoipa::path(get, path = "/api/traces/{trace_id}/export", tag = "traces",
    params(
        IdParam,
        ("after" = Option<String>, Query, nullable = false, pattern = "^[0-9]{1,18}-[0-9a-fA-F]{16}$",
            description = "Go on after this span: the `after` in the header `Link` of the answer before.")),
    responses(
        (status = 200, body = Object, headers(("Link" = Option<String>, description = "The rest, if there is one."))),
        Unknown, Refused, Busy))]
pub(super) async fn export(State(shared): State<Shared>, Id(id): Id, uri: Uri) -> Result<Response, Problem> {
    let params = Params::new(&uri, &["after"], &[])?;
    let read = |text: &str| text.parse::<SpanCursor>().ok();
    let after = params.parsed("after", read, "the `after` of a header `Link`")?;
    let found = shared.spans(id, after, usize::MAX).await?;
    let answer = Json(otlp::to_json(&otlp::request(&found.spans)));
    Ok(with_next(answer.into_response(), found.next().map(|next| format!("after={next}"))))
}
