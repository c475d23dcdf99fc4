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
