//! A runner that runs: waiting for it, closing it, asking how it is.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::engine::Engine;
use super::error::{Report, RunError};
use super::health::{self, RunnerHealth};
use super::poll::Outcome;

/// A runner that was started. Dropping it closes the runner at once: handlers that run are dropped at their next
/// `.await`, and unfinished records are delivered again.
///
/// ```no_run
/// use std::time::Duration;
/// use rdkafka::ClientConfig;
/// use throughline::kafka::{Consumer, Record, RunError};
///
/// async fn handle(order: Record) {
///     println!("{} bytes", order.value().as_ref().map_or(0, Vec::len));
/// }
///
/// # async fn example() -> Result<(), RunError> {
/// let mut config = ClientConfig::new();
/// config.set("bootstrap.servers", "localhost:9092");
/// let runner = Consumer::from_config(config).group("billing").topics(["orders"]).start(handle)?;
/// println!("ready: {}", runner.health().ready);
/// let report = runner.close(Duration::from_secs(20)).await?;
/// println!("{} handled", report.handled);
/// # Ok(()) }
/// ```
#[must_use = "a runner ends when its handle is dropped"]
pub struct RunnerHandle {
    engine: Arc<Engine>,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl fmt::Debug for RunnerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnerHandle").field("state", &self.engine.state()).finish_non_exhaustive()
    }
}

impl RunnerHandle {
    pub(super) fn new(engine: Arc<Engine>, outcome: watch::Receiver<Option<Outcome>>) -> Self {
        RunnerHandle { engine, outcome }
    }

    /// Ends the runner: takes nothing more, waits for handlers that run, commits what is finished, leaves the group. All of
    /// it by `deadline` from now; what is unfinished then is delivered again. Handlers are awaited for `drain` at most.
    ///
    /// A second call waits for the same end, and may bring it nearer.
    ///
    /// # Errors
    ///
    /// [`RunError::TimedOut`] if the client did not close in time; a thread of its own goes on closing it. Otherwise what
    /// the runner ended with, if that was before.
    pub async fn close(&self, deadline: Duration) -> Result<Report, RunError> {
        self.engine.stop(crate::deadline::after(deadline), None);
        self.wait().await
    }

    /// Waits until the runner has ended, by [`close`](Self::close) from elsewhere, by its stop signal or by an error.
    ///
    /// # Errors
    ///
    /// What ended it, if that was not a request.
    pub async fn wait(&self) -> Result<Report, RunError> {
        let mut outcome = self.outcome.clone();
        tokio::select! {
            biased;
            ended = outcome.wait_for(Option::is_some) => match ended.as_deref() {
                Ok(Some(ended)) => ended.clone(),
                // The thread is gone without a word.
                Ok(None) | Err(_) => Err(RunError::Start("the poll thread ended".to_owned())),
            },
            () = self.engine.deadline_passes() => Err(self.engine.failure().unwrap_or(RunError::TimedOut)),
        }
    }

    /// How the runner is.
    #[must_use]
    pub fn health(&self) -> RunnerHealth {
        health::of(&self.engine)
    }

    /// For tests: nothing is polled for so long, as if the process stood still.
    #[doc(hidden)]
    pub fn hold_polls(&self, for_how_long: Duration) {
        self.engine.hold(for_how_long);
    }

    /// Ends the runner when `signal` does, and at once when `again` does.
    pub(super) fn stop_when(
        &self,
        signal: impl Future<Output = ()> + Send + 'static,
        again: Option<impl Future<Output = ()> + Send + 'static>,
    ) {
        let (engine, mut outcome) = (Arc::clone(&self.engine), self.outcome.clone());
        self.engine.runtime.spawn(async move {
            let stop = async {
                signal.await;
                engine.stop_by_itself(None);
                match again {
                    Some(again) => again.await,
                    None => std::future::pending().await,
                }
                engine.stop(Instant::now(), None);
            };
            tokio::select! {
                () = stop => {}
                // Nothing to stop any more.
                _ = outcome.wait_for(Option::is_some) => {}
            }
        });
    }
}

impl Drop for RunnerHandle {
    fn drop(&mut self) {
        self.engine.stop(Instant::now(), None);
    }
}
