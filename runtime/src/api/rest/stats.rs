//! Counts and durations.

use axum::Json;
use axum::extract::State;
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::filter::{FILTERS, FilterParams, REPEATED, filter};
use super::openapi::{Busy, Refused};
use super::span::milliseconds;
use crate::api::params::Params;
use crate::api::problem::Problem;
use crate::api::state::Shared;
use crate::store::SpanStats;

/// Counts and durations of a set of spans.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Numbers {
    /// Spans.
    total: u64,
    /// Those without an error status.
    success: u64,
    /// Those with an error status that are no timeouts.
    error: u64,
    /// Those that timed out.
    timeout: u64,
    /// Errors and timeouts by spans, 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    error_rate: f64,
    /// Mean duration; 0 for no spans.
    avg_duration_ms: f64,
    /// Nearest-rank percentiles: each is the duration of a span.
    p50_ms: f64,
    p90_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

impl From<&SpanStats> for Numbers {
    fn from(stats: &SpanStats) -> Self {
        let [p50_ms, p90_ms, p95_ms, p99_ms] = stats.percentiles_ns.map(milliseconds);
        Self {
            total: stats.count,
            success: stats.count.saturating_sub(stats.errors),
            error: stats.errors.saturating_sub(stats.timeouts),
            timeout: stats.timeouts,
            error_rate: stats.error_rate(),
            avg_duration_ms: stats.mean_ns() / 1e6,
            p50_ms,
            p90_ms,
            p95_ms,
            p99_ms,
        }
    }
}

/// Counts and durations of all spans that match.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Summary {
    #[serde(flatten)]
    all: Numbers,
    /// Distinct traces among them.
    traces: u64,
    /// Sorted by name.
    by_service: Vec<OfService>,
    /// Sorted by name.
    by_operation: Vec<OfOperation>,
}

/// Those of one service.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OfService {
    service_name: String,
    #[serde(flatten)]
    numbers: Numbers,
}

/// Those of one operation of a service.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OfOperation {
    service_name: String,
    operation_name: String,
    #[serde(flatten)]
    numbers: Numbers,
}

/// Counts, error rates and percentiles of the spans that match, by service and operation too.
#[utoipa::path(get, path = "/api/traces/stats/summary", tag = "statistics", params(FilterParams),
    responses((status = 200, body = Summary), Refused, Busy))]
pub(super) async fn summary(State(shared): State<Shared>, uri: Uri) -> Result<Json<Summary>, Problem> {
    let filter = filter(&Params::new(&uri, &FILTERS, &REPEATED)?)?;
    let stats = shared.query(|store| async move { store.stats(filter, None).await }).await?;
    let by_service = stats.by_service.into_iter();
    let by_operation = stats.by_operation.into_iter();
    Ok(Json(Summary {
        all: Numbers::from(&stats.all),
        traces: stats.traces,
        by_service: by_service
            .map(|(service_name, stats)| OfService { service_name, numbers: Numbers::from(&stats) })
            .collect(),
        by_operation: by_operation
            .map(|(service_name, operation_name, stats)| OfOperation {
                service_name,
                operation_name,
                numbers: Numbers::from(&stats),
            })
            .collect(),
    }))
}

/// How many spans took how long.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Histogram {
    buckets: Vec<Bucket>,
    /// Sum of all durations.
    sum_ms: f64,
    /// Spans.
    count: u64,
}

/// The spans that took longer than the bound before, and not longer than this one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Bucket {
    /// Upper bound, included; null for the last one, which has none.
    #[schema(required)]
    le_ms: Option<f64>,
    count: u64,
}

/// A histogram of the durations of the spans that match.
#[utoipa::path(get, path = "/api/traces/stats/latency", tag = "statistics", params(FilterParams),
    responses((status = 200, body = Histogram), Refused, Busy))]
pub(super) async fn latency(State(shared): State<Shared>, uri: Uri) -> Result<Json<Histogram>, Problem> {
    let filter = filter(&Params::new(&uri, &FILTERS, &REPEATED)?)?;
    let latency = shared.query(|store| async move { store.latency(filter).await }).await?;
    let buckets = latency.buckets.into_iter();
    #[allow(clippy::cast_precision_loss)] // a fraction is what is wanted
    let sum_ms = latency.sum_ns as f64 / 1e6;
    Ok(Json(Histogram {
        buckets: buckets
            .map(|(bound, count)| Bucket { le_ms: bound.map(|bound| bound.as_secs_f64() * 1e3), count })
            .collect(),
        sum_ms,
        count: latency.count,
    }))
}
