//! What the threads and tasks of one runner share.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::beginning::Beginners;
use super::bound::Bound;
use super::commit::Request;
use super::constants::Constants;
use super::counters::{Count, Counters};
use super::error::{CommitError, RunError};
use super::errors;
use super::generation::Generation;
use super::health::State;
use super::lines::Lines;
use super::owned::Owned;
use super::settings::{Commit, Concurrency, EngineSettings};
use super::work::Job;

/// What the last commit gets when the runtime is gone.
const COMMIT_TIME: Duration = Duration::from_secs(5);

/// What the commit and the farewell to the group get after the drain, at most, and what the commit gets of a deadline that
/// is over.
pub(super) const LEAVE: Duration = Duration::from_secs(10);
pub(super) const LAST_COMMIT: Duration = Duration::from_millis(500);

/// The state of a runner.
pub(super) struct Engine {
    pub(super) settings: EngineSettings,
    pub(super) max_poll_interval: Duration,
    pub(super) is_kip_848: bool,
    constants: Constants,
    pub(super) runtime: Handle,
    pub(super) counters: Counters,
    pub(super) lines: Lines,
    /// Records in lanes, with `by_key` and with batches.
    pub(super) in_flight: Bound,
    /// Partitions whose handler runs.
    pub(super) gate: Bound,
    pub(super) owned: Owned,
    commits: mpsc::Sender<Request>,
    pub(super) beginners: Beginners,
    /// A commit was asked for and did not begin.
    commit_is_due: AtomicBool,
    begun: Instant,
    /// Engine time, as precise as the poll thread is often; an exact clock would cost 25 ns for each record.
    now_ms: AtomicU64,
    /// Partitions were assigned whose committed offsets could not be asked for.
    pub(super) assign_anew: AtomicBool,
    /// Statistics in a row that know of no connection to a broker.
    unconnected: AtomicU32,
    /// The client is to hear of the configured brokers once more.
    pub(super) needs_brokers: AtomicBool,
    pub(super) last_poll_ms: AtomicU64,
    stop: Mutex<Stop>,
    stopping: AtomicBool,
    /// Told when the runner is asked to end, or to end sooner.
    stop_told: Notify,
    pub(super) state: Mutex<State>,
    last_error: Mutex<Option<String>>,
    held: AtomicBool,
    held_until: Mutex<Option<Instant>>,
    /// Engine time of the first of the commits that fail now; `u64::MAX`: the last one succeeded.
    commits_fail_since: AtomicU64,
}

/// When and why the runner ends.
#[derive(Debug, Default)]
struct Stop {
    deadline: Option<Instant>,
    failure: Option<RunError>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("constants", &self.constants).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No user code runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    pub(super) fn new(
        settings: EngineSettings,
        config: &ClientConfig,
        runtime: Handle,
        commits: mpsc::Sender<Request>,
        lines: Lines,
    ) -> Self {
        let at_once = match settings.concurrency {
            Concurrency::PerPartition(partitions) => partitions,
            Concurrency::ByKey(_) => usize::MAX,
            Concurrency::Sequential => 1,
        };
        Engine {
            max_poll_interval: super::settings::max_poll_interval(config),
            is_kip_848: super::settings::is_kip_848(config),
            constants: Constants::of(config),
            runtime,
            counters: Counters::default(),
            lines,
            in_flight: Bound::new(settings.max_in_flight),
            gate: Bound::new(at_once),
            owned: Owned::default(),
            commits,
            beginners: Beginners::default(),
            commit_is_due: AtomicBool::new(false),
            begun: Instant::now(),
            now_ms: AtomicU64::new(0),
            assign_anew: AtomicBool::new(false),
            unconnected: AtomicU32::new(0),
            needs_brokers: AtomicBool::new(false),
            last_poll_ms: AtomicU64::new(0),
            stop: Mutex::default(),
            stopping: AtomicBool::new(false),
            stop_told: Notify::new(),
            state: Mutex::new(State::Starting),
            last_error: Mutex::default(),
            held: AtomicBool::new(false),
            held_until: Mutex::default(),
            commits_fail_since: AtomicU64::new(u64::MAX),
            settings,
        }
    }

    pub(super) fn constants(&self) -> &Constants {
        &self.constants
    }

    pub(super) fn has_key_lanes(&self) -> bool {
        matches!(self.settings.concurrency, Concurrency::ByKey(_))
    }

    // Time.

    pub(super) fn tick(&self) -> u64 {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.now_ms.store(now, Ordering::Relaxed);
        now
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    pub(super) fn age(&self, since_ms: u64) -> Duration {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(now.saturating_sub(since_ms))
    }

    // Counts.

    pub(super) fn count(&self, what: Count, job: &Job) {
        self.counters.add(what, 1);
        super::metrics::counted(what, 1, job.topic(), self);
    }

    // Commits.

    /// Records were finished, and `uncommitted` of their partition are not committed.
    pub(super) fn finished(&self, uncommitted: u32) {
        if let Commit::Tracked { count, .. } = self.settings.commit
            && uncommitted >= count
            && !self.commit_is_due.load(Ordering::Relaxed)
            && !self.commit_is_due.swap(true, Ordering::Relaxed)
        {
            // The thread is there as long as the poll thread is.
            let _ = self.commits.send(Request::Due);
        }
    }

    pub(super) fn commit_begins(&self) {
        self.commit_is_due.store(false, Ordering::Relaxed);
    }

    /// Commits what is finished, on behalf of the span of `process`, and waits for the broker's answer.
    pub(super) async fn commit_now(&self, process: Option<Context>) -> Result<(), CommitError> {
        let (reply, answer) = oneshot::channel();
        self.commits
            .send(Request::Now(Box::new(|result| drop(reply.send(result))), process))
            .map_err(|_| CommitError::Ended)?;
        answer.await.unwrap_or(Err(CommitError::Ended))
    }

    /// [`commit_now`](Self::commit_now) for the poll thread, which waits up to `until`. `None` if that came first. After
    /// the last one there is no other: it would hold the client that closes.
    pub(super) fn commit_until(&self, until: Instant, is_last: bool) -> Option<Result<(), CommitError>> {
        let (reply, answer) = mpsc::sync_channel(1);
        if self
            .commits
            .send(Request::Now(Box::new(move |result| drop(reply.try_send(result))), None))
            .is_err()
        {
            return Some(Err(CommitError::Ended));
        }
        if is_last {
            self.end_commits();
        }
        answer.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    }

    /// The tasks of these start as soon as their queues have nothing of before their assignment.
    pub(super) fn begin_again(&self, generations: Vec<Arc<Generation>>) {
        self.beginners.add(generations);
        let _ = self.commits.send(Request::Begin);
    }

    pub(super) fn end_commits(&self) {
        let _ = self.commits.send(Request::End);
    }

    pub(super) fn commit_ended(&self, failed: bool) {
        if failed {
            let _ = self.commits_fail_since.compare_exchange(
                u64::MAX,
                self.now_ms(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        } else {
            self.commits_fail_since.store(u64::MAX, Ordering::Relaxed);
        }
    }

    /// How long commits have been failing.
    pub(super) fn commits_fail_for(&self) -> Option<Duration> {
        let since = self.commits_fail_since.load(Ordering::Relaxed);
        (since != u64::MAX).then(|| self.age(since))
    }

    // The end.

    /// Asks the runner to end by `deadline`; a nearer one replaces a later one, the first failure stays.
    pub(super) fn stop(&self, deadline: Instant, failure: Option<RunError>) {
        let mut stop = locked(&self.stop);
        stop.deadline = Some(stop.deadline.map_or(deadline, |earlier| earlier.min(deadline)));
        if stop.failure.is_none() {
            stop.failure = failure;
        }
        drop(stop);
        self.stopping.store(true, Ordering::Release);
        for generation in self.owned.all() {
            generation.end();
        }
        self.stop_told.notify_waiters();
    }

    /// Waits until the runner has to have ended.
    pub(super) async fn deadline_passes(&self) {
        loop {
            let told = self.stop_told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            tokio::select! {
                () = told => {}
                () = tokio::time::sleep_until(self.deadline().into()) => return,
            }
        }
    }

    /// Asks the runner to end in its own time: `drain`, and what it takes to leave.
    pub(super) fn stop_by_itself(&self, failure: Option<RunError>) {
        self.stop(crate::deadline::after(self.settings.drain.saturating_add(LEAVE)), failure);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// When the runner has to have ended; in the far future as long as nobody asked.
    pub(super) fn deadline(&self) -> Instant {
        locked(&self.stop).deadline.unwrap_or_else(|| crate::deadline::after(Duration::MAX))
    }

    pub(super) fn failure(&self) -> Option<RunError> {
        locked(&self.stop).failure.clone()
    }

    /// `drain`, from now.
    pub(super) fn drain_deadline(&self) -> Instant {
        crate::deadline::after(self.settings.drain)
    }

    // Health.

    pub(super) fn set_state(&self, state: State) {
        let mut current = locked(&self.state);
        let may_follow = match *current {
            State::Stopped | State::Failed => false,
            State::Draining => matches!(state, State::Stopped | State::Failed),
            State::Starting | State::Joining | State::Running => true,
        };
        if may_follow {
            *current = state;
        }
    }

    pub(super) fn state(&self) -> State {
        *locked(&self.state)
    }

    /// For tests: nobody polls for so long, as if the process stood still.
    pub(super) fn hold(&self, for_how_long: Duration) {
        *locked(&self.held_until) = Some(crate::deadline::after(for_how_long));
        self.held.store(true, Ordering::Release);
    }

    pub(super) fn is_held(&self) -> bool {
        if !self.held.load(Ordering::Relaxed) {
            return false;
        }
        let held = locked(&self.held_until).is_some_and(|until| Instant::now() < until);
        self.held.store(held, Ordering::Relaxed);
        held
    }

    pub(super) fn set_last_error(&self, error: String) {
        *locked(&self.last_error) = Some(error);
    }

    pub(super) fn last_error(&self) -> Option<String> {
        locked(&self.last_error).clone()
    }

    /// Notes whether the client is connected. Where it is not, it needs its brokers ever more seldom, because it keeps each
    /// list that it is given.
    pub(super) fn connected(&self, is_connected: bool) {
        if is_connected {
            self.unconnected.store(0, Ordering::Relaxed);
        } else if self.unconnected.fetch_add(1, Ordering::Relaxed).wrapping_add(1).is_power_of_two() {
            self.needs_brokers.store(true, Ordering::Relaxed);
        }
    }

    /// An error of the client: ends the runner if it is final, else is what health tells.
    pub(super) fn client_error(&self, error: KafkaError, reason: &str) {
        if errors::is_final(&error) {
            self.stop_by_itself(Some(RunError::Fatal(error)));
        } else if reason.is_empty() {
            self.set_last_error(error.to_string());
        } else {
            self.set_last_error(format!("{error}: {reason}"));
        }
    }

    /// An error that came with the records of a partition.
    pub(super) fn partition_error(&self, generation: &Generation, error: KafkaError) {
        if matches!(error, KafkaError::PartitionEOF(_)) {
            return;
        }
        if errors::is_reset(&error) {
            let partition = generation.partition;
            self.offset_reset(&generation.topic, format_args!("partition {partition}: {error}"));
        }
        self.client_error(error, "");
    }

    /// A partition does not go on where it was committed: what lies between was deleted, or never existed.
    pub(super) fn offset_reset(&self, topic: &str, what: impl fmt::Display) {
        self.counters.add(Count::OffsetReset, 1);
        super::metrics::counted(Count::OffsetReset, 1, topic, self);
        self.lines.warn(format_args!("topic {}: {what}", topic.escape_debug()));
    }

    /// A task was dropped that had not ended, which only the end of its runtime does.
    pub(super) fn runtime_gone(&self) {
        self.stop(Instant::now() + COMMIT_TIME, Some(RunError::RuntimeGone));
    }
}
