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
    /// The highest offset that was taken.
    highest: Option<i64>,
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
    /// It was finished before.
    Unknown,
}

impl Tracker {
    /// Notes that a record was taken. `None` if it is not above all that were taken before: it is delivered again, or is
    /// what a truncated log goes on with.
    pub(super) fn take(&mut self, offset: i64, at_ms: u64) -> Option<Sequence> {
        if self.highest.is_some_and(|highest| offset <= highest) {
            return None;
        }
        self.highest = Some(offset);
        self.taken.push_back(Taken { offset, finished: false, at_ms });
        Some(self.first + (self.taken.len() as u64 - 1))
    }

    /// Passes the finished records at the front. True if the watermark moved.
    fn advance(&mut self) -> bool {
        let mut moved = false;
        while self.taken.front().is_some_and(|record| record.finished)
            && let Some(record) = self.taken.pop_front()
        {
            self.first += 1;
            self.ahead -= 1;
            self.watermark = Some(record.offset.saturating_add(1));
            moved = true;
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
    struct Naive(Vec<(i64, bool)>);

    impl Naive {
        fn watermark(&self) -> Option<i64> {
            let done = self.0.iter().take_while(|(_, finished)| *finished).last();
            done.map(|(offset, _)| offset + 1)
        }
    }

    proptest! {
        /// kafka.md K-1: never beyond the first unfinished record, as far as that whatever the order and the gaps are.
        #[test]
        fn watermark_is_that_of_a_naive_model(
            steps in prop::collection::vec((any::<bool>(), -3..5i64, any::<prop::sample::Index>()), 1..300),
        ) {
            let (mut tracker, mut naive, mut last) = (Tracker::default(), Naive::default(), 0);
            for (take, gap, which) in steps {
                if take || naive.0.is_empty() {
                    let sequence = tracker.take(last + gap, 0);
                    if gap <= 0 && !naive.0.is_empty() {
                        prop_assert_eq!(sequence, None);
                        continue;
                    }
                    last += gap;
                    prop_assert_eq!(sequence, Some(naive.0.len() as u64));
                    naive.0.push((last, false));
                } else {
                    let index = which.index(naive.0.len());
                    let before = naive.watermark();
                    let fresh = !std::mem::replace(&mut naive.0[index].1, true);
                    let moved = tracker.finish(index as u64);
                    let expected = match (fresh, naive.watermark() != before) {
                        (false, _) => Finished::Unknown,
                        (true, true) => Finished::Moved,
                        (true, false) => Finished::Waits,
                    };
                    prop_assert_eq!(moved, expected);
                }
                prop_assert_eq!(tracker.watermark(), naive.watermark());
                let unfinished = || naive.0.iter().filter(|(_, finished)| !*finished);
                prop_assert_eq!(tracker.unfinished(), unfinished().count());
                if let (Some(watermark), Some((offset, _))) = (tracker.watermark(), unfinished().next()) {
                    prop_assert!(watermark <= *offset);
                }
            }
        }
    }

    #[test]
    fn gaps_do_not_block() {
        let mut tracker = Tracker::default();
        let sequences = [3, 4, 90].map(|offset| tracker.take(offset, 7).unwrap());
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
    fn what_is_not_above_the_last_one_is_not_taken() {
        let mut tracker = Tracker::default();
        let sequences = [10, 12].map(|offset| tracker.take(offset, 1).unwrap());
        for offset in [12, 11, 3] {
            assert_eq!(tracker.take(offset, 2), None);
        }
        assert_eq!((tracker.unfinished(), tracker.oldest_ms()), (2, Some(1)));
        assert_eq!(sequences.map(|sequence| tracker.finish(sequence)), [Finished::Moved; 2]);
        // Nor when all are finished.
        assert_eq!((tracker.take(12, 3), tracker.watermark()), (None, Some(13)));
        assert!(tracker.take(13, 4).is_some());
    }

    #[test]
    fn last_offset_of_all_does_not_overflow() {
        let mut tracker = Tracker::default();
        let sequence = tracker.take(i64::MAX, 0).unwrap();
        tracker.finish(sequence);
        assert_eq!(tracker.watermark(), Some(i64::MAX));
    }
}
