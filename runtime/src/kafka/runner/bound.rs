//! Two bounds: how many records are in flight, and how many partitions are handled at once.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// Counts what is taken, up to a limit. Who waits is served in turn.
#[derive(Debug)]
pub(super) struct Bound {
    places: Semaphore,
    waiting: AtomicUsize,
}

impl Bound {
    pub(super) fn new(limit: usize) -> Self {
        Bound { places: Semaphore::new(limit.min(Semaphore::MAX_PERMITS)), waiting: AtomicUsize::new(0) }
    }

    /// Whether somebody waits for a place.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Takes a place if there is one.
    pub(super) fn try_take(&self) -> bool {
        self.places.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_ok()
    }

    /// Takes a place; false if `given_up` ended before there was one.
    pub(super) async fn take_unless(&self, given_up: impl Future<Output = ()>) -> bool {
        if self.try_take() {
            return true;
        }
        let _waiting = Waiting::new(&self.waiting);
        tokio::select! {
            biased;
            () = given_up => false,
            place = self.places.acquire() => place.map(tokio::sync::SemaphorePermit::forget).is_ok(),
        }
    }

    pub(super) fn give_back(&self) {
        self.places.add_permits(1);
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn never_more_than_the_limit_and_nobody_is_forgotten() {
        let bound = Arc::new(Bound::new(3));
        let at_once = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let (bound, at_once) = (Arc::clone(&bound), Arc::clone(&at_once));
                tokio::spawn(async move {
                    for _ in 0..500 {
                        assert!(bound.take_unless(std::future::pending()).await);
                        assert!(at_once.fetch_add(1, Ordering::SeqCst) < 3);
                        tokio::task::yield_now().await;
                        at_once.fetch_sub(1, Ordering::SeqCst);
                        bound.give_back();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(bound.places.available_permits(), 3);
        assert!(!bound.is_awaited());
    }

    #[tokio::test]
    async fn waiting_can_be_given_up() {
        let bound = Arc::new(Bound::new(1));
        assert!(bound.try_take());
        let over = Arc::new(Notify::new());
        let waits = tokio::spawn({
            let (bound, over) = (Arc::clone(&bound), Arc::clone(&over));
            async move { bound.take_unless(over.notified()).await }
        });
        while !bound.is_awaited() {
            tokio::task::yield_now().await;
        }
        over.notify_one();
        assert!(!waits.await.unwrap());
        bound.give_back();
        assert!(bound.try_take());
    }
}
