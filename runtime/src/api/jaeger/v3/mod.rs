//! Version 3: what Jaeger's pages search by; traces are OTLP JSON.

mod error;
mod filter;
mod parameters;
mod summary;
mod warned;

use std::collections::BTreeSet;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use http::Uri;
use serde::Serialize;
use serde_json::{Value, json};

pub(super) use self::error::Error;
use super::parameters::Parameters;
use super::search::kind_word;
use super::{ids, traces};
use crate::api::problem::Problem;
use crate::api::state::Shared;
use crate::store::{Page, otlp};

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/services", get(services))
        .route("/operations", get(operations))
        .route("/traces", get(search))
        .route("/traces/{trace_id}", get(trace))
        .route("/trace-summaries", get(summaries))
        .route("/dependencies", get(dependencies))
}

async fn services(State(shared): State<Shared>) -> Result<Json<Value>, Error> {
    let names = shared.query(|store| async move { store.services().await }).await?;
    // A service without a name cannot be asked for.
    let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
    Ok(Json(json!({ "services": names })))
}

/// An operation. A kind that is not told counts as internal.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    name: String,
    span_kind: &'static str,
}

async fn operations(State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Error> {
    let given = Parameters::of(&uri);
    let kind = given.any(&["spanKind", "span_kind"]).map(|(_, kind)| kind);
    let operations = match given.get("service").map(str::to_owned) {
        Some(service) => {
            shared.query(|store| async move { store.operations(Some(service), None).await }).await?
        }
        None => Vec::new(),
    };
    let operations: BTreeSet<Operation> = operations
        .into_iter()
        .map(|(name, number)| Operation { name, span_kind: kind_word(if number == 0 { 1 } else { number }) })
        .filter(|operation| kind.is_none_or(|kind| kind == operation.span_kind))
        .collect();
    Ok(Json(json!({ "operations": operations })))
}

async fn search(State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Error> {
    let (search, is_raw) = parameters::search(&Parameters::of(&uri))?;
    found(&traces::find(&shared, search).await?, is_raw)
}

async fn trace(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<Value>, Error> {
    let id = id.ok().and_then(|Path(text)| ids::from_hex_or_base64(&text));
    let id = id.ok_or_else(|| {
        Problem::parameter("trace_id", "a trace id is 1 to 32 hexadecimal digits, or its bytes in base64")
    })?;
    let is_raw = parameters::trace(&Parameters::of(&uri))?;
    found(&traces::by_id(&shared, vec![id]).await?, is_raw)
}

fn found(traces: &[traces::Trace], is_raw: bool) -> Result<Json<Value>, Error> {
    if traces.is_empty() {
        return Err(Problem::not_found("No traces found").into());
    }
    Ok(Json(json!({ "result": otlp::to_json(&warned::request(traces, is_raw)) })))
}

async fn summaries(State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Error> {
    let (search, _) = parameters::search(&Parameters::of(&uri))?;
    if search.is_impossible {
        return Ok(Json(json!({ "summaries": [] })));
    }
    let (traces, counts) = shared
        .query(move |store| async move {
            let list = store.list(search.filter, Page::first(search.depth).count(false)).await?;
            let ids = list.traces.iter().map(|trace| trace.trace_id).collect();
            Ok((list.traces, store.service_counts(ids).await?))
        })
        .await?;
    Ok(Json(json!({ "summaries": summary::summaries(traces, counts) })))
}

async fn dependencies(State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Error> {
    let (from, to) = parameters::range(&Parameters::of(&uri))?;
    let edges = shared.dependencies(Some(from), Some(to)).await?;
    // 64-bit numbers are strings in protobuf's JSON.
    let links = edges.iter().map(
        |edge| json!({ "parent": edge.parent, "child": edge.child, "callCount": edge.calls.to_string() }),
    );
    Ok(Json(json!({ "dependencies": links.collect::<Vec<Value>>() })))
}
