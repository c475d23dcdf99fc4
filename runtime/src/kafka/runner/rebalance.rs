//! Rebalances: queues are split off before the assign, handlers are awaited before the unassign.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::counters::Count;
use super::engine::{Engine, LAST_COMMIT};
use super::farewell::{Answer, Farewell};
use super::generation::Generation;
use super::health::State;
use super::pause::{self, Change};
use super::{errors, metrics, statistics};

/// What a commit gets after the wait for handlers, as far as `max.poll.interval.ms` allows. librdkafka itself gives up a
/// commit only after `session.timeout.ms` without a coordinator.
const COMMIT_TIME: Duration = Duration::from_secs(10);

pub(super) type Spawn = Box<dyn Fn(&Arc<Generation>) + Send + Sync>;

/// What librdkafka calls. Its callbacks run inside of `poll`, so those for rebalances on the poll thread.
pub(super) struct RunnerContext {
    pub(super) engine: Arc<Engine>,
    /// Starts the task of a partition.
    pub(super) spawn: Spawn,
    /// Weak, because the consumer owns its context (kafka.md R-13).
    pub(super) consumer: OnceLock<Weak<BaseConsumer<RunnerContext>>>,
    pub(super) farewell: Farewell,
}

impl fmt::Debug for RunnerContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnerContext").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl ClientContext for RunnerContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        // Where `auto.offset.reset` names an end of the log, a warning is all that tells of a reset. What it tells for
        // debugging is the first start of a group.
        if level as i32 <= RDKafkaLogLevel::Warning as i32
            && let Some(topic) = errors::reset_in_log(fac, message)
        {
            self.engine.offset_reset(topic, message);
        }
        self.engine.lines.client(level, fac, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        statistics::received(&self.engine, statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The poll has this one too, with its cause.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            return;
        }
        // librdkafka's own log line has told it; here only what ends the runner or shows in health.
        self.engine.client_error(error, reason);
    }
}

impl ConsumerContext for RunnerContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let begun = Instant::now();
        let is_lost = consumer.assignment_lost();
        let what = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Count::Assign,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS if is_lost => Count::Lost,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => Count::Revoke,
            _ => return,
        };
        let done = match self.farewell.answer(is_lost) {
            Answer::AsEver if what == Count::Assign => self.assign(consumer, partitions),
            Answer::AsEver => self.revoke(consumer, partitions, what),
            Answer::GiveUp => consumer.unassign(),
            Answer::Nothing => return,
        };
        if let Err(error) = done {
            self.engine.lines.warn(format_args!("a rebalance failed: {error}"));
            self.engine.set_last_error(error.to_string());
        }
        self.engine.counters.add(what, 1);
        metrics::rebalanced(what, begun.elapsed(), &self.engine);
        self.engine.lines.info(format_args!(
            "group {}: {} of {} partitions, {} ms",
            self.engine.constants().group.escape_debug(),
            match what {
                Count::Assign => "assignment",
                Count::Lost => "loss",
                _ => "revocation",
            },
            partitions.count(),
            begun.elapsed().as_millis()
        ));
    }
}

impl RunnerContext {
    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) -> KafkaResult<()> {
        // Closing: they are accepted and not taken up, and go on to others with the farewell.
        let owner = self.consumer.get().and_then(Weak::upgrade).filter(|_| !self.engine.is_stopping());
        let acquired = owner.map_or_else(Vec::new, |owner| self.acquire(&owner, partitions));
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions)?,
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(partitions)?,
        }
        // Of one that is new to this client nothing can have been fetched yet.
        let (again, first): (Vec<_>, Vec<_>) =
            acquired.into_iter().partition(|generation| self.engine.owned.was_left(generation));
        for generation in &first {
            (self.spawn)(generation);
        }
        if !again.is_empty() {
            self.engine.begin_again(again);
        }
        self.engine.set_state(State::Running);
        Ok(())
    }

    /// New generations, each with a queue of its own.
    fn acquire(
        &self,
        owner: &Arc<BaseConsumer<Self>>,
        partitions: &TopicPartitionList,
    ) -> Vec<Arc<Generation>> {
        let acquired = partitions.elements().into_iter().map(|element| {
            let (topic, partition) = (element.topic(), element.partition());
            let generation = self.engine.owned.acquire(&self.engine, topic, partition);
            // Before the assign: what is fetched earlier would stay in the common queue (kafka.md R-13).
            if let Some(mut queue) = owner.split_partition_queue(topic, partition) {
                let wake = Arc::clone(&generation.wake);
                queue.set_nonempty_callback(move || wake.notify_one());
                generation.set_queue(queue);
            }
            generation
        });
        acquired.collect()
    }

    /// Gives up the partitions that nothing is fetched of, and takes them again, which asks for their offsets again.
    pub(super) fn assign_anew(&self, consumer: &BaseConsumer<Self>) {
        if let Err(error) = self.try_assign_anew(consumer) {
            self.engine.lines.warn(format_args!("partitions could not be assigned anew: {error}"));
            self.engine.set_last_error(error.to_string());
        }
    }

    fn try_assign_anew(&self, consumer: &BaseConsumer<Self>) -> KafkaResult<()> {
        // Dies here.
        let positions = consumer.position()?;
        let mut stuck = TopicPartitionList::new();
        let mut all = TopicPartitionList::new();
        for element in positions.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            // Others are given up and not taken back yet.
            if self.engine.owned.find(topic, partition).is_none() {
                continue;
            }
            all.add_partition(topic, partition);
            if element.offset() == Offset::Invalid {
                stuck.add_partition(topic, partition);
            }
        }
        if stuck.count() == 0 {
            return Ok(());
        }
        // An eager assignment has no parts.
        let anew = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => stuck,
            RebalanceProtocol::Eager | RebalanceProtocol::None => all,
        };
        self.revoke(consumer, &anew, Count::Revoke)?;
        self.assign(consumer, &anew)
    }

    fn revoke(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &TopicPartitionList,
        what: Count,
    ) -> KafkaResult<()> {
        // kafka.md K-6: others may have lost ones already, so there is nothing to wait for and nothing to commit.
        let is_lost = what == Count::Lost;
        let gone = self
            .engine
            .owned
            .end_all(partitions, |generation| if is_lost { generation.close() } else { generation.end() });
        if !is_lost && !gone.is_empty() {
            self.drain(&gone);
        }
        for generation in &gone {
            if generation.is_paused() {
                // librdkafka would keep it paused for its next assignment.
                pause::apply(Change::Resume, generation, consumer);
            }
            self.engine.owned.release(generation);
        }
        self.engine.owned.drop_queues();
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => {
                if what == Count::Lost {
                    self.engine.set_state(State::Joining);
                }
                consumer.incremental_unassign(partitions)
            }
            RebalanceProtocol::Eager | RebalanceProtocol::None => {
                self.engine.set_state(State::Joining);
                consumer.unassign()
            }
        }
    }

    /// Handlers of generations that are ending are awaited, what they finished is committed.
    fn drain(&self, gone: &[Arc<Generation>]) {
        let begun = Instant::now();
        let limit = self.engine.settings.drain.min(self.engine.max_poll_interval / 2);
        let until = begun + limit;
        for generation in gone {
            if !generation.wait_idle(|| until.min(self.engine.deadline())) {
                self.engine.lines.warn(format_args!(
                    "a handler of partition {} of {} runs on after {} ms: its partition is revoked, and its record will be \
                     delivered again",
                    generation.partition,
                    generation.topic.escape_debug(),
                    begun.elapsed().as_millis()
                ));
            }
        }
        // Beyond `max.poll.interval.ms` the partitions would be lost in any case.
        let at_the_latest = begun + self.engine.max_poll_interval.mul_f64(0.75);
        let commit_until = (Instant::now() + COMMIT_TIME).min(at_the_latest);
        let commit_until = commit_until.min(self.engine.deadline().max(Instant::now() + LAST_COMMIT));
        super::commit::before_leaving(&self.engine, commit_until, false);
    }
}
