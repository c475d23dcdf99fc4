//! The body of an answer, which ends the span when it ends.

use std::any::type_name;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::request::Traced;

pin_project! {
    /// A body that is read inside the request's span and ends it.
    pub struct TracedBody<B> {
        #[pin]
        body: B,
        // What is still to come, where that is known: a server stops reading there and never sees the end.
        remaining: Option<u64>,
        // Declared after the body, hence dropped after it: what its destructors record comes before the end.
        traced: Traced,
    }
}

impl<B: Body> TracedBody<B> {
    pub(super) fn new(body: B, length: Option<u64>, traced: Traced) -> Self {
        Self { body, remaining: length, traced }
    }
}

impl<B> fmt::Debug for TracedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedBody").finish_non_exhaustive()
    }
}

impl<B: Body> Body for TracedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.traced.run(|| this.body.as_mut().poll_frame(cx)));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.traced.trailers(trailers);
                }
                if let (Some(remaining), Some(data)) = (this.remaining.as_mut(), frame.data_ref()) {
                    *remaining =
                        remaining.saturating_sub(u64::try_from(data.remaining()).unwrap_or(u64::MAX));
                }
                // Whoever reads us asks no more once the end is known to have come.
                if *this.remaining == Some(0) || this.body.is_end_stream() {
                    this.traced.end();
                }
            }
            Some(Err(_)) => {
                this.traced.failed(type_name::<B::Error>(), "the body broke off");
                this.traced.end();
            }
            None => this.traced.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
