//! Panics in unusual places, and futures used in ways that are allowed though nobody means them.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, Waker};

use futures_core::Stream;
use throughline::opentelemetry::Value;
use throughline::{set_attribute, span, span_id, traced_span};

use super::support::{SpanDataExt as _, block_on, spans_of, yield_once};

#[traced_span]
fn in_destructor() {}

struct Records;

impl Drop for Records {
    fn drop(&mut self) {
        in_destructor();
        set_attribute("written.by", "destructor");
    }
}

/// Pending at first, then panics; what it holds is dropped by whoever drops it, not by the unwinding of its poll.
struct PanicsInPoll {
    _records: Records,
    polled: bool,
}

impl PanicsInPoll {
    fn new() -> Self {
        Self { _records: Records, polled: false }
    }

    fn step(&mut self) {
        assert!(!self.polled, "on purpose");
        self.polled = true;
    }
}

impl Future for PanicsInPoll {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<()> {
        self.step();
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Stream for PanicsInPoll {
    type Item = u8;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<u8>> {
        self.step();
        Poll::Ready(Some(1))
    }
}

mod panicking {
    use super::{PanicsInPoll, Stream};
    use std::pin::Pin;
    use throughline::{span, traced_span};

    #[traced_span("panicking")]
    pub(super) async fn async_fn() {
        PanicsInPoll::new().await;
    }

    #[traced_span("panicking")]
    pub(super) fn impl_future() -> impl Future<Output = ()> {
        PanicsInPoll::new()
    }

    #[traced_span("panicking")]
    pub(super) fn boxed() -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(PanicsInPoll::new())
    }

    #[traced_span("panicking", leaf)]
    pub(super) fn leaf() -> impl Future<Output = ()> {
        PanicsInPoll::new()
    }

    pub(super) fn span_future() -> impl Future<Output = ()> {
        span!("panicking", PanicsInPoll::new())
    }

    #[traced_span("panicking")]
    pub(super) fn stream() -> impl Stream<Item = u8> {
        PanicsInPoll::new()
    }

    pub(super) async fn all_of_the_stream() {
        use futures_util::StreamExt as _;
        stream().collect::<Vec<_>>().await;
    }
}

macro_rules! destructors_after_a_panic {
    ($($shape:ident)*) => {$(
        #[test]
        fn $shape() {
            let run = || block_on(panicking::$shape());
            let (caught, spans) = spans_of(|| catch_unwind(AssertUnwindSafe(run)));
            assert!(caught.is_err());
            spans.assert_child("in_destructor", "panicking");
            let span = spans.named("panicking");
            assert_eq!(span.failed_with(), Some(("panic".to_owned(), "panicked".to_owned())));
            assert_eq!(span.text("written.by").as_deref(), Some("destructor"));
        }
    )*};
}

// tokio-rs/tracing#2541: also after a panic in `poll`.
mod destructors_after_a_panic_see_the_span {
    use super::*;
    destructors_after_a_panic!(async_fn impl_future boxed leaf span_future all_of_the_stream);
}

#[test]
fn a_panic_in_poll_leaves_no_span_current() {
    let (left, _) = spans_of(|| {
        let before = span_id();
        catch_unwind(AssertUnwindSafe(|| block_on(panicking::impl_future()))).ok();
        catch_unwind(AssertUnwindSafe(|| block_on(panicking::leaf()))).ok();
        (before, span_id())
    });
    assert_eq!(left.0, left.1);
}

// A panic that somebody catches round the poll is not the end: `JoinSet`, `FutureExt::catch_unwind`, runtimes.
#[test]
fn a_future_dropped_long_after_its_panic_is_error() {
    let ((), spans) = spans_of(|| {
        let mut future = Box::pin(panicking::impl_future());
        let mut task = TaskContext::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut task).is_pending());
        let caught = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut task)));
        assert!(caught.is_err());
        drop(future);
    });
    spans.assert_child("in_destructor", "panicking");
    let span = spans.named("panicking");
    assert_eq!(span.failed_with(), Some(("panic".to_owned(), "panicked".to_owned())));
    assert_eq!(span.value("throughline.cancelled"), None);
}

fn explodes() -> u8 {
    panic!("on purpose")
}

#[traced_span(fields(n = explodes()))]
fn field_panics() -> u8 {
    1
}

#[traced_span(fields(n = explodes()))]
async fn field_panics_async() -> u8 {
    yield_once().await;
    1
}

#[test]
fn a_panic_in_a_field_ends_the_span_as_panicked() {
    let ((), spans) = spans_of(|| {
        assert!(catch_unwind(field_panics).is_err());
        assert!(catch_unwind(|| block_on(field_panics_async())).is_err());
    });
    assert_eq!(spans.named("field_panics").failed_with().unwrap().0, "panic");
    assert_eq!(spans.named("field_panics_async").failed_with().unwrap().0, "panic");
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        explodes();
    }
}

#[traced_span]
async fn holds_a_bomb() {
    let _bomb = PanicsInDrop;
    std::future::pending::<()>().await;
}

#[test]
fn a_panic_in_a_destructor_of_a_dropped_future_is_error() {
    let (left, spans) = spans_of(|| {
        let before = span_id();
        let mut future = Box::pin(holds_a_bomb());
        assert!(future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())).is_pending());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(future))).is_err());
        (before, span_id())
    });
    assert_eq!(left.0, left.1);
    assert_eq!(spans.only().failed_with().unwrap().0, "panic");
}

#[traced_span(leaf)]
async fn inner_leaf(n: u8) -> u8 {
    yield_once().await;
    set_attribute("n", i64::from(n));
    yield_once().await;
    n
}

#[traced_span(leaf)]
async fn outer_leaf() -> u8 {
    yield_once().await;
    let n = inner_leaf(1).await;
    yield_once().await;
    set_attribute("n", i64::from(n + 1));
    n
}

#[traced_span]
async fn around_leaves() -> (u8, u8) {
    futures_util::future::join(outer_leaf(), async {
        yield_once().await;
        inner().await
    })
    .await
}

#[traced_span]
async fn inner() -> u8 {
    yield_once().await;
    3
}

#[test]
fn async_leaves_nest_and_stay_apart_from_their_neighbours() {
    let (_, spans) = spans_of(|| block_on(around_leaves()));
    spans.assert_child("outer_leaf", "around_leaves");
    spans.assert_child("inner_leaf", "outer_leaf");
    spans.assert_child("inner", "around_leaves");
    assert_eq!(spans.named("inner_leaf").value("n"), Some(Value::I64(1)));
    assert_eq!(spans.named("outer_leaf").value("n"), Some(Value::I64(2)));
}

#[traced_span(leaf)]
async fn moves_between_threads() {
    set_attribute("first", true);
    yield_once().await;
    set_attribute("second", true);
    in_destructor();
}

#[test]
fn a_leaf_polled_on_two_threads_keeps_what_was_written_on_both() {
    let ((), spans) = spans_of(|| {
        let mut future = Box::pin(moves_between_threads());
        let mut task = TaskContext::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut task).is_pending());
        std::thread::spawn(move || {
            let mut task = TaskContext::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut task).is_ready());
        })
        .join()
        .unwrap();
    });
    let span = spans.named("moves_between_threads");
    assert_eq!(span.value("first"), Some(Value::Bool(true)));
    assert_eq!(span.value("second"), Some(Value::Bool(true)));
    spans.assert_child("in_destructor", "moves_between_threads");
}

#[test]
fn a_span_with_temporaries_in_its_fields_and_operand() {
    let (length, spans) = spans_of(|| {
        block_on(async {
            let words = [String::from("one"), String::from("two")];
            span!(
                "temporaries",
                fields(first = words.first().map(String::as_str), all = words.join("+")),
                async {
                    yield_once().await;
                    words.iter().map(String::len).sum::<usize>()
                }
            )
            .await
        })
    });
    assert_eq!(length, 6);
    assert_eq!(spans.only().text("first").as_deref(), Some("one"));
    assert_eq!(spans.only().text("all").as_deref(), Some("one+two"));
}

#[test]
fn guards_dropped_in_the_wrong_order_leave_nothing_behind() {
    let ((before, after), spans) = spans_of(|| {
        let before = span_id();
        let outer = span!("outer");
        let inner = span!("inner");
        drop(outer);
        drop(inner);
        (before, span_id())
    });
    assert_eq!(before, after);
    spans.assert_child("inner", "outer");
}
