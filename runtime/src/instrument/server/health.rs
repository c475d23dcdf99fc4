//! The health route.

use axum::routing::get;
use axum::{Json, Router};
use http::HeaderMap;
use opentelemetry::trace::TraceContextExt;
use serde::Serialize;

use super::request;
use crate::Telemetry;
use crate::pipeline::report::{ExporterHealth, Health, HealthState};

/// `GET /health`: always 200 while the program answers, since broken telemetry must not take it out of rotation.
///
/// ```json
/// {"status": "healthy", "service": "planner", "trace_id": "0af7651916cd43dd8448eb211c80319c",
///  "exporters": [{"name": "otlp", "state": "ok", "last_error": null, "exported": 1200, "dropped": 0}],
///  "queue": {"spans": 12, "bytes": 4096, "capacity": 16777216}}
/// ```
///
/// `status` is `degraded` while spans get lost. `trace_id` is the caller's, or a fresh one, so that a probe's log lines can
/// be found.
///
/// ```
/// let app: axum::Router = axum::Router::new().merge(throughline::server::health_router());
/// ```
pub fn health_router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/health", get(health))
}

async fn health(headers: HeaderMap) -> Json<Answer> {
    let trace_id = request::untraced(&headers, false).span().span_context().trace_id().to_string();
    let telemetry = Telemetry::current();
    let health = telemetry.as_ref().map(Telemetry::health).unwrap_or_default();
    let service = telemetry.map(|telemetry| telemetry.service_name().to_owned()).unwrap_or_default();
    Json(Answer::new(&health, service, trace_id))
}

#[derive(Debug, Serialize)]
struct Answer {
    status: &'static str,
    service: String,
    trace_id: String,
    exporters: Vec<Exporter>,
    queue: Queue,
}

#[derive(Debug, Serialize)]
struct Exporter {
    name: String,
    state: &'static str,
    last_error: Option<String>,
    exported: u64,
    dropped: u64,
}

#[derive(Debug, Serialize)]
struct Queue {
    spans: u64,
    bytes: u64,
    capacity: u64,
}

impl Answer {
    fn new(health: &Health, service: String, trace_id: String) -> Self {
        Self {
            status: if health.state == HealthState::Ok { "healthy" } else { "degraded" },
            service,
            trace_id,
            exporters: health.exporters.iter().map(Exporter::new).collect(),
            queue: Queue {
                spans: health.queue.spans,
                bytes: health.queue.bytes,
                capacity: health.queue.capacity,
            },
        }
    }
}

impl Exporter {
    fn new(health: &ExporterHealth) -> Self {
        Self {
            name: health.name.clone(),
            state: health.state.as_str(),
            last_error: health.last_error.clone(),
            exported: health.exported,
            dropped: health.dropped.total(),
        }
    }
}
