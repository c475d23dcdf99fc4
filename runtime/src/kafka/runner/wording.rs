//! The builder's words for handlers and failures.

use std::borrow::Cow;
use std::time::Duration;

use rdkafka::ClientConfig;

use super::builder::Consumer;
use super::error::{Report, RunError};
use super::handle::RunnerHandle;
use super::handler::Handler;
use super::handling::Handling;
use super::policy::{DeadLetterContext, DeadLetterHeaders, OnFailure, OnPanic, RetryErrors};
use super::retry::Backoff;
use super::settings::{Commit, client_config};
use crate::kafka::ProcessOptions;

impl Consumer {
    /// A consumer whose configuration comes with [`config`](Self::config) or [`set`](Self::set), and the defaults of all
    /// settings.
    pub fn new() -> Self {
        Self::from_config(ClientConfig::new())
    }
}

impl Default for Consumer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Consumer<S> {
    /// The client's configuration, in place of the one before; see [`from_config`](Consumer::from_config).
    pub fn config(mut self, config: ClientConfig) -> Self {
        self.start.config = config;
        self
    }

    /// One setting of the client's configuration, such as `bootstrap.servers`.
    ///
    /// ```
    /// use throughline::kafka::Consumer;
    ///
    /// let consumer = Consumer::new().set("bootstrap.servers", "localhost:9092").group("billing").topics(["orders"]);
    /// ```
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.start.config.set(name, value);
        self
    }

    /// How often a record is tried, and how long the waits are; default [`Backoff::default`]: 5 attempts in all, 100 ms,
    /// doubled up to 30 s, full jitter, every error. [`Backoff::never`] is one attempt.
    ///
    /// Its lane waits, so the order holds; the consumer goes on polling, and a wait ends when the partition is revoked or
    /// the consumer closes.
    pub fn retry(mut self, retry: Backoff) -> Self {
        self.policy.retry = retry;
        self
    }

    /// What becomes of a record whose attempts are used up; default: dead letter if there is a topic for it, else halt.
    pub fn on_exhausted(mut self, then: OnFailure) -> Self {
        self.policy.on_exhausted = Some(then);
        self
    }

    /// What becomes of a record that cannot be decoded, which is not tried again; default: dead letter if there is a topic
    /// for it, else halt.
    pub fn on_decode_error(mut self, then: OnFailure) -> Self {
        self.policy.on_decode_error = Some(then);
        self
    }

    /// What becomes of a record whose handler panics; default [`OnPanic::Retry`]. An [`OnFailure`] happens at once.
    ///
    /// In a program that is built with `panic = "abort"` a panic ends the process.
    pub fn on_panic(mut self, then: impl Into<OnPanic>) -> Self {
        self.policy.on_panic = then.into();
        self
    }

    /// How long one attempt may take; default: for ever. An attempt that takes longer is dropped and has failed.
    ///
    /// A handler that is not `async` cannot be interrupted: a line in the log says that it takes too long, and it is waited
    /// for. Its result counts.
    pub fn timeout(mut self, longest: Duration) -> Self {
        self.policy.timeout = Some(longest);
        self
    }

    /// Which attempts of a record have a span with status Error; default [`RetryErrors::Last`].
    pub fn retry_errors(mut self, which: RetryErrors) -> Self {
        self.policy.retry_errors = which;
        self
    }

    /// The topic for records that cannot be handled; default none.
    ///
    /// Key, value, headers and trace context go there unchanged, with the reason in headers of its own, and to the
    /// partition of the source modulo the partitions of this topic. The record counts as finished once the broker has
    /// acknowledged it. While the topic does not take records, their partitions wait. With a [`pattern`](Self::pattern),
    /// mind that it does not match this topic.
    pub fn dead_letter(mut self, topic: impl Into<Cow<'static, str>>) -> Self {
        self.policy.dead_letter = Some(topic.into());
        self
    }

    /// Names and forms of the headers of dead letters; default [`DeadLetterHeaders::Kip1191`].
    pub fn dlq_headers(mut self, headers: DeadLetterHeaders) -> Self {
        self.policy.dlq_headers = headers;
        self
    }

    /// The trace context of dead letters; default [`DeadLetterContext::Keep`].
    pub fn dead_letter_context(mut self, context: DeadLetterContext) -> Self {
        self.policy.dead_letter_context = context;
        self
    }

    /// How the process spans look; default [`ProcessOptions::new`]. Group, client id and server are filled in.
    ///
    /// A handler with `#[kafka_consumer]` fills the same span: its arguments count where they say something, but for
    /// `context`, `parent_max_age`, `baggage`, `queue_time`, `metrics`, `links` and `scope`, which hold from the start of the
    /// span on and belong here. The `consumer()` that `run(..)` makes has them here.
    pub fn process(mut self, options: ProcessOptions) -> Self {
        self.policy.process = options;
        self
    }

    /// A value for handlers with a parameter [`State<T>`](super::State), each call of which gets a clone.
    pub fn state<T>(self, state: T) -> Consumer<T> {
        self.with_state(state)
    }

    /// Runs until a stop signal, [`close`](RunnerHandle::close) or an error that ends it, with this handler for each
    /// record.
    ///
    /// ```no_run
    /// use rdkafka::ClientConfig;
    /// use throughline::kafka::{Backoff, Consumer, Record, RunError};
    ///
    /// async fn handle(order: Record) -> Result<(), std::io::Error> {
    ///     Ok(())
    /// }
    ///
    /// # async fn example(config: ClientConfig) -> Result<(), RunError> {
    /// let consumer = Consumer::from_config(config).group("billing").topics(["orders"]);
    /// let report = consumer.retry(Backoff::new().attempts(3)).dead_letter("orders.dlq").run(handle).await?;
    /// println!("{} handled", report.handled);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError`]: settings that contradict one another, a client that cannot be made, fatal errors of the client, and
    /// the error of a record where the policy is [`OnFailure::Stop`].
    pub async fn run<H, M>(self, handler: H) -> Result<Report, RunError>
    where
        H: Handler<M, S>,
        M: 'static,
        S: Clone + Send + Sync + 'static,
    {
        self.start(handler)?.wait().await
    }

    /// Starts as [`run`](Self::run) does, and gives a handle to close it and to ask for its health.
    ///
    /// # Errors
    ///
    /// [`RunError`]: settings that contradict one another, a client that cannot be made, no tokio runtime.
    pub fn start<H, M>(self, handler: H) -> Result<RunnerHandle, RunError>
    where
        H: Handler<M, S>,
        M: 'static,
        S: Clone + Send + Sync + 'static,
    {
        let start = &self.start;
        let config = client_config(&start.config, start.group.as_deref(), &start.settings)?;
        let is_manual = start.settings.commit == Commit::Manual;
        let policy = self.policy.clone();
        let handling = Handling::new(handler, self.state.clone(), policy, &config, &start.topics, is_manual)?;
        self.start_work(handling)
    }
}
