//! Counters and the histogram of rebalances.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use super::gauges::Gauges;
use crate::kafka::attributes;
use crate::kafka::metrics::PerProvider;
use crate::kafka::runner::counters::Count;
use crate::kafka::runner::engine::Engine;

/// Seconds; M-5, and on to the five minutes that a rebalance may take.
const BUCKETS: [f64; 17] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 300.0];

const TYPE: &str = "type";
const OUTCOME: &str = "outcome";

static RUNNER: PerProvider<Runner> = PerProvider::new(Runner::new);

struct Runner {
    retries: Counter<u64>,
    dead_letters: Counter<u64>,
    skipped: Counter<u64>,
    decode_errors: Counter<u64>,
    panics: Counter<u64>,
    late_results: Counter<u64>,
    rebalances: Counter<u64>,
    commits: Counter<u64>,
    offset_resets: Counter<u64>,
    rebalance_duration: Histogram<f64>,
    _gauges: Gauges,
}

impl Runner {
    fn new(meter: &Meter) -> Self {
        let counter = |name: &'static str, unit, description| {
            let name = format!("throughline.messaging.consumer.{name}");
            meter.u64_counter(name).with_unit(unit).with_description(description).build()
        };
        Runner {
            retries: counter("retries", "{attempt}", "Attempts after the first."),
            dead_letters: counter(
                "dead_letters",
                "{message}",
                "Records whose dead letter the broker acknowledged.",
            ),
            skipped: counter("skipped", "{message}", "Records that a policy passed over."),
            decode_errors: counter("decode_errors", "{message}", "Records that could not be decoded."),
            panics: counter("panics", "{panic}", "Panics of handlers."),
            late_results: counter(
                "late_results",
                "{message}",
                "Results that came after their partition was gone.",
            ),
            rebalances: counter(
                "rebalances",
                "{rebalance}",
                "Assignments, revocations and losses of partitions.",
            ),
            commits: counter("commits", "{commit}", "Commits by their outcome."),
            offset_resets: counter("offset_resets", "{reset}", "Partitions that went on at another offset."),
            rebalance_duration: meter
                .f64_histogram("throughline.messaging.consumer.rebalance.duration")
                .with_unit("s")
                .with_description("Time from a rebalance to its acceptance, in which handlers are awaited.")
                .with_boundaries(BUCKETS.to_vec())
                .build(),
            _gauges: Gauges::new(meter),
        }
    }
}

pub(super) fn make() {
    let _ = RUNNER.get();
}

pub(super) fn counted(what: Count, times: u64, topic: Option<&str>, engine: &Engine) {
    let Some(runner) = RUNNER.get() else { return };
    let (counter, detail) = match what {
        Count::Retry => (&runner.retries, None),
        Count::DeadLettered => (&runner.dead_letters, None),
        Count::Skipped => (&runner.skipped, None),
        Count::DecodeError => (&runner.decode_errors, None),
        Count::Panic => (&runner.panics, None),
        Count::LateResult => (&runner.late_results, None),
        Count::OffsetReset => (&runner.offset_resets, None),
        Count::Assign => (&runner.rebalances, Some((TYPE, "assign"))),
        Count::Revoke => (&runner.rebalances, Some((TYPE, "revoke"))),
        Count::Lost => (&runner.rebalances, Some((TYPE, "lost"))),
        Count::PollExceeded => (&runner.rebalances, Some((TYPE, "poll_exceeded"))),
        Count::CommitOk => (&runner.commits, Some((OUTCOME, "ok"))),
        Count::CommitError => (&runner.commits, Some((OUTCOME, "error"))),
        Count::CommitTimeout => (&runner.commits, Some((OUTCOME, "timeout"))),
        Count::CommitFenced => (&runner.commits, Some((OUTCOME, "fenced"))),
        // messaging.process.duration has them.
        Count::Handled => return,
    };
    let mut given = common(engine);
    given.extend(topic.map(|topic| KeyValue::new(attributes::DESTINATION, topic.to_owned())));
    given.extend(detail.map(|(name, value)| KeyValue::new(name, value)));
    counter.add(times, &given);
}

pub(super) fn rebalance_took(what: Count, took: Duration, engine: &Engine) {
    let kind = match what {
        Count::Assign => "assign",
        Count::Revoke => "revoke",
        Count::Lost => "lost",
        _ => return,
    };
    if let Some(runner) = RUNNER.get() {
        let mut given = common(engine);
        given.push(KeyValue::new(TYPE, kind));
        runner.rebalance_duration.record(took.as_secs_f64(), &given);
    }
}

fn common(engine: &Engine) -> Vec<KeyValue> {
    let mut all = Vec::with_capacity(4);
    all.push(KeyValue::new(attributes::SYSTEM, "kafka"));
    all.push(KeyValue::new(attributes::GROUP, engine.constants().group.to_string()));
    all
}
