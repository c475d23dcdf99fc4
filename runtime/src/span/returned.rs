//! Small functions round a returned value, which give an expansion's types a name.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use futures_core::Stream;

use super::owned::{OwnedSpan, in_cx};
use super::value::{FieldValue, ToValue};

/// The synchronous part of a function that returns a future, inside its span. `Output` is named by the caller, so
/// that the body's error type is known before the outcome is looked at.
#[inline]
pub fn future_in<Output, F, B>(span: &mut OwnedSpan, body: B) -> F
where
    F: Future<Output = Output>,
    B: FnOnce() -> F,
{
    in_cx(span, body)
}

/// The synchronous part of a function that returns a stream, inside its span.
#[inline]
pub fn stream_in<S, B>(span: &mut OwnedSpan, body: B) -> S
where
    S: Stream,
    B: FnOnce() -> S,
{
    in_cx(span, body)
}

/// Pins a wrapper on the heap, where the function's return type asks for that.
#[inline]
pub fn boxed<T>(wrapped: T) -> Pin<Box<T>> {
    Box::pin(wrapped)
}

/// A value of the function's return type that is never made: tells an `async` block its type.
#[cold]
pub fn edge<T>() -> T {
    unreachable!("the call stands behind `if false`")
}

/// What `span!` takes as its last argument, apart from a closure.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a future",
    label = "write `|| ..` for synchronous code, `async {{ .. }}` or a call that returns a future"
)]
pub trait SpanFuture {
    /// The future to wrap.
    type Future: Future;
    /// Makes it, as `.await` would.
    fn into_span_future(self) -> Self::Future;
}

#[diagnostic::do_not_recommend]
impl<F: IntoFuture> SpanFuture for F {
    type Future = F::IntoFuture;

    #[inline]
    fn into_span_future(self) -> F::IntoFuture {
        self.into_future()
    }
}

/// The future that `span!` wraps.
#[inline]
pub fn into_future<F: SpanFuture>(future: F) -> F::Future {
    future.into_span_future()
}

/// The value of the closure that `span!` holds when tracing is compiled out.
#[inline]
pub fn call<T>(closure: impl FnOnce() -> T) -> T {
    closure()
}

/// The guard that `span!` gives when tracing is compiled out.
#[derive(Debug)]
#[must_use = "bind it, as the span that it stands for: `let _span = span!(..);`"]
pub struct NoSpan;

/// The value of a field of `record!`.
#[inline]
pub fn to_value<V: ToValue + ?Sized>(value: &V) -> FieldValue {
    value.to_value()
}
