//! What a runner does with records: the seam between the engine, which takes and commits them, and the policies, which
//! call the handler, retry, and write dead letters.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use opentelemetry::Context;
use rdkafka::message::BorrowedMessage;

use super::counters::Count;
use super::generation::Generation;
use super::tracker::Sequence;

/// Handles records.
pub(super) trait Work: Send + Sync + 'static {
    /// A record, or what made it unreadable; owned, because the message goes back to librdkafka at once.
    type Item: Send + 'static;

    /// Whether `run` is given batches.
    fn in_batches(&self) -> bool;

    /// Makes an item of a message, on the task of its partition. A panic halts the partition.
    fn take(&self, message: &BorrowedMessage<'_>) -> Self::Item;

    /// All there is to do with a record or batch: every attempt, the waits between, the dead letter. A panic halts the
    /// partition; dropped when the runtime is shut down.
    fn run(&self, items: Items<Self::Item>, job: &Job) -> impl Future<Output = Done> + Send;
}

/// What one call of [`Work::run`] is given.
#[derive(Debug)]
pub(super) enum Items<T> {
    /// The record of a handler that takes one.
    One(T),
    /// Records of one partition in the order of their offsets, at least one.
    Batch(Vec<T>),
}

/// What became of a record or batch.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) finish: Finish,
    /// What was current in its last process span, which a commit on behalf of it belongs to (kafka.md C-3).
    pub(super) process: Option<Context>,
}

/// How a record or batch ended.
#[derive(Clone, Debug)]
pub(super) enum Finish {
    /// The handler accepted it, with `commit = manual` through its `Ack`.
    Handled,
    /// A policy passed over it.
    Skipped,
    /// The broker acknowledged its dead letter.
    DeadLettered,
    /// A batch whose records ended in different ways, each told with [`Job::settle`].
    Settled,
    /// Its partition stops here, and health says why.
    Halt {
        /// For people.
        reason: String,
    },
    /// The runner drains, and `run` returns this error.
    Stop {
        /// What the handler or the policy said.
        error: Arc<dyn Error + Send + Sync>,
    },
    /// Not finished: revoked or closed before it was; it is delivered again.
    Abandoned,
}

/// Which records a job is about.
#[derive(Clone, Debug)]
pub(super) enum Sequences {
    One(Sequence),
    Many(Vec<Sequence>),
}

impl Sequences {
    pub(super) fn as_slice(&self) -> &[Sequence] {
        match self {
            Sequences::One(sequence) => std::slice::from_ref(sequence),
            Sequences::Many(sequences) => sequences,
        }
    }
}

/// The records that are being handled: where they are from, whether they are still ours, and what to tell the engine.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) generation: Arc<Generation>,
    pub(super) sequences: Sequences,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("topic", &self.topic())
            .field("partition", &self.partition())
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

impl Job {
    pub(super) fn topic(&self) -> &str {
        &self.generation.topic
    }

    pub(super) fn partition(&self) -> i32 {
        self.generation.partition
    }

    /// Which acquisition of the partition this is; rises with each (kafka.md K-5).
    pub(super) fn generation(&self) -> u64 {
        self.generation.number
    }

    /// Whether the partition was revoked, lost or halted, or the runner is closing: start no further attempt.
    pub(super) fn is_revoked(&self) -> bool {
        self.generation.is_over()
    }

    /// Ends when [`is_revoked`](Self::is_revoked) becomes true; cuts the waits between attempts.
    pub(super) async fn revoked(&self) {
        self.generation.over().await;
    }

    /// Notes that the lane waits for something other than the handler (a retry, the dead-letter topic) as long as the
    /// answer lives: a partition that waits for ten seconds is paused (kafka.md K-7).
    pub(super) fn blocked(&self) -> Blocked {
        self.generation.add_blocked(true);
        Blocked(Arc::clone(&self.generation))
    }

    /// Counts an event in the runner's report and metrics.
    pub(super) fn count(&self, what: Count) {
        self.generation.engine().count(what, self);
    }

    /// Finishes the records before the job is over. True if they are still ours; a second time changes nothing.
    pub(super) fn acknowledge(&self) -> bool {
        self.generation.acknowledge(self.sequences.as_slice())
    }

    /// Finishes the records and counts how they ended. Gives how many records of the partition wait for their commit, or
    /// `None` if it is too late.
    pub(super) fn settle(&self, how: Count) -> Option<u32> {
        let records = self.sequences.as_slice();
        let uncommitted = self.generation.finish(records)?;
        let (engine, count) = (self.generation.engine(), records.len() as u64);
        engine.counters.add(how, count);
        // Handled ones are told by their process spans.
        if how != Count::Handled {
            super::metrics::counted(how, count, self.topic(), engine);
        }
        Some(uncommitted)
    }

    /// The job of these records of a batch.
    pub(super) fn part(&self, sequences: Vec<Sequence>) -> Self {
        Job { generation: Arc::clone(&self.generation), sequences: Sequences::Many(sequences) }
    }
}

/// See [`Job::blocked`].
#[must_use = "the lane counts as blocked only as long as this lives"]
pub(super) struct Blocked(Arc<Generation>);

impl Drop for Blocked {
    fn drop(&mut self) {
        self.0.add_blocked(false);
    }
}
