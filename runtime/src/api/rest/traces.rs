//! Traces and their spans.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::Uri;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::extract::{Id, IdParam, with_next};
use super::filter::{FILTERS, FilterParams, REPEATED, filter};
use super::openapi::{Busy, Refused, Unknown};
use super::span::{Span, Trace};
use crate::api::params::Params;
use crate::api::problem::Problem;
use crate::api::spans::unknown_trace;
use crate::api::state::Shared;
use crate::store::{Page, SpanCursor, TraceCursor};

/// Traces in one answer, unless the request says otherwise.
const PAGE_SIZE: usize = 50;

/// Traces in one answer at most.
const MOST: usize = 100;

/// The last page that has a number: those before it are read to find it. A cursor goes as far as there are traces.
const LAST_PAGE: usize = 10_000;

/// Parameters of the list beside the filter.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // for the document
pub(super) struct PageParams {
    /// Which page, from 1 on; counted from the cursor on, if one is given.
    #[param(minimum = 1, maximum = 10_000, default = 1)]
    page: Option<u32>,
    /// Traces per page.
    #[param(minimum = 1, maximum = 100, default = 50)]
    page_size: Option<u32>,
    /// The `next_cursor` of the answer before: faster than a page, and no trace comes twice when new ones arrive.
    #[param(pattern = "^[0-9]{1,18}-[0-9a-fA-F]{32}$")]
    cursor: Option<String>,
}

/// A part of a list of traces, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TraceList {
    traces: Vec<Trace>,
    /// How many there are in all; at least so many where `total_capped` is true.
    total: u64,
    /// Whether there are more than `total`.
    total_capped: bool,
    /// Counted from the cursor on, if one was given.
    page: usize,
    page_size: usize,
    /// Where the next page begins; null at the end.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// The traces of which at least one span matches, newest first.
#[utoipa::path(get, path = "/api/traces/", tag = "traces", params(FilterParams, PageParams),
    responses((status = 200, body = TraceList), Refused, Busy))]
pub(super) async fn list(State(shared): State<Shared>, uri: Uri) -> Result<Json<TraceList>, Problem> {
    let known = [&FILTERS[..], &["page", "page_size", "cursor"]].concat();
    let params = Params::new(&uri, &known, &REPEATED)?;
    let filter = filter(&params)?;
    let page_size = params.number("page_size", 1..=MOST)?.unwrap_or(PAGE_SIZE);
    let number = params.number("page", 1..=LAST_PAGE)?.unwrap_or(1);
    let cursor =
        params.parsed("cursor", |text| text.parse::<TraceCursor>().ok(), "the `next_cursor` of an answer")?;
    let mut page = Page::first(page_size).offset((number - 1).saturating_mul(page_size));
    page.after = cursor;
    let found = shared.query(|store| async move { store.list(filter, page).await }).await?;
    Ok(Json(TraceList {
        traces: found.traces.into_iter().map(Trace::from).collect(),
        total: found.total.unwrap_or(0),
        total_capped: found.total_capped,
        page: number,
        page_size,
        next_cursor: found.next.map(|next| next.to_string()),
    }))
}

/// One trace.
#[utoipa::path(get, path = "/api/traces/{trace_id}", tag = "traces",
    params(IdParam),
    responses((status = 200, body = Trace), Unknown, Refused, Busy))]
pub(super) async fn trace(
    State(shared): State<Shared>,
    Id(id): Id,
    uri: Uri,
) -> Result<Json<Trace>, Problem> {
    Params::new(&uri, &[], &[])?;
    let found = shared.query(move |store| async move { store.trace(id).await }).await?;
    found.map(|trace| Json(Trace::from(trace))).ok_or_else(unknown_trace)
}

/// Parameters of the spans of a trace.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // for the document
pub(super) struct SpanParams {
    /// Go on after this span: the `after` in the header `Link` of the answer before.
    #[param(pattern = "^[0-9]{1,18}-[0-9a-fA-F]{16}$")]
    after: Option<String>,
    /// At most this many.
    #[param(minimum = 1, maximum = 10_000, default = 10_000)]
    limit: Option<u32>,
}

/// The spans of a trace, by start. When there are more, the header `Link` names the URL of the next part (`rel="next"`).
#[utoipa::path(get, path = "/api/traces/{trace_id}/spans", tag = "traces",
    params(IdParam, SpanParams),
    responses(
        (status = 200, body = Vec<Span>, headers(("Link" = Option<String>, description = "The next part, if there is one."))),
        Unknown, Refused, Busy))]
pub(super) async fn spans(State(shared): State<Shared>, Id(id): Id, uri: Uri) -> Result<Response, Problem> {
    let params = Params::new(&uri, &["after", "limit"], &[])?;
    let most = shared.options.max_spans.max(1);
    let limit = params.number("limit", 1..=most)?.unwrap_or(most);
    let read = |text: &str| text.parse::<SpanCursor>().ok();
    let after = params.parsed("after", read, "the `after` of a header `Link`")?;
    let found = shared.spans(id, after, limit).await?;
    let next = found.next().map(|next| format!("after={next}&limit={limit}"));
    let spans: Vec<Span> = found.spans.into_iter().map(Span::from).collect();
    Ok(with_next(Json(spans).into_response(), next))
}
