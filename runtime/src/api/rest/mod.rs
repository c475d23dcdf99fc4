//! The REST API: `/api/..` and `/health`.

// What `utoipa::path` makes of its `params`.
#![allow(unused_qualifications)]

mod export;
mod extract;
mod filter;
mod health;
mod names;
mod openapi;
mod path;
mod span;
mod stats;
mod stream;
mod traces;

use axum::Router;
use axum::routing::{MethodRouter, get};
use http::StatusCode;

use super::problem::Problem;
use super::state::Shared;
use crate::store::TraceSummary;

/// Every path, as the document has it.
fn paths() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/api/traces/", get(traces::list)),
        ("/api/traces/{trace_id}", get(traces::trace)),
        ("/api/traces/{trace_id}/spans", get(traces::spans)),
        ("/api/traces/{trace_id}/critical-path", get(path::critical_path)),
        ("/api/traces/{trace_id}/export", get(export::export)),
        ("/api/traces/stats/summary", get(stats::summary)),
        ("/api/traces/stats/latency", get(stats::latency)),
        ("/api/traces/stream", get(stream::stream)),
        ("/api/services", get(names::services)),
        ("/api/operations", get(names::operations)),
        ("/api/dependencies", get(names::dependencies)),
        ("/health", get(health::health)),
        (openapi::PATH, get(openapi::document)),
    ]
}

/// A trace as the answers have it.
pub(super) fn trace_json(trace: TraceSummary) -> String {
    // Text under text keys: there is nothing in it that could fail.
    serde_json::to_string(&span::Trace::from(trace)).unwrap_or_default()
}

/// The routes, each with and without a slash at its end.
pub(super) fn router() -> Router<Shared> {
    paths().into_iter().fold(Router::new(), |router, (path, methods)| {
        let path = path.trim_end_matches('/');
        let methods = methods.fallback(wrong_method);
        router.route(path, methods.clone()).route(&format!("{path}/"), methods)
    })
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the path is right, the method is not")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn document_has_every_route_and_no_other() {
        let document = openapi::openapi();
        let documented: BTreeSet<&str> = document.paths.paths.keys().map(String::as_str).collect();
        let routed: BTreeSet<&str> = paths().into_iter().map(|(path, _)| path).collect();
        assert_eq!(documented, routed);
    }

    #[test]
    fn document_has_every_parameter_of_the_filter_and_no_other() {
        let document = serde_json::to_value(openapi::openapi()).unwrap();
        let summary = &document["paths"]["/api/traces/stats/summary"]["get"]["parameters"];
        let documented: BTreeSet<&str> =
            summary.as_array().unwrap().iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert_eq!(documented, BTreeSet::from(filter::FILTERS));
    }
}
