//! How long a handler took (kafka.md M-4), measured beside its span and ended with it.

use std::borrow::{BorrowMut, Cow};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

use super::Measured;
use crate::kafka::runner::running::Claimed;
use crate::span::{self, Ending, Outcome, OwnedSpan, Span, Traced, TracedStream};

/// The measurement of one call of a handler; ends where it is dropped, if it has not ended before.
#[derive(Debug)]
pub struct Measure(State);

#[derive(Debug)]
enum State {
    /// Not begun, or ended.
    Idle,
    #[cfg(feature = "metrics")]
    Running(Box<Running>),
    /// The span of the runner's attempt that the handler fills; the runner measures it.
    Claimed(Claimed),
}

#[cfg(feature = "metrics")]
#[derive(Debug)]
struct Running {
    begun: std::time::Instant,
    measured: Measured<'static>,
    /// Unwinding already when it began: dropping it then says nothing about the handler.
    began_in_panic: bool,
    panicked: bool,
}

impl Measure {
    /// A measurement that has not begun.
    #[must_use]
    #[inline]
    #[allow(clippy::new_without_default, reason = "named as `Span::idle` is")]
    pub const fn idle() -> Self {
        Measure(State::Idle)
    }

    /// Notes that the handler has no span of its own.
    #[inline]
    pub(in crate::kafka) fn fills(&mut self, claimed: Claimed) {
        self.0 = State::Claimed(claimed);
    }

    /// The span that is filled in place of one of its own.
    #[inline]
    pub(in crate::kafka) fn claimed(&self) -> Option<&Claimed> {
        if let State::Claimed(claimed) = &self.0 { Some(claimed) } else { None }
    }

    /// Begins, and counts the messages (M-3), if a meter provider is set.
    #[inline]
    pub(in crate::kafka) fn begin(&mut self, messages: u64, measured: impl FnOnce() -> Measured<'static>) {
        #[cfg(feature = "metrics")]
        {
            let measured = measured();
            super::consumed(messages, || measured.clone());
            self.0 = State::Running(Box::new(Running {
                begun: std::time::Instant::now(),
                measured,
                began_in_panic: std::thread::panicking(),
                panicked: false,
            }));
        }
        #[cfg(not(feature = "metrics"))]
        let _ = (messages, measured);
    }

    #[inline]
    fn is_running(&self) -> bool {
        #[cfg(feature = "metrics")]
        return matches!(self.0, State::Running(_));
        #[cfg(not(feature = "metrics"))]
        false
    }

    #[inline]
    fn is_idle(&self) -> bool {
        matches!(self.0, State::Idle)
    }

    #[cold]
    fn end(&mut self, error_type: Option<Cow<'static, str>>) {
        #[cfg(feature = "metrics")]
        if let State::Running(running) = std::mem::replace(&mut self.0, State::Idle) {
            let Running { begun, mut measured, .. } = *running;
            measured.error_type = error_type;
            super::instruments::process(begun.elapsed(), measured);
        }
        #[cfg(not(feature = "metrics"))]
        drop(error_type);
    }

    #[inline]
    fn panicked(&mut self) {
        #[cfg(feature = "metrics")]
        if let State::Running(running) = &mut self.0 {
            running.panicked = true;
        }
    }
}

#[cfg(feature = "metrics")]
impl Drop for Measure {
    #[inline]
    fn drop(&mut self) {
        if let State::Running(running) = &self.0 {
            let panicked = running.panicked || (std::thread::panicking() && !running.began_in_panic);
            self.end(panicked.then_some(Cow::Borrowed("panic")));
        }
    }
}

/// The probe of a span whose end is measured too.
#[derive(Debug)]
pub struct MeasuredProbe<P> {
    measure: Measure,
    probe: P,
}

impl<T, P: FnOnce(&T) -> Outcome> Ending<T> for MeasuredProbe<P> {
    #[inline]
    fn is_wanted(&self) -> bool {
        !self.measure.is_idle()
    }

    #[inline]
    fn outcome(mut self, value: &T) -> Outcome {
        let outcome = (self.probe)(value);
        if let Some(claimed) = self.measure.claimed() {
            claimed.ended(outcome.clone());
        }
        if self.measure.is_running() {
            let error_type = match &outcome {
                Outcome::Failed { error_type, .. } => Some(error_type.clone()),
                _ => None,
            };
            self.measure.end(error_type);
        }
        outcome
    }

    fn panicked(&mut self) {
        self.measure.panicked();
    }
}

/// A handler's future in its span, measured.
#[inline]
pub fn traced<S, F, P>((span, measure): (S, Measure), future: F, probe: P) -> Traced<S, F, MeasuredProbe<P>>
where
    S: BorrowMut<OwnedSpan>,
    F: Future,
    P: FnOnce(&F::Output) -> Outcome,
{
    span::traced_until(span, future, MeasuredProbe { measure, probe })
}

/// A handler in its span, measured.
#[inline]
pub fn in_span<T, F, P>((span, measure): (&mut Span, Measure), body: F, probe: P) -> T
where
    F: FnOnce() -> T,
    P: FnOnce(&T) -> Outcome,
{
    span::in_span_until(span, body, MeasuredProbe { measure, probe })
}

/// A handler that returns a stream, in its span, measured up to the stream's end.
#[inline]
pub fn traced_stream<S: Stream>(
    (span, measure): (OwnedSpan, Measure),
    stream: S,
) -> TracedStream<MeasuredStream<S>> {
    span::traced_stream(span, MeasuredStream { measure, stream })
}

pin_project! {
    /// A stream whose end is measured.
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct MeasuredStream<S> {
        measure: Measure,
        #[pin]
        stream: S,
    }
}

impl<S: Stream> Stream for MeasuredStream<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let polled = this.stream.poll_next(task);
        if matches!(polled, Poll::Ready(None)) {
            this.measure.end(None);
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}
