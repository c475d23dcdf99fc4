//! What all endpoints share.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::options::ApiOptions;
use super::problem::Problem;
use crate::store::{Store, StoreError};

/// The state of every router of this module.
pub(crate) type Shared = Arc<State>;

/// A store, and how much may be asked of it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) options: ApiOptions,
    queries: Arc<Semaphore>,
}

impl State {
    pub(super) fn new(store: Arc<dyn Store>, options: ApiOptions) -> Self {
        let queries = Arc::new(Semaphore::new(options.max_queries.min(Semaphore::MAX_PERMITS)));
        Self { store, options, queries }
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
            return Err(Problem::busy("as many queries as are allowed run already"));
        };
        let store = Arc::clone(&self.store);
        let asked = tokio::spawn(async move {
            let answer = ask(store).await;
            drop(place);
            answer
        });
        match tokio::time::timeout(self.options.timeout, asked).await {
            Ok(Ok(answer)) => answer.map_err(|error| Problem::from(&error)),
            Ok(Err(_)) => Err(Problem::internal()),
            Err(_) => Err(Problem::from(&StoreError::TimedOut)),
        }
    }
}
