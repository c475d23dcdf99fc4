//! Functions whose shape is unusual: nothing about them changes, and they nest.

use std::panic::Location;

use throughline::opentelemetry::Context;
use throughline::traced_span;

use super::support::{SpanDataExt as _, block_on, spans_of, yield_once};

#[traced_span]
async fn recursive(depth: u8) -> u8 {
    yield_once().await;
    if depth == 0 { 0 } else { 1 + Box::pin(recursive(depth - 1)).await }
}

#[test]
fn recursion_nests() {
    let (depth, spans) = spans_of(|| block_on(recursive(3)));
    assert_eq!(depth, 3);
    assert_eq!(spans.names(), ["recursive"; 4]);
}

macro_rules! chain {
    ($last:ident) => {
        #[traced_span]
        async fn $last() -> Result<usize, String> {
            yield_once().await;
            Ok(1)
        }
    };
    ($name:ident $next:ident $($rest:ident)*) => {
        #[traced_span]
        async fn $name() -> Result<usize, String> {
            Ok($next().await? + 1)
        }

        chain!($next $($rest)*);
    };
}

chain!(c1 c2 c3 c4 c5 c6 c7 c8 c9 c10 c11 c12);

// tokio-rs/tracing#616 #1399: a chain of awaits is compiled in no time, within the default recursion limit, where
// `#[instrument]` is beyond it; and its future does not double with each of them.
#[test]
fn a_chain_of_a_dozen_compiles_and_stays_small() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    let future = is_send(c1());
    assert!(size_of_val(&future) < 12 * 400, "{} bytes", size_of_val(&future));
    let (depth, spans) = spans_of(|| block_on(future));
    assert_eq!(depth, Ok(12));
    for (parent, child) in [("c1", "c2"), ("c6", "c7"), ("c11", "c12")] {
        spans.assert_child(child, parent);
    }
}

#[traced_span]
async fn first() {
    yield_once().await;
    inner().await;
}

#[traced_span]
async fn second() {
    yield_once().await;
    yield_once().await;
}

#[traced_span]
async fn inner() {
    yield_once().await;
}

#[traced_span]
async fn both() {
    futures_util::future::join(first(), second()).await;
}

// otel-rust#239 #719 #1887, tokio-rs/tracing#2754, otel-rust-contrib#791 #792: a poll of one future leaves nothing behind for the next.
#[test]
fn interleaved_futures_keep_their_own_parents() {
    let ((), spans) = spans_of(|| block_on(both()));
    spans.assert_child("first", "both");
    spans.assert_child("second", "both");
    spans.assert_child("inner", "first");
}

#[traced_span]
#[track_caller]
fn tracked() {
    assert_eq!(Location::caller().file(), file!());
}

#[allow(unsafe_code, reason = "an unsafe function is what this is about")]
#[traced_span]
unsafe fn unsafe_one(value: *const u8) -> u8 {
    unsafe { *value }
}

#[traced_span]
extern "C" fn extern_one(value: u8) -> u8 {
    value
}

#[allow(unsafe_code, reason = "an unsafe function is what this is about")]
#[test]
fn qualifiers_are_no_obstacle() {
    let ((), spans) = spans_of(|| {
        tracked();
        assert_eq!(unsafe { unsafe_one(&1) }, 1);
        assert_eq!(extern_one(1), 1);
    });
    assert_eq!(spans.names(), ["tracked", "unsafe_one", "extern_one"]);
}

#[traced_span]
fn ends_before_the_value_is_used(log: &mut Vec<&'static str>) -> String {
    log.push("body");
    String::new()
}

#[test]
fn a_sync_function_ends_before_its_caller_goes_on() {
    let (after, spans) = spans_of(|| {
        let mut log = Vec::new();
        ends_before_the_value_is_used(&mut log);
        std::time::SystemTime::now()
    });
    assert!(spans.only().end_time <= after);
    spans.only().assert_unset();
}

#[traced_span("outer")]
#[tokio::main(flavor = "current_thread")]
async fn above_tokio_main() -> u8 {
    below_runtime().await
}

#[tokio::main(flavor = "current_thread")]
#[traced_span("outer")]
async fn below_tokio_main() -> u8 {
    below_runtime().await
}

#[traced_span]
async fn below_runtime() -> u8 {
    1
}

#[test]
fn above_and_below_another_attribute() {
    for run in [above_tokio_main, below_tokio_main] {
        let (returned, spans) = spans_of(run);
        assert_eq!(returned, 1);
        spans.assert_child("below_runtime", "outer");
    }
}

#[traced_span]
fn moves_to_another_thread() {}

#[test]
fn ours_under_a_context_that_was_handed_to_another_thread() {
    let ((), spans) = spans_of(around_a_thread);
    spans.assert_child("moves_to_another_thread", "around_a_thread");
}

#[traced_span]
fn around_a_thread() {
    let cx = Context::current();
    let thread = std::thread::spawn(move || {
        let _attached = cx.attach();
        moves_to_another_thread();
    });
    thread.join().unwrap();
}
