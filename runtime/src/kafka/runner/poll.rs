//! The poll thread: rebalances, errors, statistics, pauses, and the end. It runs no user code (kafka.md K-4).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;

use super::counters::Count;
use super::engine::{Engine, LAST_COMMIT, LEAVE};
use super::error::{Report, RunError};
use super::health::State;
use super::pause;
use super::rebalance::RunnerContext;
use super::{commit, errors, farewell, metrics};
use crate::kafka::native;

/// How long one poll waits; what the thread is asked waits as long.
const POLL: Duration = Duration::from_millis(50);

/// How often the thread looks for blocked partitions.
const LOOK_FOR_BLOCKED_MS: u64 = 250;

/// How a runner ended.
pub(super) type Outcome = Result<Report, RunError>;

/// Polls until the runner is asked to end, then ends it.
pub(super) fn run(engine: &Arc<Engine>, consumer: Arc<BaseConsumer<RunnerContext>>, end: End) {
    metrics::register(engine);
    engine.set_state(State::Joining);
    // No code of users runs here, but `rdkafka` panics on names that are not UTF-8, and others choose those.
    if catch_unwind(AssertUnwindSafe(|| until_stopped(engine, &consumer))).is_err() {
        engine.stop_by_itself(Some(RunError::Panicked));
    }
    if catch_unwind(AssertUnwindSafe(|| drain(engine, &consumer))).is_err() {
        engine.stop(Instant::now(), Some(RunError::Panicked));
    }
    close(engine, consumer, end);
}

fn until_stopped(engine: &Arc<Engine>, consumer: &Arc<BaseConsumer<RunnerContext>>) {
    let mut looked_ms = None;
    while !engine.is_stopping() {
        let Some(now) = poll(engine, consumer) else { continue };
        if looked_ms.is_none_or(|looked| now.saturating_sub(looked) >= LOOK_FOR_BLOCKED_MS) {
            looked_ms = Some(now);
            if engine.assign_anew.swap(false, Ordering::Relaxed) {
                consumer.context().assign_anew(consumer);
            }
            if engine.needs_brokers.swap(false, Ordering::Relaxed) {
                engine.lines.info(format_args!(
                    "group {}: connected to no broker; the client hears of those of `bootstrap.servers` once more",
                    engine.constants().group.escape_debug()
                ));
                know_brokers(engine, consumer);
            }
            engine.beginners.start_late(consumer);
            metrics::look();
            for generation in engine.owned.all() {
                if let Some(change) = generation.step_pause(now) {
                    pause::apply(change, &generation, consumer);
                }
            }
        }
        engine.owned.drop_queues();
    }
}

/// Gives the client the brokers of its configuration once more.
///
/// librdkafka (2.12) forgets every broker that a broker does not name in its metadata, so all of them where that names none,
/// as a node does that has just started. It then begins anew with its configuration, unless that was called off by the same
/// metadata (confluentinc/librdkafka#5301).
fn know_brokers(engine: &Engine, consumer: &BaseConsumer<RunnerContext>) {
    if let Some(brokers) = engine.constants().bootstrap.as_deref() {
        native::add_brokers(consumer.client(), brokers);
    }
}

/// Polls once; gives the engine's time, or nothing while a test holds the thread.
fn poll(engine: &Arc<Engine>, consumer: &Arc<BaseConsumer<RunnerContext>>) -> Option<u64> {
    if engine.is_held() {
        thread::sleep(Duration::from_millis(10));
        return None;
    }
    let polled = consumer.poll(POLL);
    let now = engine.tick();
    engine.last_poll_ms.store(now, Ordering::Relaxed);
    match polled {
        None => {}
        Some(Ok(message)) => stray(engine, &message),
        Some(Err(error)) if errors::is_poll_exceeded(&error) => {
            engine.counters.add(Count::PollExceeded, 1);
            metrics::rebalanced(Count::PollExceeded, Duration::ZERO, engine);
            engine.lines.warn(format_args!(
                "max.poll.interval.ms was exceeded: the group has gone on without this member, which joins again"
            ));
            for generation in engine.owned.all() {
                generation.close();
            }
            engine.set_state(State::Joining);
            engine.set_last_error(error.to_string());
        }
        Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
            // The first fatal error is the cause; the event may only say that there is one.
            let code = consumer.client().fatal_error().map_or(code, |(code, _)| code);
            engine.client_error(KafkaError::MessageConsumptionFatal(code), "");
        }
        Some(Err(error)) => {
            if errors::is_offset_unknown(&error) {
                engine.assign_anew.store(true, Ordering::Relaxed);
            }
            engine.client_error(error, "");
        }
    }
    Some(now)
}

/// A message that came past its partition's queue, where the watermark would pass over it. It cannot be handled here, so
/// its partition stops: nothing is lost, and the next assignment begins with it.
fn stray(engine: &Engine, message: &BorrowedMessage<'_>) {
    // Its successor as well, if it goes back just now.
    while let Some(generation) = engine.owned.find(message.topic(), message.partition())
        && generation.halted().is_none()
    {
        generation
            .halt_uncommitted(format!("offset {} came outside of the partition's queue", message.offset()));
    }
}

/// What the thread leaves behind.
pub(super) struct End {
    /// Ends the tasks of the lanes.
    pub(super) end_lanes: Box<dyn FnOnce() + Send>,
    pub(super) committer: thread::JoinHandle<()>,
    pub(super) tell: Box<dyn FnOnce(Outcome) + Send>,
}

/// kafka.md K-11: stops taking, and waits for the handlers.
fn drain(engine: &Arc<Engine>, consumer: &Arc<BaseConsumer<RunnerContext>>) {
    if engine.state() == State::Joining {
        // It may have forgotten them since the last statistics, and needs one to commit and to leave.
        know_brokers(engine, consumer);
    }
    engine.set_state(State::Draining);
    for generation in engine.owned.all() {
        generation.end();
    }
    let begun = Instant::now();
    let drain_until = engine.drain_deadline();
    // Asked for each time: a second signal brings the deadline nearer.
    let drain_until = || {
        let deadline = engine.deadline();
        let leave = LEAVE.min(deadline.saturating_duration_since(begun) / 4);
        drain_until.min(deadline.checked_sub(leave).unwrap_or(deadline))
    };
    // Still polling: the group goes on meanwhile.
    while engine.owned.all().iter().any(|generation| !generation.is_idle())
        && Instant::now() < drain_until()
        && !matches!(engine.failure(), Some(RunError::RuntimeGone))
    {
        poll(engine, consumer);
    }
}

/// kafka.md K-11: commits, and leaves the group.
fn close(engine: &Arc<Engine>, consumer: Arc<BaseConsumer<RunnerContext>>, end: End) {
    let now = Instant::now();
    commit::before_leaving(engine, engine.deadline().clamp(now + LAST_COMMIT, now + LEAVE), true);
    let mut unfinished = 0;
    for generation in engine.owned.all() {
        unfinished += generation.unfinished();
        engine.owned.release(&generation);
        generation.abort();
    }
    (end.end_lanes)();
    // The last one who holds the client closes it, and that has to be this thread (kafka.md R-13). It stays as long as
    // that takes; whoever waits for the runner waits up to the deadline.
    while !(engine.owned.drop_queues() && end.committer.is_finished() && Arc::strong_count(&consumer) == 1) {
        thread::sleep(Duration::from_millis(1));
    }
    farewell::close(consumer);
    let failure = engine.failure();
    engine.set_state(if failure.is_some() { State::Failed } else { State::Stopped });
    (end.tell)(match failure {
        Some(failure) => Err(failure),
        None => Ok(engine.counters.report(unfinished as u64)),
    });
}
