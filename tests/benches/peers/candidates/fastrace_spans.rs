//! fastrace. Its attributes are strings: a number is formatted, as a user must.

use std::hint::black_box;
use std::time::Duration;

use fastrace::Span;
use fastrace::collector::Config;
use fastrace::local::LocalSpan;
use fastrace::prelude::SpanContext;

use super::count::CountRecords;
use super::{Candidate, body, on_current_thread, wait};

fn set_up() {
    fastrace::set_reporter(CountRecords, Config::default().report_interval(Duration::from_secs(1)));
}

#[inline(never)]
fn child(i: i64) {
    let _span = LocalSpan::enter_with_local_parent("child")
        .with_properties(|| [("id", i.to_string().into()), ("kind", std::borrow::Cow::Borrowed("abc"))]);
    body(i);
}

#[inline(never)]
fn static_child(i: i64) {
    let _span =
        LocalSpan::enter_with_local_parent("child").with_properties(|| [("id", "7"), ("kind", "abc")]);
    body(i);
}

#[inline(never)]
fn bare_child(i: i64) {
    let _span = LocalSpan::enter_with_local_parent("child");
    body(i);
}

fn root(child: fn(i64)) {
    let root = Span::root("root", SpanContext::random());
    let _guard = root.set_local_parent();
    for i in 0..10 {
        child(black_box(i));
    }
}

#[fastrace::trace(name = "child", properties = { "id": "{i}", "kind": "abc" })]
async fn async_child(i: i64, yields: bool) {
    wait(yields).await;
    black_box(i);
}

fn async_traces(count: u64, yields: bool) {
    use fastrace::future::FutureExt;
    on_current_thread(async {
        for _ in 0..count {
            let root = Span::root("root", SpanContext::random());
            async {
                for i in 0..10 {
                    async_child(black_box(i), yields).await;
                }
            }
            .in_span(root)
            .await;
        }
    });
}

pub(super) fn formatted() -> Candidate {
    set_up();
    let traces = |count| (0..count).for_each(|_| root(child));
    Candidate { traces, async_traces: Some(async_traces), flush: fastrace::flush, spans_per_trace: 11 }
}

pub(super) fn static_strings() -> Candidate {
    set_up();
    let traces = |count| (0..count).for_each(|_| root(static_child));
    Candidate { traces, async_traces: None, flush: fastrace::flush, spans_per_trace: 11 }
}

pub(super) fn no_attributes() -> Candidate {
    set_up();
    let traces = |count| (0..count).for_each(|_| root(bare_child));
    Candidate { traces, async_traces: None, flush: fastrace::flush, spans_per_trace: 11 }
}

pub(super) fn off() -> Candidate {
    let traces = |count| (0..count).for_each(|_| (0..10).for_each(|i| child(black_box(i))));
    Candidate { traces, async_traces: None, flush: || (), spans_per_trace: 0 }
}
