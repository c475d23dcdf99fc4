//! The trace id that an answer names.

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

use crate::propagation;

/// That of the current span, else the caller's, else a fresh one.
pub(super) fn id(headers: &HeaderMap) -> String {
    let current = Context::current();
    let of = |cx: &Context| Some(cx.span().span_context().clone()).filter(SpanContext::is_valid);
    let found = of(&current).or_else(|| of(&propagation::extract_onto(&Context::new(), headers)));
    found.map_or_else(|| RandomIdGenerator::default().new_trace_id(), |span| span.trace_id()).to_string()
}
