//! From the collector to the exporters: a batch is built once and shared; each exporter has its own place in the
//! queue, its own retry, circuit breaker and counters, and none can hold up another.
//!
//! For each exporter `collected = exported + dropped + waiting + in flight` holds at any moment.

mod attempt;
mod backoff;
mod condition;
mod lane;
mod place;
#[cfg(test)]
mod tests;
mod unwind;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;

pub(crate) use self::condition::Notice;
use self::lane::{Lane, NoticeSink};
use self::place::{Room, Share};
use self::worker::Post;
use super::exporter::BatchExporter;
use super::report::{ExporterHealth, ExporterReport};
use super::spans::Spans;
use crate::diagnostics;
use crate::span::fork;
use crate::testing::tap;

/// Limits of the delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeliverySettings {
    /// Memory that waiting batches may hold, all exporters together; each may use an equal share.
    pub(crate) queue_bytes: usize,
    /// The same as a number of spans; `None` for no such bound.
    pub(crate) queue_spans: Option<usize>,
    /// Limit for one batch over all its attempts and the waits between them.
    pub(crate) export_timeout: Duration,
}

/// What a flush or a shutdown found at the exporters.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) exporters: Vec<ExporterReport>,
    /// Whether every exporter was done, or known to be down, before the deadline.
    pub(crate) deadline_met: bool,
}

/// The exporters of one pipeline, running.
pub(crate) struct Delivery {
    lanes: Vec<Arc<Lane>>,
    gives_spans: bool,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("lanes", &self.lanes).finish()
    }
}

impl Delivery {
    /// Starts the exporters: those that never keep their thread share one, `throughline-export`, each other has
    /// its own.
    pub(crate) fn start(
        exporters: Vec<Box<dyn BatchExporter>>,
        resource: Resource,
        settings: DeliverySettings,
    ) -> Self {
        Self::start_with(exporters, resource, settings, &(Arc::new(log) as NoticeSink))
    }

    fn start_with(
        exporters: Vec<Box<dyn BatchExporter>>,
        resource: Resource,
        settings: DeliverySettings,
        notices: &NoticeSink,
    ) -> Self {
        let share = equal_share(settings, exporters.len());
        let mut lanes = Vec::with_capacity(exporters.len());
        let mut together = Vec::new();
        let gives_spans = exporters.iter().any(|exporter| exporter.takes_spans());
        for exporter in exporters {
            let lane = Lane::new(exporter.name(), exporter.component_type(), share, Arc::clone(notices));
            let lane = Arc::new(lane);
            lanes.push(Arc::clone(&lane));
            let alone = exporter.may_block();
            let post = Post { lane, exporter };
            if alone {
                let name = format!("throughline-export-{}", post.lane.name());
                worker::spawn(&name, vec![post], resource.clone(), settings.export_timeout);
            } else {
                together.push(post);
            }
        }
        if !together.is_empty() {
            worker::spawn("throughline-export", together, resource, settings.export_timeout);
        }
        Self { lanes, gives_spans }
    }

    /// Whether some exporter takes spans for itself.
    pub(super) fn gives_spans(&self) -> bool {
        self.gives_spans
    }

    /// Gives a batch to every exporter; never blocks. `bytes` is the memory that the batch holds.
    pub(crate) fn offer(&self, batch: impl Into<Spans>, bytes: usize) {
        let batch = batch.into();
        tap::offer(batch.get(0..batch.count()));
        let Some((last, others)) = self.lanes.split_last() else { return };
        for lane in others {
            lane.offer(batch.clone(), bytes);
        }
        // Not a clone: who takes spans shall find nobody else who has them.
        last.offer(batch, bytes);
    }

    /// Waits until some exporter can take a batch, if all are full and one of them is at work; false when the time is
    /// over and nothing has moved.
    ///
    /// What waits before the collector waits as a record, at an eighth of the memory of a span.
    pub(crate) fn wait_for_room(&self, count: usize, bytes: usize, limit: Duration) -> bool {
        let rooms: Vec<Room> = self.lanes.iter().map(|lane| lane.room(count, bytes)).collect();
        if rooms.contains(&Room::Now) {
            return true;
        }
        let at_work = self.lanes.iter().zip(rooms).find(|(_, room)| *room == Room::Soon);
        at_work.is_none_or(|(lane, _)| lane.wait_for_room(count, bytes, Instant::now() + limit))
    }

    /// Delivers everything offered so far and flushes the exporters, or says at the deadline what is left.
    ///
    /// An exporter whose breaker is open makes one attempt and is not waited for any longer when that fails.
    pub(crate) fn flush(&self, deadline: Instant) -> Delivered {
        let asked: Vec<_> = self.lanes.iter().map(|lane| lane.ask_flush()).collect();
        let mut deadline_met = true;
        for (lane, epoch) in self.lanes.iter().zip(asked) {
            deadline_met &= lane.wait_flushed(epoch, deadline);
        }
        Delivered { exporters: self.report(), deadline_met }
    }

    /// Flushes, then ends the exporters. What is not delivered at the deadline is left, and counted as undelivered.
    ///
    /// A second call changes nothing and reports the same.
    pub(crate) fn shutdown(&self, deadline: Instant) -> Delivered {
        for lane in &self.lanes {
            lane.ask_flush();
            lane.close();
        }
        let mut deadline_met = true;
        for lane in &self.lanes {
            let stopped = lane.wait_stopped(deadline);
            if !stopped {
                lane.abandon();
            }
            deadline_met &= stopped;
        }
        Delivered { exporters: self.report(), deadline_met }
    }

    /// The counters of every exporter.
    pub(crate) fn report(&self) -> Vec<ExporterReport> {
        self.lanes.iter().map(|lane| lane.report()).collect()
    }

    /// The state of every exporter.
    pub(crate) fn health(&self) -> Vec<ExporterHealth> {
        self.lanes.iter().map(|lane| lane.health()).collect()
    }
}

impl Drop for Delivery {
    /// Without a shutdown the workers deliver what waits and end by themselves; nobody waits for them.
    fn drop(&mut self) {
        // In a child the workers are not there, and a lane may be locked by one of them.
        if fork::is_child() {
            return;
        }
        for lane in &self.lanes {
            lane.close();
        }
    }
}

fn equal_share(settings: DeliverySettings, exporters: usize) -> Share {
    let exporters = exporters.max(1);
    Share {
        bytes: settings.queue_bytes / exporters,
        spans: settings.queue_spans.map_or(usize::MAX, |spans| spans / exporters),
    }
}

fn log(notice: &Notice) {
    match notice {
        Notice::Warning(line) => diagnostics::warn(format_args!("{line}")),
        Notice::Recovery(line) => diagnostics::info(format_args!("{line}")),
    }
}
