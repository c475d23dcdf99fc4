//! A stream inside its span: one span up to the stream's end, with the number of items.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_core::Stream;
use opentelemetry::KeyValue;
use pin_project_lite::pin_project;

use super::future::{Inner, InnerPin, drop_inside};
use super::owned::OwnedSpan;
use super::record::flag;

pin_project! {
    /// A stream inside its span.
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct TracedStream<S> {
        span: OwnedSpan,
        #[pin]
        inner: Inner<S>,
        items: i64,
    }

    impl<S> PinnedDrop for TracedStream<S> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.span.is_recording() && this.span.context().is_none() {
                return;
            }
            drop_inside(this.span, this.inner);
            count(this.span, *this.items);
            this.span.close(flag::CANCELLED);
        }
    }
}

/// Wraps a stream in a span that is open, or that stays idle.
#[inline]
pub fn traced_stream<S: Stream>(span: OwnedSpan, stream: S) -> TracedStream<S> {
    TracedStream { span, inner: Inner::new(stream), items: 0 }
}

fn count(span: &mut OwnedSpan, items: i64) {
    span.set_attributes([KeyValue::new("throughline.stream.items", items)]);
}

impl<S: Stream> Stream for TracedStream<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let attached = this.span.attach();
        let InnerPin::Alive { future: stream } = this.inner.as_mut().project() else {
            return Poll::Ready(None);
        };
        let polled = this.span.polling(&attached, || stream.poll_next(task));
        match &polled {
            Poll::Ready(None) if this.span.is_recording() => {
                this.inner.set(Inner::Dropped);
                drop(attached);
                count(this.span, *this.items);
                this.span.close(0);
            }
            Poll::Ready(Some(_)) => {
                *this.items += 1;
                this.span.keep(&attached);
            }
            Poll::Ready(None) | Poll::Pending => {
                this.span.keep(&attached);
            }
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.inner {
            Inner::Alive { future: stream } => stream.size_hint(),
            Inner::Dropped => (0, Some(0)),
        }
    }
}
