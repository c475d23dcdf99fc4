//! Partitions that come back to a client: their tasks begin when their queues have nothing of before the assignment.
//!
//! librdkafka (2.12) stops the fetcher of a partition that is given up. If it had asked just then where the log begins or
//! ends, the late answer starts the fetcher again, and what that fetches waits in the queue of the partition. An assignment
//! first asks the group's coordinator where to go on, and only with the answer begins anew and outdates what is queued. So
//! until then records would be handed out from where nobody wanted to begin: for the second time, or, with
//! `auto.offset.reset=latest`, before all that are to be handled first.
//!
//! When the answer has come nobody tells. But a question of ours, sent after librdkafka's own on the same connection, is
//! answered after it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;

use super::generation::Generation;
use super::rebalance::RunnerContext;

/// How long the coordinator has for one answer, and what is between two questions.
const ANSWER: Duration = Duration::from_secs(2);
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(50);

/// After this they begin in any case. If it is too early, they go back, which is a generation of its own.
const AT_THE_LATEST: Duration = Duration::from_secs(10);

/// Generations whose tasks are to begin.
#[derive(Debug, Default)]
pub(super) struct Beginners(Mutex<Vec<(Arc<Generation>, Instant)>>);

impl Beginners {
    fn lock(&self) -> MutexGuard<'_, Vec<(Arc<Generation>, Instant)>> {
        // No user code runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, generations: Vec<Arc<Generation>>) {
        let now = Instant::now();
        self.lock().extend(generations.into_iter().map(|generation| (generation, now)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Asks the coordinator, and starts those that it was asked for. On the thread that commits: librdkafka sends its own
    /// question when no commit is under way.
    pub(super) fn ask(&self, consumer: &BaseConsumer<RunnerContext>) {
        drop(self.take(|generation, _| generation.is_over()));
        let waiting: Vec<_> = self.lock().iter().map(|(generation, _)| Arc::clone(generation)).collect();
        if waiting.is_empty() || answer(consumer, &waiting).is_err() {
            return;
        }
        let answered =
            |generation: &Arc<Generation>, _| waiting.iter().any(|one| Arc::ptr_eq(one, generation));
        self.start(consumer, answered);
    }

    /// Starts those that have waited too long. On the poll thread, which has no answer to wait for.
    pub(super) fn start_late(&self, consumer: &BaseConsumer<RunnerContext>) {
        self.start(consumer, |_, since| since.elapsed() >= AT_THE_LATEST);
    }

    fn start(
        &self,
        consumer: &BaseConsumer<RunnerContext>,
        which: impl Fn(&Arc<Generation>, Instant) -> bool,
    ) {
        for generation in self.take(which) {
            (consumer.context().spawn)(&generation);
        }
    }

    fn take(&self, which: impl Fn(&Arc<Generation>, Instant) -> bool) -> Vec<Arc<Generation>> {
        let taken =
            self.lock().extract_if(.., |(generation, since)| which(generation, *since)).collect::<Vec<_>>();
        taken.into_iter().map(|(generation, _)| generation).collect()
    }
}

/// The lists die here (kafka.md R-11).
fn answer(consumer: &BaseConsumer<RunnerContext>, waiting: &[Arc<Generation>]) -> KafkaResult<()> {
    let mut list = TopicPartitionList::with_capacity(waiting.len());
    for generation in waiting {
        list.add_partition(&generation.topic, generation.partition);
    }
    consumer.committed_offsets(list, ANSWER).map(drop)
}
