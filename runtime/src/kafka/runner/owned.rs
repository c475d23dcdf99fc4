//! The partitions that a runner owns, and those whose queues it has still to drop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
