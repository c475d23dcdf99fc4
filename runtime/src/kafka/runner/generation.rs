//! One acquisition of a partition: its queue, its tracker, its handlers, and how it ends.

mod looks;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::counters::Count;
use super::engine::Engine;
use super::metrics;
use super::pause::Pause;
use super::rebalance::RunnerContext;
use super::tracker::{Finished, Sequence, Tracker};

/// How long the poll thread sleeps between two looks at a lock that user code holds.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A partition from its assignment to its end (kafka.md K-5), or to where it goes back. The next assignment of the same
/// partition is another one.
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    engine: Arc<Engine>,
    progress: Mutex<Progress>,
    /// Told when the last handler of a generation that is ending is done.
    idle: Condvar,
    /// Told when all is done of a generation whose partition has gone back.
    all_done: Notify,
    /// Held while a message is taken, so that the poll thread knows when nobody does.
    queue: Mutex<Option<PartitionQueue<RunnerContext>>>,
    /// `progress.state` is not `Open`; for looks without the lock.
    over: AtomicBool,
    told_over: Notify,
    /// Told when the queue has messages, and when the generation is over. It goes with the queue.
    pub(super) wake: Arc<Notify>,
    halted: OnceLock<String>,
    /// Lanes that wait for a retry or the dead-letter topic.
    blocked: AtomicUsize,
    /// Whether the task of the partition waits until there is room in the lanes.
    pub(super) waits_for_room: AtomicBool,
    /// What the broker has committed for us; -1 before the first time.
    pub(super) committed: AtomicI64,
    /// The highest that it has of the generations before this one whose partition went back; -1: there are none.
    pub(super) committed_before: i64,
    /// End of the partition by the statistics, and where the group was then if nothing is finished yet; -1: unknown.
    pub(super) end_offset: AtomicI64,
    pub(super) start_offset: AtomicI64,
    task: Arc<OnceLock<AbortHandle>>,
    pause: Mutex<Pause>,
}

#[derive(Debug, Default)]
struct Progress {
    state: State,
    tracker: Tracker,
    /// Jobs whose handler runs.
    running: usize,
    /// Records finished since the last commit.
    uncommitted: u32,
    /// The partition went back to this offset: nothing more is taken, and nothing from here on committed.
    went_back: Option<i64>,
}

impl Progress {
    fn is_all_done(&self) -> bool {
        self.running == 0 && self.tracker.unfinished() == 0
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Nothing new starts, results still count.
    Ending,
    /// Results come too late.
    Closed,
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// What there was in the queue.
pub(super) enum Pulled<T> {
    Item(T),
    Empty,
    Error(rdkafka::error::KafkaError),
}

/// What became of a record that came out of the queue.
pub(super) enum Taken {
    As(Sequence),
    /// It is not above those that were taken before.
    WentBack,
    /// The generation is over: the record is delivered again.
    TooLate,
}

/// What is committed of a generation, by the one function that says so.
pub(super) struct Committable {
    pub(super) next: i64,
    pub(super) records: u32,
}

impl Generation {
    pub(super) fn new(number: u64, topic: Arc<str>, partition: i32, engine: Arc<Engine>) -> Self {
        Generation {
            number,
            topic,
            partition,
            engine,
            progress: Mutex::default(),
            idle: Condvar::new(),
            all_done: Notify::new(),
            queue: Mutex::new(None),
            over: AtomicBool::new(false),
            told_over: Notify::new(),
            wake: Arc::default(),
            halted: OnceLock::new(),
            blocked: AtomicUsize::new(0),
            waits_for_room: AtomicBool::new(false),
            committed: AtomicI64::new(-1),
            committed_before: -1,
            end_offset: AtomicI64::new(-1),
            start_offset: AtomicI64::new(-1),
            task: Arc::default(),
            pause: Mutex::default(),
        }
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Nothing under this lock calls user code; a poisoned one is as good as any.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The task of the partition.

    pub(super) fn set_queue(&self, queue: PartitionQueue<RunnerContext>) {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = Some(queue);
    }

    pub(super) fn set_task(&self, task: AbortHandle) {
        // Set once, by whoever spawned it.
        let _ = self.task.set(task);
    }

    /// Takes a message out of the queue. The queue is shared with the generations before and after this one, so a
    /// generation that is over does not touch it.
    pub(super) fn pull<T>(
        &self,
        take: impl FnOnce(&rdkafka::message::BorrowedMessage<'_>) -> T,
    ) -> Pulled<T> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_over() || self.engine.is_held() {
            return Pulled::Empty;
        }
        match queue.as_ref().and_then(|queue| queue.poll(Duration::ZERO)) {
            Some(Ok(message)) => Pulled::Item(take(&message)),
            Some(Err(error)) => Pulled::Error(error),
            None => Pulled::Empty,
        }
    }

    /// Notes that a record was taken, unless the partition has gone back to it: what was taken is finished then, and the
    /// record is the first of the next generation.
    pub(super) fn take(&self, offset: i64) -> Taken {
        let mut progress = self.progress();
        if progress.state != State::Open {
            return Taken::TooLate;
        }
        match progress.tracker.take(offset, self.engine.now_ms()) {
            Some(sequence) => Taken::As(sequence),
            None => {
                progress.went_back = Some(offset);
                Taken::WentBack
            }
        }
    }

    /// Notes that a handler starts, unless nothing may start any more.
    pub(super) fn start(self: &Arc<Self>) -> Option<Running> {
        let mut progress = self.progress();
        (progress.state == State::Open).then(|| {
            progress.running += 1;
            drop(progress);
            Running { generation: Some(Arc::clone(self)) }
        })
    }

    /// Notes that records are finished. Answers how many records wait for their commit, or `None` if it is too late.
    pub(super) fn finish(&self, sequences: &[Sequence]) -> Option<u32> {
        let mut progress = self.progress();
        if progress.state == State::Closed {
            drop(progress);
            self.engine.counters.add(Count::LateResult, sequences.len() as u64);
            metrics::counted(Count::LateResult, sequences.len() as u64, &self.topic, &self.engine);
            return None;
        }
        for sequence in sequences {
            if progress.tracker.finish(*sequence) != Finished::Unknown {
                progress.uncommitted = progress.uncommitted.saturating_add(1);
            }
        }
        self.tell_all_done(&progress);
        Some(progress.uncommitted)
    }

    /// [`finish`](Self::finish) before the handler is done.
    pub(super) fn acknowledge(&self, sequences: &[Sequence]) -> bool {
        self.finish(sequences).inspect(|uncommitted| self.engine.finished(*uncommitted)).is_some()
    }

    fn tell_all_done(&self, progress: &Progress) {
        if progress.went_back.is_some() && progress.is_all_done() {
            self.all_done.notify_waiters();
        }
    }

    /// Waits until all that was taken is finished and no handler runs; false if the generation is over first.
    pub(super) async fn all_done(&self) -> bool {
        let told = self.all_done.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        if !self.progress().is_all_done() {
            tokio::select! {
                () = told => {}
                () = self.over() => {}
            }
        }
        !self.is_over()
    }

    // The end.

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Waits until the generation is over.
    pub(super) async fn over(&self) {
        let told = self.told_over.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        if !self.is_over() {
            told.await;
        }
    }

    /// Nothing new starts, waits are cut; handlers that run may finish.
    pub(super) fn end(&self) {
        let mut progress = self.progress();
        if progress.state == State::Open {
            progress.state = State::Ending;
        }
        drop(progress);
        self.tell_over();
    }

    fn tell_over(&self) {
        self.over.store(true, Ordering::Release);
        self.told_over.notify_waiters();
        self.wake.notify_one();
    }

    /// Results no longer count.
    pub(super) fn close(&self) {
        self.progress().state = State::Closed;
        self.tell_over();
    }

    /// Waits until no handler runs and nobody takes a message; by std primitives, because it runs in a rebalance. False
    /// if `until` or the runner's own deadline came first.
    pub(super) fn wait_idle(&self, until: impl Fn() -> Instant) -> bool {
        let mut progress = self.progress();
        while progress.running > 0 {
            let left = until().saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            // The deadline may come nearer meanwhile.
            let step = left.min(Duration::from_millis(50));
            progress = self.idle.wait_timeout(progress, step).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(progress);
        loop {
            match self.queue.try_lock() {
                Ok(_) | Err(TryLockError::Poisoned(_)) => return true,
                Err(TryLockError::WouldBlock) if Instant::now() < until() => std::thread::sleep(LOOK_AGAIN),
                Err(TryLockError::WouldBlock) => return false,
            }
        }
    }

    /// What the next generation of a partition that went back has from this one, which ends.
    pub(super) fn hand_over(&self, next: &mut Generation) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        next.queue = Mutex::new(queue.take());
        drop(queue);
        next.wake = Arc::clone(&self.wake);
        next.task = Arc::clone(&self.task);
        next.pause = Mutex::new(*self.pause.lock().unwrap_or_else(PoisonError::into_inner));
        let committed = self.committed.load(Ordering::Relaxed).max(self.committed_before);
        next.committed_before = committed;
        for (to, from) in [(&next.end_offset, &self.end_offset), (&next.start_offset, &self.start_offset)] {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.close();
    }

    /// Takes the queue away, on the poll thread. False if user code holds it just now.
    pub(super) fn drop_queue(&self) -> bool {
        let taken = match self.queue.try_lock() {
            Ok(mut queue) => queue.take(),
            Err(TryLockError::Poisoned(queue)) => queue.into_inner().take(),
            Err(TryLockError::WouldBlock) => return false,
        };
        drop(taken);
        true
    }

    /// Drops the task with the handlers it runs, at their next await.
    pub(super) fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.progress().running == 0
    }

    // Commits.

    /// What may be committed and is not yet.
    pub(super) fn committable(&self) -> Option<Committable> {
        let mut progress = self.progress();
        if progress.state == State::Closed {
            return None;
        }
        let next = progress.tracker.watermark()?;
        // What comes from there on is another record.
        let next = progress.went_back.map_or(next, |offset| next.min(offset));
        (next != self.committed.load(Ordering::Relaxed))
            .then(|| Committable { next, records: std::mem::take(&mut progress.uncommitted) })
    }

    /// The commit of these failed; the next one counts them again.
    pub(super) fn not_committed(&self, records: u32) {
        let mut progress = self.progress();
        progress.uncommitted = progress.uncommitted.saturating_add(records);
    }

    /// Nothing starts any more until the partition is assigned again.
    pub(super) fn halt(&self, reason: String) {
        self.engine.lines.warn(format_args!(
            "partition {} of {} is halted: {}",
            self.partition,
            self.topic.escape_debug(),
            reason.escape_debug()
        ));
        let _ = self.halted.set(reason);
        self.end();
    }

    /// [`halt`](Self::halt), and what is finished is not committed either.
    pub(super) fn halt_uncommitted(&self, reason: String) {
        self.close();
        self.halt(reason);
    }

    pub(super) fn halted(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }
}

/// A handler that runs, until this is dropped. First its records are finished, so that a revoke that waits for it
/// commits them.
pub(super) struct Running {
    generation: Option<Arc<Generation>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(generation) = self.generation.take() else { return };
        let mut progress = generation.progress();
        progress.running = progress.running.saturating_sub(1);
        if progress.running == 0 && progress.state != State::Open {
            generation.idle.notify_all();
        }
        generation.tell_all_done(&progress);
    }
}
