//! Group commit: batches that come while another one is being written are written together, in one transaction.
//!
//! A transaction costs about as much as some thousand rows: its pages go to the log, and the disk has to say that they
//! are there.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

use super::answer::Written;
use super::batch::Fate;
use super::error::StoreError;
use super::span::StoredSpan;

/// Spans of one transaction, unless a single batch has more.
const MOST_SPANS: usize = 8_192;

/// The batches that wait for their turn.
#[derive(Debug)]
pub(crate) struct Gather {
    waiting: Mutex<VecDeque<Batch>>,
    /// Whoever has a permit writes.
    turns: Semaphore,
}

#[derive(Debug)]
struct Batch {
    spans: Vec<StoredSpan>,
    answer: oneshot::Sender<Result<Written, StoreError>>,
}

impl Gather {
    /// For a store that writes so many transactions at a time.
    pub(crate) fn new(transactions: usize) -> Self {
        Self { waiting: Mutex::default(), turns: Semaphore::new(transactions) }
    }

    /// Writes the spans with `write`, or has them written by somebody whose turn comes first.
    ///
    /// `write` tells the fate of each span, or fails as a whole.
    pub(crate) async fn write<W, F>(&self, spans: Vec<StoredSpan>, write: W) -> Result<Written, StoreError>
    where
        W: Fn(Arc<Vec<StoredSpan>>) -> F + Sync,
        F: Future<Output = Result<Vec<Fate>, StoreError>> + Send,
    {
        let (answer, mut answered) = oneshot::channel();
        self.push(Batch { spans, answer });
        loop {
            let turn = tokio::select! {
                biased;
                written = &mut answered => return written.unwrap_or_else(|_| Err(given_up())),
                turn = self.turns.acquire() => turn,
            };
            // Its own batch may come later than in this group, or have been in the one before.
            write_group(self.take(), &write).await;
            drop(turn);
        }
    }

    fn push(&self, batch: Batch) {
        let mut waiting = self.waiting();
        // Those who gave up come again with the same spans: while the database hangs they must not pile up.
        waiting.retain(|batch| !batch.answer.is_closed());
        waiting.push_back(batch);
    }

    /// The batches that are first in the queue, as many as fit.
    fn take(&self) -> Vec<Batch> {
        let mut waiting = self.waiting();
        let mut count = 0;
        let mut group = Vec::new();
        while let Some(batch) = waiting.pop_front() {
            if count > 0 && count + batch.spans.len() > MOST_SPANS {
                waiting.push_front(batch);
                break;
            }
            if !batch.answer.is_closed() {
                count += batch.spans.len();
                group.push(batch);
            }
        }
        group
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Batch>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write_group<W, F>(group: Vec<Batch>, write: &W)
where
    W: Fn(Arc<Vec<StoredSpan>>) -> F,
    F: Future<Output = Result<Vec<Fate>, StoreError>>,
{
    let mut all = Vec::with_capacity(group.iter().map(|batch| batch.spans.len()).sum());
    let mut parts = Vec::with_capacity(group.len());
    for mut batch in group {
        let begin = all.len();
        all.append(&mut batch.spans);
        parts.push((begin..all.len(), batch.answer));
    }
    let all = Arc::new(all);
    match write(Arc::clone(&all)).await {
        Ok(fates) => {
            for (part, answer) in parts {
                let _ = answer.send(Ok(count(fates.get(part).unwrap_or_default())));
            }
        }
        Err(StoreError::Unavailable { why, mut source }) => {
            for (_, answer) in parts {
                let _ = answer.send(Err(StoreError::Unavailable { why: why.clone(), source: source.take() }));
            }
        }
        // Somebody's spans are at fault: each batch alone.
        Err(_) if parts.len() > 1 => {
            for (part, answer) in parts {
                let spans = all.get(part).unwrap_or_default().to_vec();
                let _ = answer.send(write(Arc::new(spans)).await.map(|fates| count(&fates)));
            }
        }
        Err(error) => {
            if let Some((_, answer)) = parts.pop() {
                let _ = answer.send(Err(error));
            }
        }
    }
}

fn count(fates: &[Fate]) -> Written {
    let of = |fate| fates.iter().filter(|&&other| other == fate).count();
    Written { inserted: of(Fate::Inserted), duplicate: of(Fate::Duplicate), rejected: of(Fate::Rejected) }
}

fn given_up() -> StoreError {
    StoreError::unavailable("whoever was writing the batch gave up")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use opentelemetry_sdk::Resource;
    use tokio::sync::Notify;

    use super::*;
    use crate::store::{Converter, Lift};
    use crate::testing::samples;

    fn spans(count: u64) -> Vec<StoredSpan> {
        let mut converter = Converter::new(&Resource::builder_empty().build(), Lift::default());
        (1..=count).map(|id| converter.convert(&samples::span(1, id, 0, "a"))).collect()
    }

    fn inserted(written: Result<Written, StoreError>) -> usize {
        written.unwrap().inserted
    }

    /// A database that is busy with its first batch until it is told to go on, and notes what it is given.
    #[derive(Default)]
    struct Slow {
        begun: Notify,
        go_on: Notify,
        groups: Mutex<Vec<usize>>,
        calls: AtomicUsize,
    }

    impl Slow {
        async fn write(&self, spans: Arc<Vec<StoredSpan>>) -> Result<Vec<Fate>, StoreError> {
            self.groups.lock().unwrap().push(spans.len());
            if self.calls.fetch_add(1, Ordering::SeqCst) == 0 {
                self.begun.notify_one();
                self.go_on.notified().await;
            }
            Ok(vec![Fate::Inserted; spans.len()])
        }
    }

    #[tokio::test]
    async fn batches_that_wait_are_written_together_up_to_a_bound() {
        let (slow, gather) = (Slow::default(), Gather::new(1));
        let write = |count| gather.write(spans(count), |spans| slow.write(spans));
        let first = write(1);
        let others = async {
            slow.begun.notified().await;
            let go_on = async {
                tokio::task::yield_now().await;
                slow.go_on.notify_one();
            };
            tokio::join!(write(2), write(3), write(MOST_SPANS as u64), write(4), go_on)
        };
        let (first, (a, b, large, c, ())) = tokio::join!(first, others);
        let all = [first, a, b, large, c].map(inserted);
        assert_eq!(all, [1, 2, 3, MOST_SPANS, 4]);
        assert_eq!(*slow.groups.lock().unwrap(), [1, 5, MOST_SPANS, 4]);
    }

    #[tokio::test]
    async fn who_gives_up_is_not_written_and_harms_nobody() {
        let (slow, gather) = (Slow::default(), Gather::new(1));
        let write = |count| gather.write(spans(count), |spans| slow.write(spans));
        // The one that writes is dropped halfway; of those who wait one has given up before.
        let mut first = Box::pin(write(1));
        let mut given_up = Box::pin(write(2));
        let mut waits = Box::pin(write(3));
        let begun = async {
            tokio::select! {
                biased;
                _ = &mut first => panic!("it is held"),
                _ = &mut given_up => panic!("it waits"),
                _ = &mut waits => panic!("it waits"),
                () = slow.begun.notified() => {}
            }
        };
        begun.await;
        drop(given_up);
        drop(first);
        assert_eq!(inserted(waits.await), 3);
        assert_eq!(*slow.groups.lock().unwrap(), [1, 3]);
    }

    #[tokio::test]
    async fn members_of_a_group_whose_writer_gives_up_hear_of_it() {
        let (slow, gather) = (Slow::default(), Gather::new(1));
        // Pushed before anybody writes, so that the first turn takes both.
        let (answer, answered) = oneshot::channel();
        gather.push(Batch { spans: spans(2), answer });
        let mut leader = Box::pin(gather.write(spans(1), |spans| slow.write(spans)));
        tokio::select! {
            biased;
            _ = &mut leader => panic!("it is held"),
            () = slow.begun.notified() => {}
        }
        drop(leader);
        assert_eq!(*slow.groups.lock().unwrap(), [3]);
        assert!(answered.await.is_err(), "which `write` tells as unavailable");
    }

    #[tokio::test]
    async fn batch_that_is_refused_fails_alone() {
        let gather = Gather::new(1);
        let (answer, answered) = oneshot::channel();
        gather.push(Batch { spans: spans(2), answer });
        let written = gather.write(spans(1), async |spans: Arc<Vec<StoredSpan>>| {
            if spans.len() >= 2 { Err(StoreError::refused("no")) } else { Ok(vec![Fate::Inserted]) }
        });
        assert_eq!(inserted(written.await), 1);
        assert!(matches!(answered.await.unwrap(), Err(StoreError::Refused { .. })));
    }

    #[tokio::test]
    async fn database_that_is_away_is_tried_once_for_all() {
        let (gather, calls) = (Gather::new(1), AtomicUsize::new(0));
        let (answer, answered) = oneshot::channel();
        gather.push(Batch { spans: spans(2), answer });
        let written = gather.write(spans(1), async |_| {
            calls.fetch_add(1, Ordering::SeqCst);
            Err(StoreError::unavailable("away"))
        });
        assert!(matches!(written.await, Err(StoreError::Unavailable { .. })));
        assert!(matches!(answered.await.unwrap(), Err(StoreError::Unavailable { .. })));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}
