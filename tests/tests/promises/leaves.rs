//! Leaves that move: each thread's writes reach the span.

use std::future::Future as _;
use std::task::{Context as TaskContext, Poll, Waker};
use std::thread;

use throughline::opentelemetry::Context;
use throughline::opentelemetry::trace::TraceContextExt as _;
use throughline::traced_span;

use super::alone::{FAR, alone, install, named, setup, value};

async fn pause() {
    let mut paused = false;
    std::future::poll_fn(
        |_| if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

#[traced_span("moves", leaf)]
async fn moves() -> Option<String> {
    for step in ["first", "second", "third"] {
        throughline::set_attribute(step, 1);
        throughline::set_attribute("last", step);
        child(step);
        pause().await;
    }
    throughline::add_event("end", []);
    throughline::span_id()
}

#[traced_span("child")]
fn child(step: &'static str) {
    throughline::set_attribute("step", step);
}

alone! {
    fn leaf_future_takes_what_each_thread_writes_to_it() {
        let (telemetry, kept) = install(setup());
        let mut future = Box::pin(moves());
        let id = loop {
            let (back, polled) = thread::spawn(move || {
                let polled = future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop()));
                assert_eq!(throughline::span_id(), None, "the thread is left as it was");
                (future, polled)
            })
            .join()
            .expect("no panic");
            future = back;
            if let Poll::Ready(id) = polled {
                break id;
            }
        };
        assert!(telemetry.flush(FAR).is_complete());
        let spans = kept.spans();
        let leaf = named(&spans, "moves");
        assert_eq!(id, Some(leaf.span_context.span_id().to_string()));
        for step in ["first", "second", "third"] {
            assert_eq!(value(leaf, step), Some(1.into()), "{step}");
        }
        assert_eq!(value(leaf, "last"), Some("third".into()));
        assert_eq!(value(leaf, "step"), None, "that was the child");
        assert_eq!(leaf.events.events.len(), 1);
        let children: Vec<_> = spans.iter().filter(|span| span.name == "child").collect();
        assert_eq!(children.len(), 3);
        for child in children {
            assert_eq!(child.parent_span_id, leaf.span_context.span_id());
        }
    }

    fn leaf_future_that_is_dropped_elsewhere_keeps_what_was_written() {
        let (telemetry, kept) = install(setup());
        let mut future = Box::pin(moves());
        let future = thread::spawn(move || {
            assert!(future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())).is_pending());
            future
        })
        .join()
        .expect("no panic");
        drop(future);
        assert!(telemetry.flush(FAR).is_complete());
        let spans = kept.spans();
        let leaf = named(&spans, "moves");
        assert_eq!(value(leaf, "last"), Some("first".into()));
        assert_eq!(value(leaf, "throughline.cancelled"), Some(true.into()));
        assert!(!Context::current().has_active_span());
    }
}
