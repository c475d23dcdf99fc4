//! `leaf` together with the arguments that are looked at when the function is called.

use std::task::Poll;

use throughline::opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use throughline::opentelemetry::{Context, global};
use throughline::{span_id, traced_span};

use super::support::{SpanDataExt as _, block_on, new_parent, spans_in, spans_of};

/// A span that somebody else makes through the OpenTelemetry API.
fn foreign() {
    use throughline::opentelemetry::trace::{Span as _, Tracer as _};
    global::tracer("foreign").start("foreign").end();
}

#[traced_span]
fn ours() {}

#[traced_span(leaf, name = format!("leaf.{which}"), links = links.iter(), scope = which.to_owned(), fields(which))]
fn named(which: &str, links: &[SpanContext]) -> Option<String> {
    ours();
    throughline::set_attribute("written", "inside");
    span_id()
}

#[traced_span]
fn around(links: &[SpanContext]) -> Option<String> {
    let id = named("a", links);
    ours();
    id
}

#[test]
fn name_links_and_scope() {
    let links = [new_parent(), new_parent()];
    let (id, spans) = spans_of(|| around(&links));
    let leaf = spans.named("leaf.a");
    spans.assert_child("leaf.a", "around");
    assert_eq!(id, Some(leaf.span_context.span_id().to_string()));
    assert_eq!(leaf.instrumentation_scope.name(), "a");
    assert_eq!(leaf.text("which").as_deref(), Some("a"));
    assert_eq!(leaf.text("written").as_deref(), Some("inside"));
    let linked: Vec<_> = leaf.links.links.iter().map(|link| link.span_context.clone()).collect();
    assert_eq!(linked, links);
    let parents: Vec<_> = spans.all("ours").map(|span| span.parent_span_id).collect();
    assert_eq!(parents, [leaf.span_context.span_id(), spans.named("around").span_context.span_id()]);
}

#[traced_span(leaf, parent = parent)]
fn told(parent: &SpanContext) {
    ours();
    foreign();
}

#[traced_span(leaf, parent = parent)]
async fn told_async(parent: SpanContext) {
    ours();
    let mut paused = false;
    std::future::poll_fn(|task| {
        task.waker().wake_by_ref();
        if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    foreign();
}

fn assert_below(parent: &SpanContext, leaf: &str) {
    let spans = spans_in(parent);
    assert_eq!(spans.names(), [leaf, "ours", "foreign"]);
    spans.assert_child("ours", leaf);
    // Same trace, one level too high: the nearest ancestor that is no leaf.
    for name in [leaf, "foreign"] {
        assert_eq!(spans.named(name).parent_span_id, parent.span_id(), "{name}");
    }
}

#[test]
fn the_parent_that_is_told() {
    let (sync, asynchronous) = (new_parent(), new_parent());
    let ((), caller) = spans_of(|| {
        let before = Context::current().span().span_context().clone();
        told(&sync);
        block_on(told_async(asynchronous.clone()));
        assert_eq!(*Context::current().span().span_context(), before, "the thread is left as it was");
        ours();
    });
    assert_eq!(caller.names(), ["ours"]);
    assert_eq!(caller.named("ours").parent_span_id, caller.parent.span_id());
    assert_below(&sync, "told");
    assert_below(&asynchronous, "told_async");
}

#[traced_span(leaf, root)]
fn own_trace() -> (Option<String>, bool) {
    ours();
    (throughline::trace_id(), Context::current().span().span_context().is_valid())
}

#[test]
fn a_trace_of_its_own() {
    let ((trace_id, names_a_span), caller) = spans_of(own_trace);
    assert!(!names_a_span, "others inside do not belong to the caller's trace");
    assert_eq!(caller.names(), Vec::<&str>::new());
    let trace_id = trace_id.and_then(|id| TraceId::from_hex(&id).ok()).expect("the leaf's trace");
    let id = SpanId::from(1);
    let spans = spans_in(&SpanContext::new(trace_id, id, TraceFlags::SAMPLED, false, TraceState::NONE));
    assert_eq!(spans.names(), ["own_trace", "ours"]);
    spans.assert_child("ours", "own_trace");
    let links: Vec<_> = spans.named("own_trace").links.links.iter().map(|link| &link.span_context).collect();
    assert_eq!(links.len(), 1);
    assert_eq!(links[0].span_id(), caller.parent.span_id());
}
