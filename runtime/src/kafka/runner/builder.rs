//! The builder of a runner.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use rdkafka::ClientConfig;

use super::error::RunError;
use super::handle::RunnerHandle;
use super::policy::Policy;
use super::settings::{Commit, Concurrency, EngineSettings};
use super::start::{self, Start};
use super::work::Work;

type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A consumer of topics that calls a handler for each record, and commits what the handler has finished.
///
/// Needs a tokio runtime with its timer. At least once: a record is committed only when it and all before it are handled,
/// skipped by a policy, or acknowledged in the dead-letter topic.
#[must_use = "a consumer does nothing until `run` or `start`"]
pub struct Consumer<S = ()> {
    pub(super) start: Start,
    pub(super) policy: Policy,
    pub(super) state: S,
    stop_when: Option<Signal>,
    stop_on_signals: bool,
}

impl<S> std::fmt::Debug for Consumer<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("topics", &self.start.topics).finish_non_exhaustive()
    }
}

impl Consumer {
    /// A consumer with this configuration of the client, and the defaults of all settings.
    ///
    /// `enable.auto.commit` and `enable.auto.offset.store` have to be false or left out. Unless the configuration says
    /// otherwise, `partition.assignment.strategy` is `cooperative-sticky`, `fetch.queue.backoff.ms` 20 and
    /// `statistics.interval.ms` 15,000.
    pub fn from_config(config: ClientConfig) -> Self {
        let start = Start { config, group: None, topics: Vec::new(), settings: EngineSettings::default() };
        Consumer { start, policy: Policy::default(), state: (), stop_when: None, stop_on_signals: false }
    }
}

impl<S> Consumer<S> {
    /// `group.id`; may be in the configuration instead.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.start.group = Some(group.into());
        self
    }

    /// Topics to consume, beside those that were named before.
    pub fn topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.start.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// Topics whose names match this regular expression, beside those that were named before. A topic that appears later
    /// is consumed from when librdkafka finds it (`topic.metadata.refresh.interval.ms`, by default five minutes).
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        let pattern = pattern.into();
        // What makes it a pattern for librdkafka.
        self.start.topics.push(if pattern.starts_with('^') { pattern } else { format!("^.*({pattern})") });
        self
    }

    /// How many records are handled at once, and in which order; default `per_partition(8)`.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.start.settings.concurrency = concurrency;
        self
    }

    /// Records that may be taken and unfinished at a time, over all partitions; default 1,000. What is more stays in
    /// librdkafka's queues.
    pub fn max_in_flight(mut self, records: usize) -> Self {
        self.start.settings.max_in_flight = records;
        self
    }

    /// Bytes that librdkafka fetches ahead for each partition; default 8 MiB. `queued.max.messages.kbytes` of the
    /// configuration, if it is there, goes first.
    pub fn prefetch(mut self, bytes: usize) -> Self {
        self.start.settings.prefetch_bytes = bytes;
        self
    }

    /// When finished records are committed; default `tracked(Duration::from_secs(1), 500)`.
    pub fn commit(mut self, commit: Commit) -> Self {
        self.start.settings.commit = commit;
        self
    }

    /// For handlers of `Vec<Record<T>>`: records of a batch, and how long one that is not full waits, from its first
    /// record on; default 500 and 100 ms. All records of a batch are of one partition.
    pub fn batch(mut self, max: usize, wait: Duration) -> Self {
        self.start.settings.batch_max = max;
        self.start.settings.batch_wait = wait;
        self
    }

    /// How long handlers that run are awaited when their partition is revoked and when the runner ends; default 30 s, on
    /// revoke at most half of `max.poll.interval.ms`.
    pub fn drain(mut self, longest: Duration) -> Self {
        self.start.settings.drain = longest;
        self
    }

    /// Whether commits have a span; default true.
    pub fn settle_spans(mut self, record: bool) -> Self {
        self.start.settings.settle_spans = record;
        self
    }

    /// Ends the runner when this future does: it drains for up to `drain`, commits, and leaves the group.
    ///
    /// ```no_run
    /// # use throughline::kafka::Consumer;
    /// # fn example(consumer: Consumer) -> Consumer {
    /// consumer.stop_when(throughline::shutdown_signal())
    /// # }
    /// ```
    pub fn stop_when(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop_when = Some(Box::pin(signal));
        self
    }

    /// Ends the runner on SIGTERM and SIGINT (on Windows, Ctrl-C); a second one ends it without waiting for handlers. From
    /// the first call on in a process, those signals no longer end the process by themselves.
    pub fn stop_on_signals(mut self) -> Self {
        self.stop_on_signals = true;
        self
    }

    /// The same consumer with another state.
    pub(super) fn with_state<T>(self, state: T) -> Consumer<T> {
        let Consumer { start, policy, stop_when, stop_on_signals, .. } = self;
        Consumer { start, policy, state, stop_when, stop_on_signals }
    }

    /// Starts the engine with this work.
    pub(super) fn start_work<W: Work>(self, work: W) -> Result<RunnerHandle, RunError> {
        let handle = start::start(&self.start, work)?;
        if let Some(signal) = self.stop_when {
            handle.stop_when(signal, None::<Signal>);
        }
        if self.stop_on_signals {
            let mut signals =
                super::signal::Signals::listen().map_err(|error| RunError::Start(error.to_string()))?;
            let mut again = signals.clone();
            handle.stop_when(
                async move { signals.arrived(1).await },
                Some(async move { again.arrived(2).await }),
            );
        }
        Ok(handle)
    }
}
