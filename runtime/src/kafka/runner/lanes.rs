//! Lanes by key: records of one key go through one lane, one after the other.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::generation::Generation;
use super::partition::{Places, handle};
use super::tracker::Sequence;
use super::work::{Items, Job, Sequences, Work};

/// Records after which a lane lets others of its thread run.
const YIELD_AFTER: u32 = 32;

/// A record that waits in its lane.
pub(super) struct Entry<T> {
    pub(super) generation: Arc<Generation>,
    pub(super) sequence: Sequence,
    pub(super) item: T,
    pub(super) _place: Places,
}

/// The lanes of a runner, over all its partitions.
pub(super) struct Lanes<T> {
    lanes: Box<[Lane<T>]>,
    hasher: RandomState,
}

struct Lane<T> {
    waiting: Mutex<VecDeque<Entry<T>>>,
    wake: Notify,
}

impl<T> Lane<T> {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Entry<T>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Lanes<T> {
    pub(super) fn new(count: usize) -> Self {
        let lane = |_| Lane { waiting: Mutex::default(), wake: Notify::new() };
        Lanes { lanes: (0..count.max(1)).map(lane).collect(), hasher: RandomState::new() }
    }

    /// The lane of a record: by partition and key, without a key by partition.
    pub(super) fn of(&self, key: Option<&[u8]>, generation: &Generation) -> usize {
        self.index(&generation.topic, generation.partition, key)
    }

    fn index(&self, topic: &str, partition: i32, key: Option<&[u8]>) -> usize {
        let hash = self.hasher.hash_one((topic, partition, key));
        // Exact: the remainder is below the count.
        usize::try_from(hash % self.lanes.len() as u64).unwrap_or(0)
    }

    pub(super) fn push(&self, lane: usize, entry: Entry<T>) {
        let Some(lane) = self.lanes.get(lane) else { return };
        let mut waiting = lane.waiting();
        waiting.push_back(entry);
        let first = waiting.len() == 1;
        drop(waiting);
        if first {
            lane.wake.notify_one();
        }
    }

    fn pop(&self, lane: usize) -> Option<Entry<T>> {
        self.lanes.get(lane)?.waiting().pop_front()
    }

    /// The next record, if it is of the same generation.
    fn pop_same(&self, lane: usize, generation: &Arc<Generation>) -> Next<T> {
        let Some(lane) = self.lanes.get(lane) else { return Next::Other };
        let mut waiting = lane.waiting();
        match waiting.front() {
            None => Next::None,
            Some(entry) if Arc::ptr_eq(&entry.generation, generation) => {
                waiting.pop_front().map_or(Next::None, Next::Same)
            }
            Some(_) => Next::Other,
        }
    }

    /// Forgets what waits, when the runner ends.
    pub(super) fn clear(&self) {
        for lane in &self.lanes {
            let waiting = std::mem::take(&mut *lane.waiting());
            drop(waiting);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.lanes.len()
    }

    async fn filled(&self, lane: usize) {
        match self.lanes.get(lane) {
            Some(lane) => lane.wake.notified().await,
            None => std::future::pending().await,
        }
    }
}

enum Next<T> {
    Same(Entry<T>),
    Other,
    None,
}

/// The task of a lane; ends when it is aborted.
pub(super) async fn run<W: Work>(work: Arc<W>, lanes: Arc<Lanes<W::Item>>, lane: usize) {
    let mut since_yield = 0;
    loop {
        let Some(entry) = lanes.pop(lane) else {
            lanes.filled(lane).await;
            continue;
        };
        // Of a partition that is gone: it is delivered again.
        if entry.generation.is_over() {
            continue;
        }
        if work.in_batches() {
            batch(&*work, &lanes, lane, entry).await;
        } else {
            let Entry { generation, sequence, item, _place } = entry;
            let job = Job { generation, sequences: Sequences::One(sequence) };
            handle(&*work, Items::One(item), &job).await;
        }
        since_yield += 1;
        if since_yield == YIELD_AFTER {
            since_yield = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Handles a batch: the records of one partition that follow one another in the lane.
async fn batch<W: Work>(work: &W, lanes: &Lanes<W::Item>, lane: usize, first: Entry<W::Item>) {
    let generation = Arc::clone(&first.generation);
    let settings = &generation.engine().settings;
    let deadline = Instant::now().checked_add(settings.batch_wait);
    let (mut items, mut sequences, mut places) = (vec![first.item], vec![first.sequence], vec![first._place]);
    while items.len() < settings.batch_max && !generation.is_over() {
        match lanes.pop_same(lane, &generation) {
            Next::Same(entry) => {
                items.push(entry.item);
                sequences.push(entry.sequence);
                places.push(entry._place);
            }
            Next::Other => break,
            Next::None => {
                let over = async {
                    match deadline {
                        Some(deadline) => tokio::time::sleep_until(deadline).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    () = lanes.filled(lane) => {}
                    () = generation.over() => break,
                    () = over => break,
                }
            }
        }
    }
    let job = Job { generation, sequences: Sequences::Many(sequences) };
    handle(work, Items::Batch(items), &job).await;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// kafka.md K-3: equal keys of a partition never go through two lanes, nor do its records without a key.
        #[test]
        fn lane_is_a_function_of_partition_and_key(
            count in 1..200usize,
            partition in any::<i32>(),
            key in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
        ) {
            let lanes: Lanes<()> = Lanes::new(count);
            let lane = lanes.index("orders", partition, key.as_deref());
            prop_assert!(lane < count);
            prop_assert_eq!(lane, lanes.index("orders", partition, key.clone().as_deref()));
        }
    }

    #[test]
    fn lanes_are_all_used() {
        let lanes: Lanes<()> = Lanes::new(16);
        let used: std::collections::HashSet<_> =
            (0..1000u32).map(|key| lanes.index("orders", 0, Some(&key.to_be_bytes()))).collect();
        assert_eq!(used.len(), 16);
    }
}
