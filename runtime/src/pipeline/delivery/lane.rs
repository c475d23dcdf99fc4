//! The lane of one exporter: its place in the queue, shared between the collector and the exporter's worker.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::condition::Notice;
use super::place::{Batch, Fate, Intake, Room, Share, State, Step};
use crate::pipeline::report::{ExporterHealth, ExporterReport};
use crate::pipeline::spans::Spans;

pub(super) type NoticeSink = Arc<dyn Fn(&Notice) + Send + Sync>;

pub(super) struct Lane {
    name: String,
    component_type: &'static str,
    share: Share,
    notices: NoticeSink,
    state: Mutex<State>,
    progress: Condvar,
    /// There may be something new to do.
    work: Notify,
    /// A flush has begun: do not sit out a back-off.
    urgent: Notify,
    /// Leave everything.
    abandon: Notify,
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Lane {
    pub(super) fn new(name: &str, component_type: &'static str, share: Share, notices: NoticeSink) -> Self {
        Self {
            name: name.to_owned(),
            component_type,
            share,
            notices,
            state: Mutex::new(State::new(name)),
            progress: Condvar::new(),
            work: Notify::new(),
            urgent: Notify::new(),
            abandon: Notify::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn work(&self) {
        self.work.notified().await;
    }

    pub(super) async fn urgent(&self) {
        self.urgent.notified().await;
    }

    pub(super) async fn abandoned(&self) {
        self.abandon.notified().await;
    }
}

/// The side of the collector, and of flush and shutdown. Only the `wait_` functions wait for the worker.
impl Lane {
    /// Takes a batch. When the lane's share is full its oldest waiting batches give way.
    pub(super) fn offer(&self, spans: Spans, bytes: usize) {
        let count = spans.count();
        if count == 0 {
            return;
        }
        let mut notice = None;
        let mut state = self.lock();
        state.collected += count as u64;
        if state.intake > Intake::Open {
            state.dropped.already_shutdown += count as u64;
        } else if state.condition.is_off() {
            state.dropped.export_failed += count as u64;
        } else {
            let evicted = state.make_room(count, bytes, self.share);
            state.last_seq += 1;
            let fits = state.fits(count, bytes, self.share);
            if fits {
                let seq = state.last_seq;
                state.waiting_spans += count;
                state.waiting_bytes += bytes;
                state.waiting.push_back(Batch { seq, spans, bytes, from: 0 });
            }
            let lost = evicted + if fits { 0 } else { count };
            if lost > 0 {
                state.dropped.queue_full += lost as u64;
                notice = state.condition.overflowed(Instant::now(), lost);
            }
        }
        drop(state);
        self.work.notify_one();
        // An evicted batch may have been what a flush waits for.
        self.progress.notify_all();
        self.tell(notice);
    }

    /// Whether a batch would be taken without another giving way, now or soon.
    pub(super) fn room(&self, count: usize, bytes: usize) -> Room {
        self.lock().room(count, bytes, self.share)
    }

    /// Waits until there is room, or none is to be expected; false when the time is over.
    pub(super) fn wait_for_room(&self, count: usize, bytes: usize, deadline: std::time::Instant) -> bool {
        self.wait(deadline, |state| state.room(count, bytes, self.share) != Room::Soon)
    }

    /// Asks that everything offered so far be delivered, and the exporter flushed; the number to wait for.
    pub(super) fn ask_flush(&self) -> u64 {
        let mut state = self.lock();
        state.flush_asked += 1;
        state.flush_target = state.last_seq;
        let epoch = state.flush_asked;
        drop(state);
        self.urgent.notify_one();
        self.work.notify_one();
        epoch
    }

    /// Refuses new spans and asks the worker to end when it has delivered what waits.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.intake = state.intake.max(Intake::Closing);
        drop(state);
        self.work.notify_one();
    }

    /// Tells the worker to leave what it has not delivered.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.intake = state.intake.max(Intake::Abandoned);
        drop(state);
        self.abandon.notify_one();
        self.work.notify_one();
    }

    /// Waits until the flush of this number is done or given up; whether that happened before the deadline.
    pub(super) fn wait_flushed(&self, epoch: u64, deadline: std::time::Instant) -> bool {
        self.wait(deadline, |state| state.flush_done >= epoch || state.intake >= Intake::Abandoned)
    }

    /// Waits until the worker has ended; whether that happened before the deadline.
    pub(super) fn wait_stopped(&self, deadline: std::time::Instant) -> bool {
        self.wait(deadline, |state| state.intake >= Intake::Abandoned)
            && self.lock().intake == Intake::Stopped
    }

    pub(super) fn report(&self) -> ExporterReport {
        let state = self.lock();
        ExporterReport {
            name: self.name.clone(),
            exported: state.exported,
            dropped: state.dropped,
            undelivered: (state.waiting_spans + state.in_flight_spans()) as u64,
            last_error: state.last_error.clone(),
        }
    }

    pub(super) fn health(&self) -> ExporterHealth {
        let state = self.lock();
        ExporterHealth {
            name: self.name.clone(),
            component_type: self.component_type,
            state: state.condition.health(),
            last_error: state.last_error.clone(),
            last_success: state.last_success,
            waiting: state.waiting_spans as u64,
            in_flight: state.in_flight_spans() as u64,
            exported: state.exported,
            dropped: state.dropped,
        }
    }
}

/// The worker's side.
impl Lane {
    /// Decides the worker's next step. A batch that it hands out is in flight from here on.
    pub(super) fn next_step(&self) -> Step {
        self.lock().next_step(Instant::now())
    }

    /// Counts the next `count` spans of the batch in flight.
    pub(super) fn settle(&self, count: usize, fate: Fate) {
        let mut state = self.lock();
        let count = count.min(state.in_flight_spans());
        if let Some(flight) = &mut state.in_flight {
            flight.left -= count;
        }
        state.count(count, fate);
    }

    /// The batch in flight has been settled in all its parts.
    pub(super) fn batch_arrived(&self) {
        let mut state = self.lock();
        state.in_flight = None;
        state.last_success = Some(SystemTime::now());
        let notice = state.condition.batch_arrived(Instant::now());
        self.finish(state, notice);
    }

    /// Some spans of a batch that arrived otherwise were refused.
    pub(super) fn refused(&self, count: usize, why: &str) {
        let mut state = self.lock();
        state.last_error = Some(why.to_owned());
        let notice = state.condition.refused(Instant::now(), count, why);
        self.finish(state, notice);
    }

    /// The rest of the batch in flight, and maybe parts settled before, are lost.
    pub(super) fn batch_lost(&self, failed_before: usize, fate: Fate, why: &str) {
        let mut state = self.lock();
        let rest = state.in_flight.take().map_or(0, |flight| flight.left);
        state.count(rest, fate);
        state.last_error = Some(why.to_owned());
        let notice = state.condition.batch_lost(Instant::now(), rest + failed_before, why);
        self.finish(state, notice);
    }

    /// The rest of the batch in flight goes back to the head of the queue: the breaker stays open.
    pub(super) fn probe_failed(&self, mut batch: Batch, why: &str) {
        let mut state = self.lock();
        if let Some(flight) = state.in_flight.take() {
            batch.from = batch.spans.count() - flight.left;
            state.waiting_spans += batch.left();
            state.waiting_bytes += batch.bytes;
            state.waiting.push_front(batch);
        }
        state.last_error = Some(why.to_owned());
        state.condition.probe_failed(Instant::now());
        self.finish(state, None);
    }

    /// An attempt failed that will be made again, after `in_a_row - 1` others.
    pub(super) fn attempt_failed(&self, in_a_row: u32, why: &str) {
        let mut state = self.lock();
        state.last_error = Some(why.to_owned());
        let notice = state.condition.attempt_failed(Instant::now(), in_a_row, why);
        self.finish(state, notice);
    }

    /// The receiver asked for a pause; it holds for the batches after this one, too.
    pub(super) fn hold_until(&self, until: Instant) {
        self.lock().not_before = Some(until);
    }

    pub(super) fn flushed(&self) {
        let mut state = self.lock();
        state.flush_ended();
        self.finish(state, None);
    }

    pub(super) fn stopped(&self) {
        let mut state = self.lock();
        state.stop();
        self.finish(state, None);
    }

    /// Counts everything that waits, now and later, as failed.
    pub(super) fn turned_off(&self, why: &str) {
        let mut state = self.lock();
        let rest = state.in_flight.take().map_or(0, |flight| flight.left);
        let count = rest + state.waiting_spans;
        state.waiting.clear();
        state.waiting_spans = 0;
        state.waiting_bytes = 0;
        state.count(count, Fate::Failed);
        state.last_error = Some(why.to_owned());
        let notice = state.condition.turned_off(why);
        self.finish(state, notice);
    }

    /// The worker cannot run at all: nobody is left to answer a flush.
    pub(super) fn no_worker(&self, why: &str) {
        self.turned_off(why);
        self.stopped();
    }

    /// The exporter panicked: in an export that costs the batch; whether the worker goes on.
    pub(super) fn panicked(&self, message: &str) -> bool {
        let why = format!("it panicked: {message}");
        let mut state = self.lock();
        let rest = state.in_flight.take().map_or(0, |flight| flight.left);
        state.count(rest, Fate::Panicked);
        state.flush_ended();
        let goes_on = !state.stopping;
        if state.stopping {
            state.stop();
        }
        let notice = state.condition.batch_lost(Instant::now(), rest, &why);
        state.last_error = Some(why);
        self.finish(state, notice);
        goes_on
    }

    fn finish(&self, state: MutexGuard<'_, State>, notice: Option<Notice>) {
        drop(state);
        self.progress.notify_all();
        self.tell(notice);
    }

    /// Outside the lock: a log line may end in code of the user's.
    fn tell(&self, notice: Option<Notice>) {
        if let Some(notice) = notice {
            (self.notices)(&notice);
        }
    }

    fn wait(&self, deadline: std::time::Instant, done: impl Fn(&State) -> bool) -> bool {
        let mut state = self.lock();
        while !done(&state) {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.progress.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under this lock, and every change is complete before it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Lane {
    /// Both sides of the conservation law.
    pub(super) fn law(&self) -> (u64, u64) {
        let state = self.lock();
        (state.collected, state.accounted())
    }
}
