//! The partitions that a runner owns, and those whose queues it has still to drop.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::topic_partition_list::TopicPartitionListElem;

use super::engine::Engine;
use super::generation::Generation;

/// The generations of a runner.
#[derive(Debug, Default)]
pub(super) struct Owned(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    /// Those that are assigned.
    owned: HashMap<(Arc<str>, i32), Arc<Generation>>,
    /// Those whose queue did not come back yet.
    gone: Vec<Arc<Generation>>,
    last_number: u64,
    /// Partitions that were owned once and given up.
    left: HashSet<(Arc<str>, i32)>,
}

impl Owned {
    fn lock(&self) -> MutexGuard<'_, Generations> {
        // No user code runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new generation of a partition; the one before, if it is still there, is over.
    pub(super) fn acquire(&self, engine: &Arc<Engine>, topic: &str, partition: i32) -> Arc<Generation> {
        let mut generations = self.lock();
        generations.last_number += 1;
        let topic: Arc<str> = topic.into();
        let generation =
            Generation::new(generations.last_number, Arc::clone(&topic), partition, Arc::clone(engine));
        let generation = Arc::new(generation);
        let before = generations.owned.insert((topic, partition), Arc::clone(&generation));
        if let Some(before) = before {
            before.close();
            generations.gone.push(before);
        }
        generation
    }

    /// The generation after one whose partition went back, with its queue; `None` if that one is over.
    pub(super) fn succeed(&self, before: &Arc<Generation>) -> Option<Arc<Generation>> {
        let engine = before.engine();
        let mut generations = self.lock();
        let key = (Arc::clone(&before.topic), before.partition);
        let owned = generations.owned.get(&key).is_some_and(|owned| Arc::ptr_eq(owned, before));
        if !owned || before.is_over() || engine.is_stopping() {
            return None;
        }
        generations.last_number += 1;
        let mut next = Generation::new(
            generations.last_number,
            Arc::clone(&before.topic),
            before.partition,
            Arc::clone(engine),
        );
        before.hand_over(&mut next);
        let next = Arc::new(next);
        generations.owned.insert(key, Arc::clone(&next));
        Some(next)
    }

    /// Whether an earlier generation of the partition was given up.
    pub(super) fn was_left(&self, generation: &Generation) -> bool {
        self.lock().left.contains(&(Arc::clone(&generation.topic), generation.partition))
    }

    /// Those of these partitions that are owned, each of them `ended`: none of them has a successor.
    pub(super) fn end_all(
        &self,
        partitions: &TopicPartitionList,
        ended: impl Fn(&Generation),
    ) -> Vec<Arc<Generation>> {
        let generations = self.lock();
        let of = |element: &TopicPartitionListElem<'_>| {
            generations.owned.get(&(element.topic().into(), element.partition()))
        };
        let found: Vec<_> = partitions.elements().iter().filter_map(of).cloned().collect();
        found.iter().for_each(|generation| ended(generation));
        found
    }

    pub(super) fn all(&self) -> Vec<Arc<Generation>> {
        self.lock().owned.values().cloned().collect()
    }

    pub(super) fn find(&self, topic: &str, partition: i32) -> Option<Arc<Generation>> {
        self.lock().owned.get(&(topic.into(), partition)).cloned()
    }

    /// Forgets a generation; its queue is dropped later by the poll thread.
    pub(super) fn release(&self, generation: &Arc<Generation>) {
        generation.close();
        let mut generations = self.lock();
        let key = (Arc::clone(&generation.topic), generation.partition);
        if generations.owned.get(&key).is_some_and(|owned| Arc::ptr_eq(owned, generation)) {
            generations.owned.remove(&key);
        }
        generations.left.insert(key);
        generations.gone.push(Arc::clone(generation));
    }

    /// Drops the queues of generations that are over, on the poll thread; true when none is left.
    pub(super) fn drop_queues(&self) -> bool {
        let gone = std::mem::take(&mut self.lock().gone);
        let mut held: Vec<_> = gone.into_iter().filter(|generation| !generation.drop_queue()).collect();
        let mut generations = self.lock();
        generations.gone.append(&mut held);
        generations.gone.is_empty()
    }
}
