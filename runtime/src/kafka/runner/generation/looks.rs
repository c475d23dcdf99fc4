//! What health and the pause look at.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::super::pause::Change;
use super::Generation;

impl Generation {
    /// The next offset that the group would get from here, if that is known.
    pub(in crate::kafka::runner) fn watermark(&self) -> Option<i64> {
        self.progress().tracker.watermark()
    }

    /// Engine time at which the oldest unfinished record was taken.
    pub(in crate::kafka::runner) fn oldest_ms(&self) -> Option<u64> {
        self.progress().tracker.oldest_ms()
    }

    /// End of the partition − watermark, by the last statistics.
    pub(in crate::kafka::runner) fn lag(&self) -> Option<i64> {
        let end = Some(self.end_offset.load(Ordering::Relaxed)).filter(|end| *end >= 0)?;
        let start = self.start_offset.load(Ordering::Relaxed);
        let next = self.watermark().or((start >= 0).then_some(start))?;
        Some(end.saturating_sub(next).max(0))
    }

    pub(in crate::kafka::runner) fn add_blocked(&self, blocked: bool) {
        if blocked {
            self.blocked.fetch_add(1, Ordering::Relaxed);
        } else {
            self.blocked.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether nothing goes on in this partition: halted, or a lane waits and none has room for more.
    pub(in crate::kafka::runner) fn is_blocked(&self) -> bool {
        let waits = self.blocked.load(Ordering::Relaxed) > 0;
        self.halted().is_some()
            || waits && (!self.engine.has_key_lanes() || self.waits_for_room.load(Ordering::Relaxed))
    }

    /// Notes at this engine time whether the partition is blocked.
    pub(in crate::kafka::runner) fn step_pause(&self, now_ms: u64) -> Option<Change> {
        let blocked = self.is_blocked();
        self.pause.lock().unwrap_or_else(PoisonError::into_inner).step(now_ms, blocked)
    }

    pub(in crate::kafka::runner) fn is_paused(&self) -> bool {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner).is_paused()
    }

    /// Records that were taken and are not finished.
    pub(in crate::kafka::runner) fn unfinished(&self) -> usize {
        self.progress().tracker.unfinished()
    }
}
