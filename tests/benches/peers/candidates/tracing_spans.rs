//! `tracing::instrument`, with tracing-opentelemetry as it comes, and with a registry that records nothing.

use std::hint::black_box;

use opentelemetry::trace::TracerProvider;
use tracing_subscriber::prelude::*;

use super::{Candidate, body, on_current_thread, sdk_spans, wait};

#[tracing::instrument(name = "child", skip_all, fields(id = i, kind = "abc"))]
#[inline(never)]
fn child(i: i64) {
    body(i);
}

#[tracing::instrument(name = "root", skip_all)]
#[inline(never)]
fn root() {
    for i in 0..10 {
        child(black_box(i));
    }
}

#[tracing::instrument(name = "child", skip_all, fields(id = i, kind = "abc"))]
async fn async_child(i: i64, yields: bool) {
    wait(yields).await;
    black_box(i);
}

#[tracing::instrument(name = "root", skip_all)]
async fn async_root(yields: bool) {
    for i in 0..10 {
        async_child(black_box(i), yields).await;
    }
}

fn traces(count: u64) {
    for _ in 0..count {
        root();
    }
}

fn async_traces(count: u64, yields: bool) {
    on_current_thread(async {
        for _ in 0..count {
            async_root(yields).await;
        }
    });
}

pub(super) fn to_opentelemetry() -> Candidate {
    let tracer = sdk_spans::provider(1.0).tracer("bench");
    tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer)).init();
    Candidate { traces, async_traces: Some(async_traces), flush: sdk_spans::flush, spans_per_trace: 11 }
}

pub(super) fn registry_only() -> Candidate {
    tracing_subscriber::registry().init();
    Candidate { traces, async_traces: Some(async_traces), flush: || (), spans_per_trace: 0 }
}

pub(super) fn off() -> Candidate {
    Candidate { traces, async_traces: Some(async_traces), flush: || (), spans_per_trace: 0 }
}
