//! Futures and streams dropped before their end, and what runs while they are dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context as TaskContext, Poll, Waker};

use futures_core::Stream;
use futures_util::StreamExt as _;
use throughline::opentelemetry::Value;
use throughline::opentelemetry::trace::Status;
use throughline::{span_id, traced_span};

use super::support::{SpanDataExt as _, block_on, spans_of};

#[traced_span]
fn in_destructor() {}

struct Records;

impl Drop for Records {
    fn drop(&mut self) {
        in_destructor();
    }
}

fn poll_once<F: Future>(future: F) {
    let mut future = Box::pin(future);
    assert!(matches!(future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())), Poll::Pending));
}

#[traced_span]
async fn holds_a_value() {
    let _records = Records;
    std::future::pending::<()>().await;
}

// tokio-rs/tracing#2541 #2562: destructors of a dropped future see its span.
#[test]
fn drop_sees_span() {
    let ((), spans) = spans_of(|| poll_once(holds_a_value()));
    spans.assert_child("in_destructor", "holds_a_value");
    assert_eq!(spans.named("holds_a_value").value("throughline.cancelled"), Some(Value::Bool(true)));
}

#[traced_span]
async fn ends_by_itself(_value: Records) -> u8 {
    1
}

#[test]
fn arguments_are_dropped_inside() {
    let (_, spans) = spans_of(|| block_on(async { ends_by_itself(Records).await }));
    assert_eq!(spans.names().len(), 2);
    spans.named("ends_by_itself").assert_unset();
}

#[test]
fn never_polled_is_no_span() {
    let ((), spans) = spans_of(|| drop(holds_a_value()));
    assert!(spans.names().is_empty());
}

struct SpanInDestructor;

impl Drop for SpanInDestructor {
    fn drop(&mut self) {
        fails_while_unwinding().ok();
        in_destructor();
    }
}

#[traced_span]
fn fails_while_unwinding() -> Result<(), String> {
    Err("own outcome".to_owned())
}

#[traced_span]
fn panics_with_a_destructor() {
    let _guard = SpanInDestructor;
    panic!("on purpose");
}

#[test]
fn a_span_made_while_unwinding_keeps_its_own_outcome() {
    let (caught, spans) = spans_of(|| catch_unwind(AssertUnwindSafe(panics_with_a_destructor)));
    assert!(caught.is_err());
    spans.named("in_destructor").assert_unset();
    assert_eq!(spans.named("fails_while_unwinding").failed_with().unwrap().1, "own outcome");
    assert_eq!(spans.named("panics_with_a_destructor").failed_with().unwrap().0, "panic");
    spans.assert_child("in_destructor", "panics_with_a_destructor");
}

#[traced_span]
fn numbers(n: i64) -> impl Stream<Item = i64> {
    async_stream::stream! {
        for i in 0..n {
            in_destructor();
            yield i;
        }
    }
}

#[traced_span]
fn boxed_numbers(n: i64) -> futures_util::stream::BoxStream<'static, i64> {
    in_destructor();
    futures_util::stream::iter(0..n).boxed()
}

#[test]
fn a_stream_is_one_span_up_to_its_end() {
    let (sum, spans) = spans_of(|| block_on(numbers(3).fold(0, |sum, n| async move { sum + n })));
    assert_eq!(sum, 3);
    let span = spans.named("numbers");
    assert_eq!(span.value("throughline.stream.items"), Some(Value::I64(3)));
    span.assert_unset();
}

#[test]
fn a_stream_dropped_early_is_cancelled_and_counts() {
    let (_, spans) = spans_of(|| block_on(async { Box::pin(numbers(3)).next().await }));
    let span = spans.named("numbers");
    assert_eq!(span.value("throughline.stream.items"), Some(Value::I64(1)));
    assert_eq!(span.value("throughline.cancelled"), Some(Value::Bool(true)));
    assert_eq!(span.status, Status::Unset);
    spans.assert_child("in_destructor", "numbers");
}

#[test]
fn the_synchronous_part_of_a_stream_belongs_to_it() {
    let (count, spans) = spans_of(|| block_on(boxed_numbers(2).count()));
    assert_eq!(count, 2);
    spans.assert_child("in_destructor", "boxed_numbers");
}

#[traced_span]
fn failing_stream() -> impl Stream<Item = u8> {
    futures_util::stream::poll_fn(|_| -> Poll<Option<u8>> { panic!("on purpose") })
}

#[test]
fn a_stream_that_panics_is_error() {
    let (caught, spans) = spans_of(|| {
        catch_unwind(AssertUnwindSafe(|| block_on(async { Box::pin(failing_stream()).next().await })))
    });
    assert!(caught.is_err());
    assert_eq!(spans.only().failed_with().unwrap().0, "panic");
}

// tokio-rs/tracing#1863 #1866 #1840
#[traced_span]
fn works_before_the_future() -> impl Future<Output = Option<String>> {
    in_destructor();
    let here = span_id();
    async move {
        assert_eq!(here, span_id());
        here
    }
}

#[test]
fn the_synchronous_part_of_a_future_belongs_to_it() {
    let (id, spans) = spans_of(|| block_on(works_before_the_future()));
    spans.assert_child("in_destructor", "works_before_the_future");
    assert_eq!(id, Some(spans.named("works_before_the_future").span_context.span_id().to_string()));
}

#[test]
fn a_future_made_and_never_polled_is_a_cancelled_span() {
    let ((), spans) = spans_of(|| drop(works_before_the_future()));
    let span = spans.named("works_before_the_future");
    assert_eq!(span.value("throughline.cancelled"), Some(Value::Bool(true)));
}
