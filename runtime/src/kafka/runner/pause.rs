//! When a blocked partition is paused, and when it goes on.

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::generation::Generation;
use super::rebalance::RunnerContext;

/// A pause drops what librdkafka has fetched, and the first record after it comes a second later (kafka.md R-12), so
/// it is nothing for short waits.
const BLOCKED_MS: u64 = 10_000;
const SHORTEST_PAUSE_MS: u64 = 1_000;

/// What the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Pause,
    Resume,
}

/// The pause of one partition, on engine time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pause {
    /// It flows.
    #[default]
    Flows,
    /// It is blocked since then.
    Blocked { since_ms: u64 },
    /// The runner paused it then.
    Paused { at_ms: u64 },
}

impl Pause {
    /// Notes whether the partition is blocked now.
    pub(super) fn step(&mut self, now_ms: u64, blocked: bool) -> Option<Change> {
        match (*self, blocked) {
            (Pause::Flows, true) => *self = Pause::Blocked { since_ms: now_ms },
            (Pause::Blocked { .. }, false) => *self = Pause::Flows,
            (Pause::Blocked { since_ms }, true) if now_ms.saturating_sub(since_ms) >= BLOCKED_MS => {
                *self = Pause::Paused { at_ms: now_ms };
                return Some(Change::Pause);
            }
            (Pause::Paused { at_ms }, false) if now_ms.saturating_sub(at_ms) >= SHORTEST_PAUSE_MS => {
                *self = Pause::Flows;
                return Some(Change::Resume);
            }
            _ => {}
        }
        None
    }

    pub(super) fn is_paused(self) -> bool {
        matches!(self, Pause::Paused { .. })
    }
}

/// Tells the client. The list dies here.
pub(super) fn apply(change: Change, generation: &Generation, consumer: &BaseConsumer<RunnerContext>) {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(&generation.topic, generation.partition);
    let told = match change {
        Change::Pause => consumer.pause(&list),
        Change::Resume => consumer.resume(&list),
    };
    if let Err(error) = told {
        generation.engine().set_last_error(error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_waits_do_not_pause() {
        let mut pause = Pause::default();
        for (now, blocked) in [(0, true), (9_999, true), (9_999, false), (10_500, true), (20_499, true)] {
            assert_eq!(pause.step(now, blocked), None, "at {now}");
        }
        assert!(!pause.is_paused());
    }

    #[test]
    fn a_partition_blocked_for_ten_seconds_is_paused_once() {
        let mut pause = Pause::default();
        assert_eq!(pause.step(5, true), None);
        assert_eq!(pause.step(10_005, true), Some(Change::Pause));
        assert_eq!(pause.step(90_000, true), None);
        assert!(pause.is_paused());
    }

    #[test]
    fn it_goes_on_a_second_later_at_the_earliest() {
        let mut pause = Pause::default();
        pause.step(0, true);
        pause.step(10_000, true);
        assert_eq!(pause.step(10_999, false), None);
        // Blocked again meanwhile: it stays paused.
        assert_eq!(pause.step(11_000, true), None);
        assert_eq!(pause.step(11_500, false), Some(Change::Resume));
        assert_eq!(pause.step(11_501, false), None);
        assert_eq!(pause, Pause::Flows);
    }

    #[test]
    fn what_the_runner_did_not_pause_is_not_resumed() {
        let mut pause = Pause::default();
        for now in (0..60_000).step_by(250) {
            assert_eq!(pause.step(now, false), None);
        }
    }
}
