//! The way of received spans to the store: bounded, and not cut short by a client that leaves.
//!
//! The store itself writes what comes at the same time as one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::diagnostics;
use crate::export::chain::chain;
use crate::store::{Store, StoreError, StoredSpan, Written};

/// A store that took so long to say that it is away would take as long for each of those who wait.
const PATIENCE: Duration = Duration::from_secs(2);

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

/// Writes to a store. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Ingest {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    /// Of all spans that wait or are being written.
    bytes: AtomicUsize,
    max_bytes: usize,
    /// Told whenever nothing waits any more.
    idle: Notify,
    /// Told whenever the store took long to say that it is away.
    away: Notify,
    /// That the store refuses spans was told, and it has taken none since.
    refusal_is_told: AtomicBool,
}

impl Ingest {
    pub(crate) fn new(store: Arc<dyn Store>, max_bytes: usize) -> Self {
        let inner = Inner {
            store,
            bytes: AtomicUsize::new(0),
            max_bytes,
            idle: Notify::new(),
            away: Notify::new(),
            refusal_is_told: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Stores the spans; returns when they are committed.
    ///
    /// What was begun is done even when nobody waits for the answer any longer.
    pub(crate) async fn write(&self, spans: Vec<StoredSpan>) -> Result<Written, Refusal> {
        if spans.is_empty() {
            return Ok(Written::default());
        }
        let away = self.inner.away.notified();
        let place = Place::take(&self.inner, spans.iter().map(size).sum())?;
        let mut written = tokio::spawn(async move {
            let begin = Instant::now();
            place.inner.judged(place.inner.store.write(spans).await, begin.elapsed())
        });
        tokio::select! {
            biased;
            // A task that panicked, or whose runtime ended, has told nothing.
            written = &mut written => written.unwrap_or(Err(Refusal::Away)),
            // Who waits behind others would only wait for the same answer, perhaps for longer than his patience.
            () = away => {
                written.abort();
                Err(Refusal::Away)
            }
        }
    }

    /// Returns when nothing waits any more.
    pub(crate) async fn idle(&self) {
        loop {
            let mut told = std::pin::pin!(self.inner.idle.notified());
            told.as_mut().enable();
            if self.inner.bytes.load(Ordering::Acquire) == 0 {
                return;
            }
            told.await;
        }
    }
}

impl Inner {
    fn judged(&self, written: Result<Written, StoreError>, took: Duration) -> Result<Written, Refusal> {
        match written {
            Ok(written) => {
                self.refusal_is_told.store(false, Ordering::Relaxed);
                Ok(written)
            }
            Err(error) if error.is_transient() => {
                // One that fails at once does so for the others, too, and may be the misfortune of one transaction.
                if took >= PATIENCE {
                    self.away.notify_waiters();
                }
                Err(Refusal::Away)
            }
            Err(error) => {
                if !self.refusal_is_told.swap(true, Ordering::Relaxed) {
                    diagnostics::warn(format_args!("the store refuses received spans: {}", chain(&error)));
                }
                Err(Refusal::Refused)
            }
        }
    }
}

/// Room for spans; given back with this value.
struct Place {
    inner: Arc<Inner>,
    bytes: usize,
}

impl Place {
    fn take(inner: &Arc<Inner>, bytes: usize) -> Result<Self, Refusal> {
        let taken = inner.bytes.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |held| {
            let after = held.saturating_add(bytes);
            // A request that is larger than the bound by itself is taken when nothing else waits.
            (held == 0 || after <= inner.max_bytes).then_some(after)
        });
        match taken {
            Ok(_) => Ok(Self { inner: Arc::clone(inner), bytes }),
            Err(_) => Err(Refusal::Full),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.inner.bytes.fetch_sub(self.bytes, Ordering::AcqRel) == self.bytes {
            self.inner.idle.notify_waiters();
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
