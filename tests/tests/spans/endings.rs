//! The matrix: every shape of function × returned, failed, panicked, dropped early, a task spawned inside.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::SystemTime;

use throughline::opentelemetry::Value;
use throughline::opentelemetry::trace::FutureExt as _;

use super::support::{SpanDataExt as _, Spans, block_on, spans_of, yield_once};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum How {
    Return,
    Fail,
    Panic,
    Never,
}

/// What every asynchronous body below does.
async fn behave(how: How) -> Result<u8, String> {
    yield_once().await;
    match how {
        How::Return => Ok(1),
        How::Fail => Err("broken".to_owned()),
        How::Panic => panic!("on purpose"),
        How::Never => std::future::pending().await,
    }
}

fn behave_sync(how: How) -> Result<u8, String> {
    match how {
        How::Fail => Err("broken".to_owned()),
        How::Panic => panic!("on purpose"),
        How::Return | How::Never => Ok(1),
    }
}

pub(super) mod shapes {
    use super::{How, behave, behave_sync};
    use futures_util::FutureExt as _;
    use futures_util::future::{BoxFuture, LocalBoxFuture};
    use std::future::Future;
    use std::pin::Pin;
    use throughline::{span, traced_span};

    #[traced_span("shape")]
    pub(super) fn guard(how: How) {
        behave_sync(how).ok();
    }

    #[traced_span("shape")]
    pub(super) fn closure(how: How) -> Result<u8, String> {
        behave_sync(how)
    }

    pub(super) fn span_closure(how: How) -> Result<u8, String> {
        span!("shape", || behave_sync(how))
    }

    pub(super) fn span_guard(how: How) {
        let _span = span!("shape");
        behave_sync(how).ok();
    }

    #[traced_span("shape")]
    pub(super) async fn async_fn(how: How) -> Result<u8, String> {
        behave(how).await
    }

    #[traced_span("shape")]
    pub(super) fn impl_future(how: How) -> impl Future<Output = Result<u8, String>> {
        behave(how)
    }

    #[traced_span("shape")]
    pub(super) fn hybrid(how: How) -> impl Future<Output = Result<u8, String>> {
        let later = behave(how);
        async move {
            super::yield_once().await;
            later.await
        }
    }

    #[traced_span("shape")]
    pub(super) fn pin_box(how: How) -> Pin<Box<dyn Future<Output = Result<u8, String>>>> {
        Box::pin(behave(how))
    }

    #[traced_span("shape")]
    pub(super) fn box_future(how: How) -> BoxFuture<'static, Result<u8, String>> {
        behave(how).boxed()
    }

    #[traced_span("shape")]
    pub(super) fn local_box_future(how: How) -> LocalBoxFuture<'static, Result<u8, String>> {
        behave(how).boxed_local()
    }

    type Alias = Pin<Box<dyn Future<Output = Result<u8, String>> + Send>>;

    #[traced_span("shape", returns = future)]
    pub(super) fn alias(how: How) -> Alias {
        Box::pin(behave(how))
    }

    pub(super) fn span_future(how: How) -> impl Future<Output = Result<u8, String>> {
        span!("shape", behave(how))
    }

    pub(super) fn span_async_block(how: How) -> impl Future<Output = Result<u8, String>> {
        span!("shape", async move { behave(how).await })
    }

    pub(super) struct Service;

    #[async_trait::async_trait]
    pub(super) trait Trait {
        async fn in_impl(&self, how: How) -> Result<u8, String>;

        #[traced_span("shape")]
        async fn default_body(&self, how: How) -> Result<u8, String> {
            behave(how).await
        }
    }

    #[async_trait::async_trait]
    impl Trait for Service {
        #[traced_span("shape")]
        async fn in_impl(&self, how: How) -> Result<u8, String> {
            behave(how).await
        }
    }

    impl Service {
        #[traced_span("shape")]
        pub(super) async fn method(&self, how: How) -> Result<u8, String> {
            behave(how).await
        }
    }

    pub(super) async fn async_trait_impl(how: How) -> Result<u8, String> {
        Service.in_impl(how).await
    }

    pub(super) async fn async_trait_default(how: How) -> Result<u8, String> {
        Service.default_body(how).await
    }

    pub(super) async fn method(how: How) -> Result<u8, String> {
        Service.method(how).await
    }
}

fn assert_returned(spans: &Spans) {
    spans.only().assert_unset();
    assert_eq!(spans.only().parent_span_id, spans.parent.span_id());
}

fn assert_failed(spans: &Spans) {
    let expected = ("alloc::string::String".to_owned(), "broken".to_owned());
    assert_eq!(spans.only().failed_with(), Some(expected));
}

fn assert_panicked(spans: &Spans) {
    assert_eq!(spans.only().failed_with(), Some(("panic".to_owned(), "panicked".to_owned())));
    assert_eq!(spans.only().value("throughline.cancelled"), None);
}

macro_rules! sync_shapes {
    ($($shape:ident)*) => {$(
        mod $shape {
            use super::*;

            #[test]
            fn returned_is_unset() {
                assert_returned(&spans_of(|| shapes::$shape(How::Return)).1);
            }

            #[test]
            fn panic_is_error() {
                let (caught, spans) = spans_of(|| catch_unwind(|| shapes::$shape(How::Panic)));
                assert!(caught.is_err());
                assert_panicked(&spans);
            }
        }
    )*};
}

sync_shapes!(guard closure span_closure span_guard);

#[test]
fn sync_err_is_error() {
    for shape in [shapes::closure, shapes::span_closure] {
        let (returned, spans) = spans_of(|| shape(How::Fail));
        assert!(returned.is_err());
        assert_failed(&spans);
    }
}

macro_rules! async_shapes {
    ($($shape:ident)*) => {$(
        mod $shape {
            use super::*;

            #[test]
            fn ok_is_unset() {
                let (returned, spans) = spans_of(|| block_on(shapes::$shape(How::Return)));
                assert_eq!(returned, Ok(1));
                assert_returned(&spans);
            }

            #[test]
            fn err_is_error() {
                let (returned, spans) = spans_of(|| block_on(shapes::$shape(How::Fail)));
                assert!(returned.is_err());
                assert_failed(&spans);
            }

            #[test]
            fn panic_is_error() {
                let run = || block_on(shapes::$shape(How::Panic));
                let (caught, spans) = spans_of(|| catch_unwind(AssertUnwindSafe(run)));
                assert!(caught.is_err());
                assert_panicked(&spans);
            }

            #[test]
            fn dropped_early_is_cancelled() {
                let ((), spans) = spans_of(|| {
                    let mut future = Box::pin(shapes::$shape(How::Never));
                    let mut task = TaskContext::from_waker(Waker::noop());
                    for _ in 0..3 {
                        assert!(matches!(future.as_mut().poll(&mut task), Poll::Pending));
                    }
                });
                let span = spans.only();
                assert_eq!(span.value("throughline.cancelled"), Some(Value::Bool(true)));
                assert_eq!(span.status, throughline::opentelemetry::trace::Status::Unset);
            }

            // apollo-opentelemetry 0.11.1 and `with_context` end with the last clone of the Context.
            #[test]
            fn ends_with_the_function_although_a_task_keeps_the_context() {
                let (ended, spans) = spans_of(|| block_on(async {
                    let (finish, wait) = tokio::sync::oneshot::channel::<()>();
                    let kept = shapes::$shape(How::Return);
                    let outer = async {
                        // Polled inside the span, so that the task has the span's own Context.
                        let returned = kept.await;
                        let task = tokio::spawn(async move { wait.await.ok() }.with_current_context());
                        (returned, task)
                    };
                    let (returned, task) = outer.await;
                    assert_eq!(returned, Ok(1));
                    let ended = SystemTime::now();
                    finish.send(()).ok();
                    task.await.ok();
                    ended
                }));
                assert!(spans.only().end_time <= ended);
            }
        }
    )*};
}

async_shapes!(
    async_fn impl_future hybrid pin_box box_future local_box_future alias span_future span_async_block
    async_trait_impl async_trait_default method
);

mod spawned_inside {
    use super::*;
    use std::time::SystemTime;
    use throughline::opentelemetry::Context;
    use throughline::opentelemetry::trace::TraceContextExt as _;
    use throughline::traced_span;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    #[traced_span]
    async fn spawns(wait: oneshot::Receiver<()>) -> JoinHandle<bool> {
        yield_once().await;
        let task = async move {
            wait.await.ok();
            // What the function's own Context says after the function has ended.
            Context::current().span().is_recording()
        };
        tokio::spawn(task.with_current_context())
    }

    #[traced_span]
    fn spawns_from_a_boxed_future(
        wait: oneshot::Receiver<()>,
    ) -> futures_util::future::BoxFuture<'static, JoinHandle<bool>> {
        Box::pin(spawns(wait))
    }

    #[test]
    fn ends_with_function() {
        let ((returned, recording), spans) = spans_of(|| {
            block_on(async {
                let (finish, wait) = oneshot::channel();
                let task = spawns(wait).await;
                let returned = SystemTime::now();
                finish.send(()).ok();
                (returned, task.await.unwrap())
            })
        });
        assert!(!recording);
        assert!(spans.only().end_time <= returned);
        spans.only().assert_unset();
    }

    #[test]
    fn ends_with_function_in_boxed_shape() {
        let ((), spans) = spans_of(|| {
            block_on(async {
                let (finish, wait) = oneshot::channel();
                let task = spawns_from_a_boxed_future(wait).await;
                finish.send(()).ok();
                assert!(!task.await.unwrap());
            });
        });
        spans.assert_child("spawns", "spawns_from_a_boxed_future");
        assert!(spans.named("spawns").end_time <= spans.named("spawns_from_a_boxed_future").end_time);
    }
}
