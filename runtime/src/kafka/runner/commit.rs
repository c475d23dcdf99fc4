//! The one commit path (kafka.md K-2): watermarks are stored, then the stored state is committed, on a thread of its own,
//! because a synchronous commit has no deadline.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::beginning::ASK_AGAIN;
use super::counters::Count;
use super::engine::Engine;
use super::error::CommitError;
use super::generation::{Committable, Generation};
use super::rebalance::RunnerContext;
use super::settings::Commit;
use crate::kafka::settle;

/// Commits that `count` asks for are at least so far apart: at a million records a second it would ask 2,000 times.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

type Reply = Box<dyn FnOnce(Result<(), CommitError>) + Send>;

/// What the commit thread is asked.
pub(super) enum Request {
    /// Enough records are finished.
    Due,
    /// There are tasks to [begin](super::beginning).
    Begin,
    /// Commit and answer; on behalf of the process span of this context, if there is one.
    Now(Reply, Option<Context>),
    /// No further commit.
    End,
}

/// The commit thread.
pub(super) fn run(
    engine: &Engine,
    consumer: &Weak<BaseConsumer<RunnerContext>>,
    requests: &Receiver<Request>,
) {
    let interval = match engine.settings.commit {
        // Without any pause the thread would never rest.
        Commit::Tracked { interval, .. } => interval.max(Duration::from_millis(5)),
        // What is left over by a commit that failed.
        Commit::PerRecord | Commit::Manual => Duration::from_secs(1),
    };
    let mut last = Instant::now();
    let mut replies: Vec<Reply> = Vec::new();
    let mut processes: Vec<Option<Context>> = Vec::new();
    let mut open = true;
    while open {
        let mut due = crate::deadline::after(interval.saturating_sub(last.elapsed()));
        if !engine.beginners.is_empty() {
            due = due.min(Instant::now() + ASK_AGAIN);
        }
        loop {
            let request = match requests.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(request) => request,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => Request::End,
            };
            match request {
                Request::Due => due = due.min(last + SHORTEST_PAUSE),
                Request::Begin => due = Instant::now(),
                Request::Now(reply, process) => {
                    replies.push(reply);
                    processes.push(process);
                    due = Instant::now();
                }
                Request::End => {
                    open = false;
                    break;
                }
            }
        }
        // Who asked meanwhile is answered by the same commit.
        while let Ok(request) = requests.try_recv() {
            match request {
                Request::Due | Request::Begin => {}
                Request::Now(reply, process) => {
                    replies.push(reply);
                    processes.push(process);
                }
                Request::End => open = false,
            }
        }
        last = Instant::now();
        let result = match consumer.upgrade() {
            Some(consumer) if open || !replies.is_empty() => {
                // One commit for several handlers is nobody's child.
                let process = processes.pop().filter(|_| processes.is_empty()).flatten();
                commit(engine, &consumer, process)
            }
            _ => Err(CommitError::Ended),
        };
        processes.clear();
        for reply in replies.drain(..) {
            reply(result.clone());
        }
        // Nothing begins any more in a runner that closes.
        if let Some(consumer) = consumer.upgrade().filter(|_| open && !engine.is_stopping()) {
            engine.beginners.ask(&consumer);
        }
    }
}

/// Commits all watermarks that moved.
fn commit(
    engine: &Engine,
    consumer: &BaseConsumer<RunnerContext>,
    process: Option<Context>,
) -> Result<(), CommitError> {
    engine.commit_begins();
    let moved: Vec<(Arc<Generation>, Committable)> = engine
        .owned
        .all()
        .into_iter()
        .filter_map(|generation| generation.committable().map(|moved| (generation, moved)))
        .collect();
    if moved.is_empty() {
        return Ok(());
    }
    let records = moved.iter().fold(0, |sum: u64, (_, moved)| sum + u64::from(moved.records));
    let same_topic = moved.first().map(|(generation, _)| Arc::clone(&generation.topic));
    let same_topic = same_topic.filter(|topic| moved.iter().all(|(other, _)| other.topic == *topic));
    let result = in_commit_span(engine, same_topic.as_deref(), records, process, || {
        store(consumer, &moved)?;
        match consumer.commit_consumer_state(CommitMode::Sync) {
            // All that was stored is committed already.
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            result => return result,
        }
        // librdkafka passes over what is stored below what it has committed.
        let lower: Vec<_> =
            moved.iter().filter(|(generation, moved)| moved.next < generation.committed_before).collect();
        if lower.is_empty() { Ok(()) } else { consumer.commit(&list_of(lower)?, CommitMode::Sync) }
    });
    let outcome = match &result {
        Ok(()) => Count::CommitOk,
        Err(error) if is_fenced(error) => Count::CommitFenced,
        Err(error) if is_timeout(error) => Count::CommitTimeout,
        Err(_) => Count::CommitError,
    };
    engine.counters.add(outcome, 1);
    super::metrics::happened(outcome, engine);
    engine.commit_ended(result.is_err());
    for (generation, moved) in &moved {
        match &result {
            Ok(()) => generation.committed.store(moved.next, Ordering::Relaxed),
            // The watermark stays, and the next commit has it; librdkafka keeps what is stored.
            Err(_) => generation.not_committed(moved.records),
        }
    }
    result.map_err(|error| {
        engine.set_last_error(error.to_string());
        CommitError::Broker(error)
    })
}

/// The list dies here: one that lives would keep the consumer from being dropped.
fn store(
    consumer: &BaseConsumer<RunnerContext>,
    moved: &[(Arc<Generation>, Committable)],
) -> KafkaResult<()> {
    match consumer.store_offsets(&list_of(moved)?) {
        // Revoked meanwhile: it is not ours to commit.
        Err(KafkaError::StoreOffset(RDKafkaErrorCode::State)) => Ok(()),
        result => result,
    }
}

fn list_of<'m>(
    moved: impl IntoIterator<Item = &'m (Arc<Generation>, Committable)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (generation, moved) in moved {
        let next = Offset::Offset(moved.next);
        list.add_partition_offset(&generation.topic, generation.partition, next)?;
    }
    Ok(list)
}

/// The settle span of a commit on the runner's own account: a root (kafka.md C-3).
fn in_commit_span(
    engine: &Engine,
    topic: Option<&str>,
    records: u64,
    process: Option<Context>,
    commit: impl FnOnce() -> KafkaResult<()>,
) -> KafkaResult<()> {
    if !engine.settings.settle_spans {
        return commit();
    }
    let constants = engine.constants();
    let about = settle::Commit {
        topic,
        partition: None,
        offset: None,
        group: Some(&constants.group),
        count: Some(records),
        client: &constants.attributes,
        server: constants.server.as_ref().map(|(host, port)| (&**host, *port)),
    };
    let committing = settle::commit_span(about, Some(process.unwrap_or_default()));
    let result = commit();
    committing.end(&result);
    result
}

/// The generation of the member is over; the commit is not repeated for it.
fn is_fenced(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::RebalanceInProgress
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::FencedInstanceId
                | RDKafkaErrorCode::FencedMemberEpoch
                | RDKafkaErrorCode::StaleMemberEpoch
                | RDKafkaErrorCode::AssignmentLost
        )
    )
}

fn is_timeout(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::WaitingForCoordinator
        )
    )
}

/// Commits on behalf of the poll thread, which waits up to `until`: in a rebalance and, for the last time, at the end.
pub(super) fn before_leaving(engine: &Engine, until: Instant, is_last: bool) {
    if engine.commit_until(until, is_last).is_some() {
        return;
    }
    engine.counters.add(Count::CommitTimeout, 1);
    super::metrics::happened(Count::CommitTimeout, engine);
    engine.lines.warn(format_args!(
        "the commit before partitions are given up did not end in time; their last records will be delivered again"
    ));
}
