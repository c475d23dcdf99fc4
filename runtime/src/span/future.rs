//! A future inside its span: attached for each poll, and while the future is dropped.

use std::borrow::BorrowMut;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use pin_project_lite::pin_project;

use super::outcome::Outcome;
use super::owned::OwnedSpan;
use super::record::flag;

/// What looks at the value when a function or future ends: a closure, or something that has work of its own to do.
pub trait Ending<T> {
    /// Whether it wants to see the value although no span records.
    #[inline]
    fn is_wanted(&self) -> bool {
        false
    }

    /// The outcome of the span.
    fn outcome(self, value: &T) -> Outcome;

    /// Told when a poll unwinds: what ends the span is a later drop.
    #[inline]
    fn panicked(&mut self) {}
}

impl<T, P: FnOnce(&T) -> Outcome> Ending<T> for P {
    #[inline]
    fn outcome(self, value: &T) -> Outcome {
        self(value)
    }
}

/// Tells the ending of a panic; forgotten where there was none.
struct Unwinding<'a, T, P: Ending<T>>(&'a mut Option<P>, PhantomData<fn(&T)>);

impl<T, P: Ending<T>> Drop for Unwinding<'_, T, P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ending) = self.0 {
            ending.panicked();
        }
    }
}

pin_project! {
    /// A future inside its span. `Send` exactly when the future is: no guard lives across an await.
    ///
    /// The span is its own, or that of the `async fn` round it, which keeps it in its place: a span that is moved in is
    /// copied twice, which is most of what a function costs where tracing is off.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Traced<S, F, P>
    where
        S: BorrowMut<OwnedSpan>,
    {
        span: S,
        // Dropped by hand, with the span's context current: what its destructors record belongs there.
        #[pin]
        inner: Inner<F>,
        probe: Option<P>,
    }

    impl<S, F, P> PinnedDrop for Traced<S, F, P>
    where
        S: BorrowMut<OwnedSpan>,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let span = (*this.span).borrow_mut();
            if !span.is_recording() && span.context().is_none() {
                return;
            }
            drop_inside(span, this.inner);
            span.close(flag::CANCELLED);
        }
    }
}

pin_project! {
    #[project = InnerPin]
    #[derive(Debug)]
    pub(super) enum Inner<F> {
        Alive { #[pin] future: F },
        Dropped,
    }
}

impl<F> Inner<F> {
    pub(super) fn new(future: F) -> Self {
        Self::Alive { future }
    }
}

/// Drops what is inside with the span current.
pub(super) fn drop_inside<F>(span: &mut OwnedSpan, mut inner: Pin<&mut Inner<F>>) {
    let attached = span.attach();
    inner.set(Inner::Dropped);
    drop(attached);
}

/// Wraps a future in a span that is open, or that stays idle.
#[inline]
pub fn traced<S, F, P>(span: S, future: F, probe: P) -> Traced<S, F, P>
where
    S: BorrowMut<OwnedSpan>,
    F: Future,
    P: FnOnce(&F::Output) -> Outcome,
{
    traced_until(span, future, probe)
}

/// Wraps a future in a span that is open, or that stays idle, with an ending of any kind.
#[inline]
pub(crate) fn traced_until<S, F, P>(span: S, future: F, probe: P) -> Traced<S, F, P>
where
    S: BorrowMut<OwnedSpan>,
    F: Future,
    P: Ending<F::Output>,
{
    Traced { span, inner: Inner::new(future), probe: Some(probe) }
}

impl<S, F, P> Future for Traced<S, F, P>
where
    S: BorrowMut<OwnedSpan>,
    F: Future,
    P: Ending<F::Output>,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let span = (*this.span).borrow_mut();
        let attached = span.attach();
        let InnerPin::Alive { future } = this.inner.as_mut().project() else {
            // Polled after the end: as with any future, there is nothing more to come.
            return Poll::Pending;
        };
        let unwinding = Unwinding(&mut *this.probe, PhantomData);
        let polled = span.polling(&attached, || future.poll(task));
        mem::forget(unwinding);
        if polled.is_pending() {
            span.keep(&attached);
            return Poll::Pending;
        }
        let value = ready!(polled);
        if span.is_recording() || this.probe.as_ref().is_some_and(P::is_wanted) {
            // Destructors of the future's locals ran in the poll; what is left goes while the span is current.
            this.inner.set(Inner::Dropped);
            drop(attached);
            match this.probe.take() {
                Some(probe) => span.finish(probe.outcome(&value)),
                None => span.close(0),
            }
        }
        Poll::Ready(value)
    }
}
