//! throughline.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Duration;

use throughline::{Setup, Telemetry, traced_span};

use super::count::CountSpans;
use super::{Candidate, body, on_current_thread, wait};

static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();

fn set_up(ratio: f64) {
    let telemetry = Setup::new("bench")
        .without_environment()
        .exporter(CountSpans)
        .sample_ratio(ratio)
        .install()
        .expect("the first set-up of a process");
    let _ = TELEMETRY.set(telemetry);
}

fn flush() {
    if let Some(telemetry) = TELEMETRY.get() {
        let report = telemetry.flush(Duration::from_secs(60));
        assert!(report.deadline_met, "{report}");
    }
}

#[traced_span("child", fields(id = i, kind))]
#[inline(never)]
fn child(i: i64, kind: &'static str) {
    body(i);
}

#[traced_span("root")]
#[inline(never)]
fn root() {
    for i in 0..10 {
        child(black_box(i), "abc");
    }
}

#[traced_span("child", leaf, fields(id = i, kind))]
#[inline(never)]
fn leaf_child(i: i64, kind: &'static str) {
    body(i);
}

#[traced_span("root", leaf)]
#[inline(never)]
fn leaf_root() {
    for i in 0..10 {
        leaf_child(black_box(i), "abc");
    }
}

#[traced_span("child", fields(id = i, kind))]
async fn async_child(i: i64, kind: &'static str, yields: bool) {
    wait(yields).await;
    black_box(i);
}

#[traced_span("root")]
async fn async_root(yields: bool) {
    for i in 0..10 {
        async_child(black_box(i), "abc", yields).await;
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

pub(super) fn default_mode() -> Candidate {
    set_up(1.0);
    Candidate { traces, async_traces: Some(async_traces), flush, spans_per_trace: 11 }
}

pub(super) fn leaf() -> Candidate {
    set_up(1.0);
    let traces = |count| (0..count).for_each(|_| leaf_root());
    Candidate { traces, async_traces: None, flush, spans_per_trace: 11 }
}

pub(super) fn sampled() -> Candidate {
    set_up(0.1);
    Candidate { traces, async_traces: Some(async_traces), flush, spans_per_trace: 0 }
}

pub(super) fn off() -> Candidate {
    Candidate { traces, async_traces: Some(async_traces), flush, spans_per_trace: 0 }
}
