//! Which records of a partition are finished, and up to where that may be committed.

use std::collections::VecDeque;

/// The number of a record within its tracker: records are numbered as they are taken, whatever their offsets are.
pub(super) type Sequence = u64;

/// The records of one generation of a partition that were taken and are not all finished.
///
/// The one place that makes offsets to commit (kafka.md K-1, R-10): the offset of the first unfinished record, or the one
/// after the last record if all are finished. Offsets that nobody took (compaction, transaction markers) are passed over.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    /// From the first unfinished record on.
    taken: VecDeque<Taken>,
    /// Number of the first entry of `taken`.
    first: Sequence,
    /// How many of `taken` are finished.
    ahead: usize,
    /// What may be committed: every record below it is finished. `None` until one is.
    watermark: Option<i64>,
}

#[derive(Debug)]
struct Taken {
    offset: i64,
    finished: bool,
    /// It was delivered again, or is gone from the log: its end says nothing any more.
    forgotten: bool,
    /// Engine time at which it was taken.
    at_ms: u64,
}

/// What finishing a record did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// The watermark moved on.
    Moved,
    /// Others before it are unfinished.
    Waits,
    /// It was finished before, or belongs to what a truncated log took away.
    Unknown,
}

impl Tracker {
    /// Notes that a record was taken; offsets rise. One that does not is delivered again, or is what a truncated log begins
    /// with: what was taken from there on is forgotten. What is unfinished below it still holds the watermark.
    pub(super) fn take(&mut self, offset: i64, at_ms: u64) -> Sequence {
        if self.taken.back().is_some_and(|last| offset <= last.offset)
            || self.watermark.is_some_and(|next| offset < next)
        {
            self.go_back(offset);
        }
        self.taken.push_back(Taken { offset, finished: false, forgotten: false, at_ms });
        self.first + (self.taken.len() as u64 - 1)
    }

    /// The forgotten keep their places, because sequences count them.
    fn go_back(&mut self, offset: i64) {
        for record in self.taken.iter_mut().rev().take_while(|record| record.offset >= offset) {
            record.forgotten = true;
            if !std::mem::replace(&mut record.finished, true) {
                self.ahead += 1;
            }
        }
        if self.watermark.is_some_and(|next| offset < next) {
            self.watermark = None;
        }
        self.advance();
    }

    /// Passes the finished records at the front. True if the watermark moved.
    fn advance(&mut self) -> bool {
        let mut moved = false;
        while self.taken.front().is_some_and(|record| record.finished)
            && let Some(record) = self.taken.pop_front()
        {
            self.first += 1;
            self.ahead -= 1;
            if !record.forgotten {
                self.watermark = Some(record.offset.saturating_add(1));
                moved = true;
            }
        }
        moved
    }

    /// Notes that a record needs no redelivery.
    pub(super) fn finish(&mut self, sequence: Sequence) -> Finished {
        let index = sequence.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let Some(record) = index.and_then(|index| self.taken.get_mut(index)) else {
            return Finished::Unknown;
        };
        if std::mem::replace(&mut record.finished, true) {
            return Finished::Unknown;
        }
        self.ahead += 1;
        if self.advance() { Finished::Moved } else { Finished::Waits }
    }

    /// The offset to commit: the next one to be delivered to whoever goes on from here.
    pub(super) fn watermark(&self) -> Option<i64> {
        self.watermark
    }

    /// How many records were taken and are not finished.
    pub(super) fn unfinished(&self) -> usize {
        self.taken.len() - self.ahead
    }

    /// Engine time at which the oldest unfinished record was taken.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.taken.front().map(|record| record.at_ms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every record ever taken, looked through from the start each time.
    #[derive(Default)]
    struct Naive {
        records: Vec<(i64, bool)>,
        forgotten: std::collections::HashSet<usize>,
    }

    impl Naive {
        fn live(&self) -> impl Iterator<Item = &(i64, bool)> {
            let live = self.records.iter().enumerate().filter(|(index, _)| !self.forgotten.contains(index));
            live.map(|(_, record)| record)
        }

        fn watermark(&self) -> Option<i64> {
            let done = self.live().take_while(|(_, finished)| *finished).last();
            done.map(|(offset, _)| offset + 1)
        }

        fn go_back(&mut self, offset: i64) {
            // All below a watermark is finished: nothing there holds the next one.
            let below = self.watermark().is_some_and(|next| offset < next);
            let gone = self.records.iter().enumerate().filter(|(_, record)| below || record.0 >= offset);
            self.forgotten.extend(gone.map(|(index, _)| index));
        }
    }

    proptest! {
        /// kafka.md K-1: never beyond the first unfinished record, as far as that whatever the order and the gaps are.
        #[test]
        fn watermark_is_that_of_a_naive_model(
            steps in prop::collection::vec((any::<bool>(), 1..5i64, any::<prop::sample::Index>(), 0..60u8), 1..300),
        ) {
            let (mut tracker, mut naive, mut next) = (Tracker::default(), Naive::default(), 0);
            for (take, gap, which, truncated) in steps {
                if take || naive.records.is_empty() {
                    if truncated < 10 && naive.records.len() > 3 {
                        // Not above the last one: delivered again, or the log was cut.
                        next = (next - i64::from(truncated) * gap).max(0);
                        naive.go_back(next);
                    } else {
                        next += gap;
                    }
                    let sequence = tracker.take(next, 0);
                    prop_assert_eq!(sequence, naive.records.len() as u64);
                    naive.records.push((next, false));
                } else {
                    let index = which.index(naive.records.len());
                    let before = naive.watermark();
                    let fresh = !naive.forgotten.contains(&index) && !naive.records[index].1;
                    naive.records[index].1 = true;
                    let moved = tracker.finish(index as u64);
                    let expected = match (fresh, naive.watermark() != before) {
                        (false, _) => Finished::Unknown,
                        (true, true) => Finished::Moved,
                        (true, false) => Finished::Waits,
                    };
                    prop_assert_eq!(moved, expected);
                }
                prop_assert_eq!(tracker.watermark(), naive.watermark());
                let open = naive.live().filter(|(_, finished)| !*finished).count();
                prop_assert_eq!(tracker.unfinished(), open);
                let unfinished = naive.live().find(|(_, finished)| !*finished);
                if let (Some(watermark), Some((offset, _))) = (tracker.watermark(), unfinished) {
                    prop_assert!(watermark <= *offset);
                }
            }
        }
    }

    #[test]
    fn gaps_do_not_block() {
        let mut tracker = Tracker::default();
        let sequences = [3, 4, 90].map(|offset| tracker.take(offset, 7));
        assert_eq!(tracker.watermark(), None);
        assert_eq!(tracker.finish(sequences[1]), Finished::Waits);
        assert_eq!((tracker.unfinished(), tracker.oldest_ms()), (2, Some(7)));
        assert_eq!(tracker.finish(sequences[0]), Finished::Moved);
        assert_eq!(tracker.watermark(), Some(5));
        assert_eq!(tracker.finish(sequences[2]), Finished::Moved);
        assert_eq!((tracker.watermark(), tracker.unfinished(), tracker.oldest_ms()), (Some(91), 0, None));
        assert_eq!(tracker.finish(sequences[2]), Finished::Unknown);
    }

    #[test]
    fn going_back_keeps_what_is_unfinished_below() {
        let mut tracker = Tracker::default();
        let first = [10, 11, 12].map(|offset| tracker.take(offset, 1));
        assert_eq!(tracker.finish(first[1]), Finished::Waits);
        let again = [11, 12].map(|offset| tracker.take(offset, 2));
        assert_eq!((tracker.unfinished(), tracker.oldest_ms()), (3, Some(1)));
        // Neither the forgotten one nor its second copy passes the record that still runs.
        assert_eq!(tracker.finish(first[2]), Finished::Unknown);
        assert_eq!(tracker.finish(again[0]), Finished::Waits);
        assert_eq!(tracker.finish(again[1]), Finished::Waits);
        assert_eq!(tracker.watermark(), None);
        assert_eq!(tracker.finish(first[0]), Finished::Moved);
        assert_eq!((tracker.watermark(), tracker.unfinished()), (Some(13), 0));
    }

    #[test]
    fn last_offset_of_all_does_not_overflow() {
        let mut tracker = Tracker::default();
        let sequence = tracker.take(i64::MAX, 0);
        tracker.finish(sequence);
        assert_eq!(tracker.watermark(), Some(i64::MAX));
    }
}
