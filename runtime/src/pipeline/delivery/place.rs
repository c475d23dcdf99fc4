//! One exporter's place in the queue as plain data, and what its worker does next.

use std::collections::VecDeque;
use std::time::SystemTime;

use tokio::time::Instant;

use super::condition::Condition;
use crate::pipeline::report::ExporterDropped;
use crate::pipeline::spans::Spans;

/// A batch, shared by all lanes, of which this lane still has to deliver the spans from `from` on.
pub(super) struct Batch {
    pub(super) seq: u64,
    pub(super) spans: Spans,
    pub(super) bytes: usize,
    pub(super) from: usize,
}

impl Batch {
    /// Spans that are still to be delivered.
    pub(super) fn left(&self) -> usize {
        self.spans.count() - self.from
    }
}

/// What is known of the batch that the worker has.
pub(super) struct Flight {
    /// Spans whose fate is not known.
    pub(super) left: usize,
    pub(super) bytes: usize,
}

/// What the worker of a lane does next.
pub(super) enum Step {
    /// Deliver this batch. A probe gets one attempt, and goes back to the queue when that fails.
    Export {
        batch: Batch,
        probe: bool,
    },
    Flush,
    Stop,
    /// Nothing to do before this time, or before the lane's `work` tells.
    Wait(Option<Instant>),
}

/// What became of a part of the batch in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Exported,
    Failed,
    Rejected,
    Panicked,
}

/// The most that may wait for one exporter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) bytes: usize,
    pub(super) spans: usize,
}

/// Whether a lane can take a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Now,
    /// Full, and the exporter is at work, or about to be.
    Soon,
    /// Full, and nothing moves: the breaker is open, the receiver asked for a pause, or it is turned off.
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Intake {
    Open,
    /// Closed to new spans; what waits is still delivered.
    Closing,
    /// The worker is done, or was told to leave everything at the deadline.
    Abandoned,
    Stopped,
}

/// What waits, what is in flight, what has been asked, and the counters.
pub(super) struct State {
    pub(super) intake: Intake,
    pub(super) waiting: VecDeque<Batch>,
    pub(super) waiting_spans: usize,
    pub(super) waiting_bytes: usize,
    pub(super) in_flight: Option<Flight>,
    pub(super) last_seq: u64,
    pub(super) flush_asked: u64,
    pub(super) flush_target: u64,
    pub(super) flush_done: u64,
    /// The flush for which a probe of an open breaker has been made.
    pub(super) flush_probed: u64,
    /// The flush that the exporter is at.
    pub(super) flushing: Option<u64>,
    pub(super) stopping: bool,
    pub(super) not_before: Option<Instant>,
    pub(super) collected: u64,
    pub(super) exported: u64,
    pub(super) dropped: ExporterDropped,
    pub(super) condition: Condition,
    pub(super) last_error: Option<String>,
    pub(super) last_success: Option<SystemTime>,
}

impl State {
    pub(super) fn new(name: &str) -> Self {
        Self {
            intake: Intake::Open,
            waiting: VecDeque::new(),
            waiting_spans: 0,
            waiting_bytes: 0,
            in_flight: None,
            last_seq: 0,
            flush_asked: 0,
            flush_target: 0,
            flush_done: 0,
            flush_probed: 0,
            flushing: None,
            stopping: false,
            not_before: None,
            collected: 0,
            exported: 0,
            dropped: ExporterDropped::default(),
            condition: Condition::new(name, Instant::now()),
            last_error: None,
            last_success: None,
        }
    }

    pub(super) fn room(&self, count: usize, bytes: usize, share: Share) -> Room {
        let refuses = self.intake > Intake::Open || self.condition.is_off();
        if refuses {
            Room::No
        } else if self.fits(count, bytes, share) {
            Room::Now
        } else if self.condition.probe_at().is_none() && self.not_before.is_none() {
            Room::Soon
        } else {
            Room::No
        }
    }

    /// Decides the worker's next step. A batch that it hands out is in flight from here on.
    pub(super) fn next_step(&mut self, now: Instant) -> Step {
        if self.intake >= Intake::Abandoned {
            self.stopping = true;
            return Step::Stop;
        }
        let flush_waits = self.flush_asked > self.flush_done;
        let flush_target = self.flush_target;
        if flush_waits && self.waiting.front().is_none_or(|batch| batch.seq > flush_target) {
            self.flushing = Some(self.flush_asked);
            return Step::Flush;
        }
        if self.waiting.is_empty() {
            if self.intake == Intake::Closing {
                self.stopping = true;
                return Step::Stop;
            }
            return Step::Wait(None);
        }
        if let Some(until) = self.not_before.filter(|until| *until > now) {
            return Step::Wait(Some(until));
        }
        let probe_at = self.condition.probe_at();
        if let Some(at) = probe_at.filter(|at| *at > now) {
            // Who flushes wants to know now: one probe for each flush, then it is told that nothing arrives.
            if !flush_waits || self.flush_probed >= self.flush_asked {
                if flush_waits {
                    self.flushing = Some(self.flush_asked);
                    return Step::Flush;
                }
                if self.intake == Intake::Closing {
                    self.stopping = true;
                    return Step::Stop;
                }
                return Step::Wait(Some(at));
            }
        }
        self.flush_probed = self.flush_asked;
        let Some(batch) = self.waiting.pop_front() else { return Step::Wait(None) };
        self.waiting_spans -= batch.left();
        self.waiting_bytes -= batch.bytes;
        self.in_flight = Some(Flight { left: batch.left(), bytes: batch.bytes });
        Step::Export { batch, probe: probe_at.is_some() }
    }

    pub(super) fn in_flight_spans(&self) -> usize {
        self.in_flight.as_ref().map_or(0, |flight| flight.left)
    }

    pub(super) fn fits(&self, spans: usize, bytes: usize, share: Share) -> bool {
        let (flying_spans, flying_bytes) =
            self.in_flight.as_ref().map_or((0, 0), |flight| (flight.left, flight.bytes));
        let empty = self.waiting.is_empty() && self.in_flight.is_none();
        // A batch larger than the whole share could otherwise never leave, however idle the exporter.
        empty
            || (self.waiting_bytes + flying_bytes + bytes <= share.bytes
                && self.waiting_spans + flying_spans + spans <= share.spans)
    }

    /// Drops the oldest waiting batches until the new one fits; the number of spans lost.
    pub(super) fn make_room(&mut self, spans: usize, bytes: usize, share: Share) -> usize {
        let mut lost = 0;
        while !self.fits(spans, bytes, share) {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.waiting_spans -= oldest.left();
            self.waiting_bytes -= oldest.bytes;
            lost += oldest.left();
        }
        lost
    }

    pub(super) fn count(&mut self, spans: usize, fate: Fate) {
        let counter = match fate {
            Fate::Exported => &mut self.exported,
            Fate::Failed => &mut self.dropped.export_failed,
            Fate::Rejected => &mut self.dropped.rejected,
            Fate::Panicked => &mut self.dropped.panic,
        };
        *counter += spans as u64;
    }

    pub(super) fn flush_ended(&mut self) {
        if let Some(epoch) = self.flushing.take() {
            self.flush_done = epoch;
        }
    }

    /// What was not delivered stays counted, as undelivered, and gives its memory back.
    pub(super) fn stop(&mut self) {
        self.intake = Intake::Stopped;
        self.waiting_spans += self.in_flight_spans();
        self.in_flight = None;
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    #[cfg(test)]
    pub(super) fn accounted(&self) -> u64 {
        self.exported + self.dropped.total() + (self.waiting_spans + self.in_flight_spans()) as u64
    }
}
