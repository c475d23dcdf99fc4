//! What all endpoints share.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Semaphore;

use super::dependencies::Cache;
use super::options::ApiOptions;
use super::otlp::Receiver;
use super::problem::Problem;
use super::tail::Hub;
use crate::diagnostics;
use crate::export::chain::chain;
use crate::store::{Store, StoreError};

/// The state of every router of this module.
pub(crate) type Shared = Arc<State>;

/// A store, and how much may be asked of it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) options: ApiOptions,
    pub(super) dependencies: Cache,
    pub(crate) receiver: Receiver,
    pub(super) tail: Hub,
    queries: Arc<Semaphore>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    queries: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

/// What was asked since the start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) queries: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) running: u64,
}

impl State {
    pub(super) fn new(store: Arc<dyn Store>, options: ApiOptions) -> Self {
        let queries = Arc::new(Semaphore::new(options.max_queries.min(Semaphore::MAX_PERMITS)));
        let receiver = Receiver::new(Arc::clone(&store), &options);
        let tail = Hub::new(&options);
        let (dependencies, counters) = (Cache::default(), Counters::default());
        Self { store, options, dependencies, receiver, tail, queries, counters }
    }

    /// What was asked since the start.
    pub(super) fn counted(&self) -> Counted {
        let running = self.options.max_queries.saturating_sub(self.queries.available_permits());
        Counted {
            queries: self.counters.queries.load(Ordering::Relaxed),
            refused: self.counters.refused.load(Ordering::Relaxed),
            failed: self.counters.failed.load(Ordering::Relaxed),
            running: u64::try_from(running).unwrap_or(u64::MAX),
        }
    }

    /// Asks the store, within the limits on queries at once and on time.
    ///
    /// The place is held until the store is done, not until the client has gone: else impatient clients would pile up
    /// queries that nobody waits for.
    pub(crate) async fn query<T, F>(
        &self,
        ask: impl FnOnce(Arc<dyn Store>) -> F + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.queries).try_acquire_owned() else {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Problem::busy("as many queries as are allowed run already"));
        };
        self.counters.queries.fetch_add(1, Ordering::Relaxed);
        let store = Arc::clone(&self.store);
        // A database that neither answers nor hangs up would keep the place for ever.
        let longest = self.options.timeout.saturating_mul(3).max(Duration::from_secs(30));
        let asked = tokio::spawn(async move {
            let answer = tokio::time::timeout(longest, ask(store)).await;
            drop(place);
            answer.unwrap_or(Err(StoreError::TimedOut))
        });
        let error = match tokio::time::timeout(self.options.timeout, asked).await {
            Ok(Ok(Ok(answer))) => return Ok(answer),
            Ok(Ok(Err(error))) => error,
            Ok(Err(_)) => StoreError::refused("a query panicked"),
            Err(_) => StoreError::TimedOut,
        };
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        let problem = Problem::from(&error);
        if problem.status == StatusCode::INTERNAL_SERVER_ERROR {
            // The client is told nothing of it; whoever runs the server is.
            diagnostics::warn(format_args!("a query failed: {}", chain(&error)));
        }
        Err(problem)
    }
}
