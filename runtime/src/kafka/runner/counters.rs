//! What happened, counted since the start.

use std::sync::atomic::{AtomicU64, Ordering};

use super::error::Report;

macro_rules! counters {
    ($($(#[$doc:meta])* $count:ident $field:ident),+ $(,)?) => {
        /// Something that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Count {
            $($(#[$doc])* $count),+
        }

        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $($field: AtomicU64),+
        }

        impl Counters {
            fn of(&self, what: Count) -> &AtomicU64 {
                match what {
                    $(Count::$count => &self.$field),+
                }
            }
        }
    };
}

counters! {
    Handled handled,
    Skipped skipped,
    DeadLettered dead_lettered,
    /// An attempt after the first begins.
    Retry retries,
    DecodeError decode_errors,
    Panic panics,
    LateResult late_results,
    Assign assigns,
    Revoke revokes,
    Lost losses,
    PollExceeded polls_exceeded,
    CommitOk commits_ok,
    CommitError commits_error,
    CommitTimeout commits_timeout,
    CommitFenced commits_fenced,
    OffsetReset offset_resets,
}

impl Counters {
    pub(super) fn add(&self, what: Count, times: u64) {
        self.of(what).fetch_add(times, Ordering::Relaxed);
    }

    pub(super) fn get(&self, what: Count) -> u64 {
        self.of(what).load(Ordering::Relaxed)
    }

    pub(super) fn report(&self, unfinished: u64) -> Report {
        let sum = |counts: &[Count]| counts.iter().map(|what| self.get(*what)).sum();
        Report {
            handled: self.get(Count::Handled),
            skipped: self.get(Count::Skipped),
            dead_lettered: self.get(Count::DeadLettered),
            unfinished,
            retries: self.get(Count::Retry),
            decode_errors: self.get(Count::DecodeError),
            panics: self.get(Count::Panic),
            late_results: self.get(Count::LateResult),
            rebalances: sum(&[Count::Assign, Count::Revoke, Count::Lost, Count::PollExceeded]),
            commits: self.get(Count::CommitOk),
            failed_commits: sum(&[Count::CommitError, Count::CommitTimeout, Count::CommitFenced]),
            offset_resets: self.get(Count::OffsetReset),
        }
    }
}
