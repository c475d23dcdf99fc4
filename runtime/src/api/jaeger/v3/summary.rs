//! Traces in a list: how long, how many spans, of which services.

use std::collections::HashMap;

use opentelemetry::trace::TraceId;
use serde::Serialize;

use crate::store::{ServiceCount, TraceSummary};

/// A trace without its spans. Times are decimal strings, as protobuf's JSON has 64-bit numbers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    trace_id: String,
    root_service_name: String,
    root_operation_name: String,
    min_start_time_unix_nano: String,
    max_end_time_unix_nano: String,
    span_count: u64,
    error_span_count: u64,
    orphan_span_count: u64,
    services: Vec<Service>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    name: String,
    span_count: u64,
    error_span_count: u64,
}

/// `counts` are sorted by service within each trace.
pub(super) fn summaries(traces: Vec<TraceSummary>, counts: Vec<ServiceCount>) -> Vec<Summary> {
    let mut services: HashMap<TraceId, Vec<Service>> = HashMap::with_capacity(traces.len());
    for count in counts {
        let service =
            Service { name: count.service, span_count: count.spans, error_span_count: count.errors };
        services.entry(count.trace_id).or_default().push(service);
    }
    let summary = |trace: TraceSummary| {
        let (service, operation) =
            trace.head.map(|head| (head.service_name, head.operation_name)).unwrap_or_default();
        Summary {
            trace_id: trace.trace_id.to_string(),
            root_service_name: service,
            root_operation_name: operation,
            min_start_time_unix_nano: trace.start_ns.to_string(),
            max_end_time_unix_nano: trace.end_ns.to_string(),
            span_count: trace.span_count,
            error_span_count: trace.error_count,
            orphan_span_count: trace.orphan_count,
            services: services.remove(&trace.trace_id).unwrap_or_default(),
        }
    };
    traces.into_iter().map(summary).collect()
}
