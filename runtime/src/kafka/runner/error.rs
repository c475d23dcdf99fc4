//! Why a runner did not start, ended, or could not commit; and what it did until then.

use std::error::Error;
use std::sync::Arc;

use rdkafka::error::KafkaError;
use serde::Serialize;

/// Why a runner did not start, or ended by itself.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A setting that cannot work, or would break a guarantee.
    #[error("`{setting}` is `{value}`: {reason}")]
    #[non_exhaustive]
    Setting {
        /// Name of the setting, as in the builder or in librdkafka's configuration.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it, and what to write instead.
        reason: String,
    },
    /// The client could not be created, or did not accept the subscription.
    #[error("the Kafka client did not start")]
    Client(#[source] KafkaError),
    /// Called outside a tokio runtime, or without threads to be had.
    #[error("the runner did not start: {0}")]
    Start(String),
    /// Authentication failed, a static member was fenced, or librdkafka reported another fatal error.
    #[error("the Kafka client failed for good")]
    Fatal(#[source] KafkaError),
    /// A handler or a policy said `stop`.
    #[error("a record could not be handled and the policy is to stop")]
    Stopped(#[source] Arc<dyn Error + Send + Sync>),
    /// The tokio runtime was shut down under the runner; unfinished records are not committed.
    #[error("the tokio runtime was shut down under the runner")]
    RuntimeGone,
    /// The poll thread panicked, which only a name that is not UTF-8 could make it do; what was finished is committed.
    #[error("the poll thread panicked")]
    Panicked,
    /// librdkafka did not close within the deadline; a thread of its own goes on closing it.
    #[error("the Kafka client did not close within the deadline")]
    TimedOut,
}

impl RunError {
    pub(super) fn setting(setting: &'static str, value: &str, reason: impl Into<String>) -> Self {
        RunError::Setting { setting, value: value.to_owned(), reason: reason.into() }
    }
}

/// Why a commit that a handler asked for did not happen.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The partition was revoked or lost meanwhile; the record is delivered again to whoever has it now.
    #[error("the partition was revoked before the record was acknowledged")]
    Revoked,
    /// The broker did not accept it. The record is finished all the same, and the next commit includes it.
    #[error("the broker did not accept the commit")]
    Broker(#[source] KafkaError),
    /// The runner ended before the commit was made.
    #[error("the runner ended before the commit was made")]
    Ended,
}

/// What a runner did from start to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Records that handlers accepted.
    pub handled: u64,
    /// Records that a policy passed over.
    pub skipped: u64,
    /// Records whose dead letter the broker acknowledged.
    pub dead_lettered: u64,
    /// Records that were taken and not finished when the runner ended; they are delivered again.
    pub unfinished: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Records that could not be decoded.
    pub decode_errors: u64,
    /// Panics of handlers.
    pub panics: u64,
    /// Results that came after their partition was gone; those records were delivered again.
    pub late_results: u64,
    /// Assignments, revocations and losses of partitions, and times that `max.poll.interval.ms` was exceeded.
    pub rebalances: u64,
    /// Commits that the broker accepted.
    pub commits: u64,
    /// Commits that it did not, or that took too long.
    pub failed_commits: u64,
    /// Times that a partition went on at another offset because its log was truncated or its offset was out of range.
    pub offset_resets: u64,
}
