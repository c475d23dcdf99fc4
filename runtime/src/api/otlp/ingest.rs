//! Requests that come at the same time, written as one batch: a commit costs much more than a span.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::diagnostics;
use crate::export::chain::chain;
use crate::store::{Store, StoredSpan, Written};

/// Spans in one batch; a larger one gains nothing.
const MOST_SPANS: usize = 8_192;

/// Bytes of spans in one batch, unless a single request has more.
const MOST_BYTES: usize = 16 << 20;

/// Why spans were not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// As much waits already as may.
    #[error("as many spans wait for the store as may")]
    Full,
    /// The store is away; later it may work.
    #[error("the store cannot be used now")]
    Away,
    /// The store will not take these spans however often they are sent.
    #[error("the store refused the spans")]
    Refused,
}

/// Writes to a store, in batches. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Ingest {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    queue: Mutex<Queue>,
    max_bytes: usize,
    /// Told whenever nothing waits any more.
    idle: Notify,
    /// That the store refuses spans was told, and it has taken none since.
    refusal_is_told: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Of all that wait and of the batch that is being written.
    bytes: usize,
    is_written: bool,
}

#[derive(Debug)]
struct Waiting {
    spans: Vec<StoredSpan>,
    bytes: usize,
    answer: oneshot::Sender<Result<Written, Refusal>>,
}

impl Ingest {
    pub(crate) fn new(store: Arc<dyn Store>, max_bytes: usize) -> Self {
        let inner = Inner {
            store,
            queue: Mutex::new(Queue::default()),
            max_bytes,
            idle: Notify::new(),
            refusal_is_told: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Stores the spans, together with those of others; returns when they are committed.
    ///
    /// What was begun is done even when nobody waits for the answer any longer.
    pub(crate) async fn write(&self, spans: Vec<StoredSpan>) -> Result<Written, Refusal> {
        if spans.is_empty() {
            return Ok(Written::default());
        }
        let bytes = spans.iter().map(size).sum();
        let (answer, answered) = oneshot::channel();
        {
            let mut queue = self.inner.lock();
            // A request that is larger than the bound by itself is taken when nothing else waits.
            if queue.bytes > 0 && queue.bytes.saturating_add(bytes) > self.inner.max_bytes {
                return Err(Refusal::Full);
            }
            queue.bytes += bytes;
            queue.waiting.push_back(Waiting { spans, bytes, answer });
            if !mem::replace(&mut queue.is_written, true) {
                let inner = Arc::clone(&self.inner);
                tokio::spawn(write_all(Writing { inner, is_over: false }));
            }
        }
        answered.await.unwrap_or(Err(Refusal::Away))
    }

    /// Returns when nothing waits any more.
    pub(crate) async fn idle(&self) {
        loop {
            let mut told = std::pin::pin!(self.inner.idle.notified());
            told.as_mut().enable();
            if !self.inner.lock().is_written {
                return;
            }
            told.await;
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to write; there is one at a time.
struct Writing {
    inner: Arc<Inner>,
    /// It was given up in good order.
    is_over: bool,
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.is_over {
            // The runtime ended, or a store panicked: those who wait are told, by their answer being gone.
            let left = {
                let mut queue = self.inner.lock();
                queue.is_written = false;
                queue.bytes = 0;
                mem::take(&mut queue.waiting)
            };
            drop(left);
        }
        self.inner.idle.notify_waiters();
    }
}

async fn write_all(mut writing: Writing) {
    let inner = Arc::clone(&writing.inner);
    loop {
        let batch = {
            let mut queue = inner.lock();
            let batch = next_batch(&mut queue.waiting);
            if batch.is_empty() {
                // Under this lock, so that nobody relies on a writer that is about to leave.
                queue.is_written = false;
                writing.is_over = true;
                return;
            }
            batch
        };
        let bytes: usize = batch.iter().map(|waiting| waiting.bytes).sum();
        let is_away = inner.write(batch).await;
        let refused = {
            let mut queue = inner.lock();
            queue.bytes -= bytes;
            // Who waits behind would only wait for the same answer, perhaps for longer than his patience.
            let refused = if is_away { mem::take(&mut queue.waiting) } else { VecDeque::new() };
            queue.bytes -= refused.iter().map(|waiting| waiting.bytes).sum::<usize>();
            refused
        };
        for waiting in refused {
            let _ = waiting.answer.send(Err(Refusal::Away));
        }
    }
}

fn next_batch(waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let mut batch: Vec<Waiting> = Vec::new();
    let (mut spans, mut bytes) = (0, 0);
    while let Some(next) = waiting.front() {
        spans += next.spans.len();
        bytes += next.bytes;
        if !batch.is_empty() && (spans > MOST_SPANS || bytes > MOST_BYTES) {
            break;
        }
        batch.extend(waiting.pop_front());
    }
    batch
}

impl Inner {
    /// Writes a batch and tells each request what became of its own spans; whether the store is away.
    async fn write(&self, mut batch: Vec<Waiting>) -> bool {
        if let [only] = batch.as_mut_slice() {
            let outcome = self.store(mem::take(&mut only.spans)).await;
            let is_away = outcome == Err(Refusal::Away);
            if let Some(only) = batch.pop() {
                // Nobody to tell is no error.
                let _ = only.answer.send(outcome);
            }
            return is_away;
        }
        let all = batch.iter().flat_map(|waiting| waiting.spans.iter().cloned()).collect();
        let outcome = self.store(all).await;
        for waiting in batch {
            let outcome = match &outcome {
                Ok(written) if written.rejected == 0 => {
                    // Which of them were there before is of no interest to senders.
                    Ok(Written { inserted: waiting.spans.len(), ..Written::default() })
                }
                Err(Refusal::Away) => Err(Refusal::Away),
                // Whose spans these were is found by writing each request by itself: what is stored stays as it is.
                Ok(_) | Err(_) => self.store(waiting.spans).await,
            };
            let _ = waiting.answer.send(outcome);
        }
        outcome == Err(Refusal::Away)
    }

    async fn store(&self, spans: Vec<StoredSpan>) -> Result<Written, Refusal> {
        match self.store.write(spans).await {
            Ok(written) => {
                self.refusal_is_told.store(false, Ordering::Relaxed);
                Ok(written)
            }
            Err(error) if error.is_transient() => Err(Refusal::Away),
            Err(error) => {
                if !self.refusal_is_told.swap(true, Ordering::Relaxed) {
                    diagnostics::warn(format_args!("the store refuses received spans: {}", chain(&error)));
                }
                Err(Refusal::Refused)
            }
        }
    }
}

/// What a span takes in memory, nearly.
fn size(span: &StoredSpan) -> usize {
    let maybe = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    size_of::<StoredSpan>()
        + span.operation_name.len()
        + span.service_name.len()
        + span.attributes_json.len()
        + span.events_json.len()
        + span.links_json.len()
        + maybe(&span.error_message)
        + maybe(&span.error_type)
        + maybe(&span.trace_state)
        + span.ids.iter().map(maybe).sum::<usize>()
}

#[cfg(test)]
mod tests;
