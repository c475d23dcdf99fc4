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
    /// Notes that a record was taken; offsets rise. One that does not is what remains of a truncated log, which begins
    /// again there: the records before are forgotten, and the watermark with them.
    pub(super) fn take(&mut self, offset: i64, at_ms: u64) -> Sequence {
        let went_back = match self.taken.back() {
            Some(last) => offset <= last.offset,
            None => self.watermark.is_some_and(|next| offset < next),
        };
        if went_back {
            self.first += self.taken.len() as u64;
            self.taken.clear();
            self.ahead = 0;
            self.watermark = None;
        }
        self.taken.push_back(Taken { offset, finished: false, at_ms });
        self.first + (self.taken.len() as u64 - 1)
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
        let mut moved = Finished::Waits;
        while self.taken.front().is_some_and(|record| record.finished)
            && let Some(record) = self.taken.pop_front()
        {
            self.first += 1;
            self.ahead -= 1;
            self.watermark = Some(record.offset.saturating_add(1));
            moved = Finished::Moved;
        }
        moved
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
        /// Records before this one were forgotten.
        begin: usize,
    }

    impl Naive {
        fn watermark(&self) -> Option<i64> {
            let live = &self.records[self.begin..];
            let done = live.iter().take_while(|(_, finished)| *finished).last();
            done.map(|(offset, _)| offset + 1)
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
                    if truncated == 0 && next > 3 && naive.records.len() > naive.begin {
                        // Lower than the last one: the log was cut.
                        next = naive.records[naive.records.len() - 1].0 - gap.min(next);
                        naive.begin = naive.records.len();
                    } else {
                        next += gap;
                    }
                    let sequence = tracker.take(next, 0);
                    prop_assert_eq!(sequence, naive.records.len() as u64);
                    naive.records.push((next, false));
                } else {
                    let index = which.index(naive.records.len());
                    let before = naive.watermark();
                    let fresh = index >= naive.begin && !naive.records[index].1;
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
                let open = naive.records[naive.begin..].iter().filter(|(_, finished)| !*finished).count();
                prop_assert_eq!(tracker.unfinished(), open);
                let unfinished = naive.records[naive.begin..].iter().find(|(_, finished)| !*finished);
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
    fn last_offset_of_all_does_not_overflow() {
        let mut tracker = Tracker::default();
        let sequence = tracker.take(i64::MAX, 0);
        tracker.finish(sequence);
        assert_eq!(tracker.watermark(), Some(i64::MAX));
    }
}
