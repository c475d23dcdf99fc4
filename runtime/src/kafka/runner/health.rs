//! How a runner is, as a value that can be serialized.

use std::time::Duration;

use serde::Serialize;

use super::engine::Engine;

/// Commits that fail for longer make a runner unready.
const COMMITS_MAY_FAIL_FOR: Duration = Duration::from_secs(60);

/// Where a runner is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RunnerState {
    /// Not subscribed yet.
    Starting,
    /// Subscribed, and not a member of its group, or no longer.
    Joining,
    /// A member of its group; partitions may have been assigned or not.
    Running,
    /// Takes nothing more, and waits for the handlers.
    Draining,
    /// Ended, as it was asked to.
    Stopped,
    /// Ended with an error.
    Failed,
}

pub(super) use RunnerState as State;

/// How a runner is at this moment.
///
/// ```
/// # fn show(runner: &throughline::kafka::RunnerHandle) -> serde_json::Result<()> {
/// println!("{}", serde_json::to_string(&runner.health())?);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunnerHealth {
    /// Where it is in its life.
    pub state: RunnerState,
    /// Whether the poll thread has polled within half of `max.poll.interval.ms`. If not, restart the process.
    pub live: bool,
    /// Whether it is a member of its group (with or without partitions), nothing is halted, and commits have not been
    /// failing for longer than 60 seconds. A member of a KIP-848 group that gets no partitions is seen to be one by the next
    /// statistics (`statistics.interval.ms`, by default 15 seconds).
    pub ready: bool,
    /// Partitions that are assigned to it.
    pub partitions: usize,
    /// Partitions that the runner has paused because they are blocked.
    pub paused: usize,
    /// Partitions that are halted, with the reason of each.
    pub halted: Vec<HaltedPartition>,
    /// Records that were taken and are not finished: handled, or waiting in lanes.
    pub in_flight: usize,
    /// Milliseconds since the poll thread last polled.
    pub last_poll_age_ms: u64,
    /// Milliseconds since the oldest unfinished record was taken.
    pub oldest_in_flight_ms: Option<u64>,
    /// Records from the watermarks to the ends of all partitions, by librdkafka's last statistics.
    pub lag: Option<u64>,
    /// Milliseconds for which commits have been failing.
    pub commits_failing_ms: Option<u64>,
    /// The last error of the client or of a commit, also if it has healed.
    pub last_error: Option<String>,
}

/// A partition that stopped at a record because the policy says `halt`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HaltedPartition {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// What happened there.
    pub reason: String,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn of(engine: &Engine) -> RunnerHealth {
    let owned = engine.owned.all();
    let halted: Vec<_> = owned
        .iter()
        .filter_map(|generation| {
            let reason = generation.halted()?.to_owned();
            let topic = generation.topic.to_string();
            Some(HaltedPartition { topic, partition: generation.partition, reason })
        })
        .collect();
    let state = engine.state();
    let last_poll = engine.age(engine.last_poll_ms.load(std::sync::atomic::Ordering::Relaxed));
    let commits_failing = engine.commits_fail_for();
    let ended = matches!(state, State::Stopped | State::Failed);
    RunnerHealth {
        state,
        live: !ended && last_poll <= engine.max_poll_interval / 2,
        ready: state == State::Running
            && halted.is_empty()
            && commits_failing.is_none_or(|failing| failing <= COMMITS_MAY_FAIL_FOR),
        partitions: owned.len(),
        paused: owned.iter().filter(|generation| generation.is_paused()).count(),
        in_flight: owned.iter().map(|generation| generation.unfinished()).sum(),
        last_poll_age_ms: millis(last_poll),
        oldest_in_flight_ms: owned
            .iter()
            .filter_map(|generation| generation.oldest_ms())
            .min()
            .map(|at| millis(engine.age(at))),
        lag: owned.iter().filter_map(|generation| generation.lag()).fold(None, |sum, lag| {
            Some(sum.unwrap_or(0_u64).saturating_add(u64::try_from(lag).unwrap_or(0)))
        }),
        commits_failing_ms: commits_failing.map(millis),
        last_error: engine.last_error(),
        halted,
    }
}
