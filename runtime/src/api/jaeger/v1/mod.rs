//! Version 1: what Grafana asks, and what Jaeger's pages open a trace by.

mod answer;
mod parameters;
mod trace;
mod value;

use std::collections::BTreeSet;
use std::time::SystemTime;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use http::Uri;
use opentelemetry::trace::TraceId;
use serde::Serialize;

pub(super) use self::answer::Error;
use self::answer::{Answer, Fault};
use super::parameters::Parameters;
use super::search::kind_word;
use super::{ids, traces};
use crate::api::problem::Problem;
use crate::api::state::Shared;

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/services/{service}/operations", get(operation_names))
        .route("/api/operations", get(operations))
        .route("/api/traces", get(search))
        .route("/api/traces/{trace_id}", get(trace))
        .route("/api/dependencies", get(dependencies))
}

async fn services(State(shared): State<Shared>, uri: Uri) -> Result<Response, Error> {
    let names = shared.query(|store| async move { store.services().await }).await?;
    // A service without a name cannot be asked for.
    let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
    Ok(Answer::counted(names).render(&Parameters::of(&uri)))
}

async fn operation_names(
    State(shared): State<Shared>,
    service: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Error> {
    let Path(service) = service.map_err(|rejection| Problem::parameter("service", rejection.body_text()))?;
    let operations = shared.query(|store| async move { store.operations(Some(service), None).await }).await?;
    let names: BTreeSet<String> = operations.into_iter().map(|(name, _)| name).collect();
    Ok(Answer::counted(names.into_iter().collect()).render(&Parameters::of(&uri)))
}

/// An operation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    name: String,
    span_kind: &'static str,
}

async fn operations(State(shared): State<Shared>, uri: Uri) -> Result<Response, Error> {
    let given = Parameters::of(&uri);
    let service = given.get("service").ok_or_else(parameters::service_missing)?.to_owned();
    let kind = given.get("spanKind");
    let operations = shared.query(|store| async move { store.operations(Some(service), None).await }).await?;
    let operations = operations
        .into_iter()
        .map(|(name, kind)| Operation { name, span_kind: kind_word(kind) })
        .filter(|operation| kind.is_none_or(|kind| kind == operation.span_kind));
    Ok(Answer::counted(operations.collect()).render(&given))
}

async fn search(State(shared): State<Shared>, uri: Uri) -> Result<Response, Error> {
    let given = Parameters::of(&uri);
    let asked = parameters::search(&given, SystemTime::now())?;
    let (traces, missing) = match asked.ids {
        ids if ids.is_empty() => (traces::find(&shared, asked.search).await?, Vec::new()),
        ids => {
            let found = traces::by_id(&shared, ids.clone()).await?;
            let is_found = |id: &TraceId| found.iter().any(|trace| trace.id == *id);
            let missing = ids.into_iter().filter(|id| !is_found(id)).map(Fault::missing).collect();
            (found, missing)
        }
    };
    let traces = traces.iter().map(|trace| trace::Trace::new(trace, asked.is_raw)).collect();
    Ok(Answer::uncounted(traces).with_faults(missing).render(&given))
}

async fn trace(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Error> {
    let given = Parameters::of(&uri);
    let id = id.ok().and_then(|Path(text)| ids::from_hex(&text)).ok_or_else(parameters::not_an_id)?;
    let is_raw = parameters::trace(&given)?;
    let found = traces::by_id(&shared, vec![id]).await?;
    if found.is_empty() {
        return Err(Problem::not_found(answer::NO_TRACE).into());
    }
    let found = found.iter().map(|found| trace::Trace::new(found, is_raw)).collect();
    Ok(Answer::uncounted(found).render(&given))
}

/// Calls from one service to another.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Link<'e> {
    parent: &'e str,
    child: &'e str,
    call_count: u64,
}

async fn dependencies(State(shared): State<Shared>, uri: Uri) -> Result<Response, Error> {
    let given = Parameters::of(&uri);
    let (from, to) = parameters::range(&given, SystemTime::now())?;
    let service = given.get("service");
    let edges = shared.dependencies(from, to).await?;
    let links = edges
        .iter()
        .filter(|edge| service.is_none_or(|service| edge.parent == service || edge.child == service))
        .map(|edge| Link { parent: &edge.parent, child: &edge.child, call_count: edge.calls });
    Ok(Answer::uncounted(links.collect()).render(&given))
}
