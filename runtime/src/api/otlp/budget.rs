//! How much memory requests may take while they come in.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// Bytes that may be held by all requests together.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { left: AtomicUsize::new(bytes) }
    }

    fn take(&self, bytes: usize) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

/// What one request holds of the budget; given back with this value.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    taken: AtomicUsize,
}

impl Share {
    pub(super) fn new(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self { budget: Arc::clone(budget), taken: AtomicUsize::new(0) })
    }

    /// Whether there was as much left.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let taken = self.budget.take(bytes);
        if taken {
            self.taken.fetch_add(bytes, Ordering::Relaxed);
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.left.fetch_add(*self.taken.get_mut(), Ordering::Relaxed);
    }
}

/// The budget is used up.
#[derive(Debug, thiserror::Error)]
#[error("requests that are being received take all the memory that they may")]
pub(super) struct UsedUp;

/// A body whose bytes are counted as they come in.
#[derive(Debug)]
pub(super) struct Counted {
    body: Body,
    share: Arc<Share>,
}

impl Counted {
    pub(super) fn new(body: Body, share: &Arc<Share>) -> Self {
        Self { body, share: Arc::clone(share) }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            let frame = frame?;
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            if self.share.take(bytes) { Ok(frame) } else { Err(UsedUp.into()) }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_took_is_given_back() {
        let budget = Arc::new(Budget::new(10));
        let first = Share::new(&budget);
        let second = Share::new(&budget);
        assert!(first.take(6) && second.take(4));
        assert!(!first.take(1) && !second.take(1));
        drop(first);
        assert!(second.take(6));
        drop(second);
        assert_eq!(budget.left.load(Ordering::Relaxed), 10);
    }
}
