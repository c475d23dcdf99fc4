//! The trace id that an answer names.

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

use crate::propagation;

/// That of the current span, else the caller's, else a fresh one.
pub(super) fn id(headers: &HeaderMap) -> String {
    let of = |cx: &Context| {
        let span = cx.span().span_context().clone();
        span.is_valid().then(|| span.trace_id())
    };
    let configured = || of(&propagation::extract_onto(&Context::new(), headers));
    let found = of(&Context::current()).or_else(configured).or_else(|| caller(headers));
    found.unwrap_or_else(|| RandomIdGenerator::default().new_trace_id()).to_string()
}

/// A server that is not traced itself has no propagator, and callers that are.
fn caller(headers: &HeaderMap) -> Option<TraceId> {
    let (trace_id, ..) = propagation::codec::parse_traceparent(headers.get("traceparent")?.as_bytes())?;
    Some(TraceId::from(trace_id))
}
