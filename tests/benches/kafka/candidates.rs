//! The loops that are compared, each written as its users write it.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::message::BorrowedMessage;
use throughline::{Setup, Telemetry, kafka_consumer};

use crate::broker::{MESSAGES, SAMPLED, TENTH};
use crate::count::{self, CountSpans};

static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();

/// A row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) beside: &'static str,
    pub(crate) what: What,
    pub(crate) tracing: Tracing,
    pub(crate) work: Work,
}

/// What a consuming handler does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing: all that is measured is the way there.
    Nothing,
    /// Parses the value as JSON.
    Parse,
    /// Parses it [`PARSES`] times, which takes some ten microseconds.
    ParseOften,
}

const PARSES: usize = 25;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// `StreamConsumer::recv` and a handler.
    Consume,
    /// The runner with the same handler, which also commits.
    Runner,
    /// `FutureProducer::send_result`, or ours.
    Produce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracing {
    /// Not a word of ours in the loop.
    Bare,
    /// Set up; every message is sampled.
    All,
    /// Set up; one message of ten is sampled.
    Tenth,
    /// Written into the loop, and never set up.
    Off,
}

const fn row(name: &'static str, beside: &'static str, what: What, tracing: Tracing) -> Row {
    Row { name, beside, what, tracing, work: Work::Nothing }
}

const fn working(name: &'static str, beside: &'static str, tracing: Tracing, work: Work) -> Row {
    Row { name, beside, what: What::Consume, tracing, work }
}

/// Each is compared with the bare loop that it stands beside.
pub(crate) const ROWS: [Row; 14] = [
    row("consume/bare", "consume/bare", What::Consume, Tracing::Bare),
    row("consume", "consume/bare", What::Consume, Tracing::All),
    row("consume/10%", "consume/bare", What::Consume, Tracing::Tenth),
    row("consume/off", "consume/bare", What::Consume, Tracing::Off),
    working("consume/json/bare", "consume/json/bare", Tracing::Bare, Work::Parse),
    working("consume/json", "consume/json/bare", Tracing::All, Work::Parse),
    working("consume/10us/bare", "consume/10us/bare", Tracing::Bare, Work::ParseOften),
    working("consume/10us", "consume/10us/bare", Tracing::All, Work::ParseOften),
    row("runner", "consume/bare", What::Runner, Tracing::All),
    row("runner/off", "consume/bare", What::Runner, Tracing::Off),
    row("produce/bare", "produce/bare", What::Produce, Tracing::Bare),
    row("produce", "produce/bare", What::Produce, Tracing::All),
    row("produce/10%", "produce/bare", What::Produce, Tracing::Tenth),
    row("produce/off", "produce/bare", What::Produce, Tracing::Off),
];

impl Row {
    pub(crate) fn named(name: &str) -> &'static Self {
        ROWS.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no row {name}"))
    }

    /// The topic that a consumer reads.
    pub(crate) const fn topic(&self) -> &'static str {
        if matches!(self.tracing, Tracing::Tenth) { TENTH } else { SAMPLED }
    }

    /// Messages of a round.
    pub(crate) const fn messages(&self) -> u64 {
        if matches!(self.work, Work::ParseOften) { MESSAGES / 6 } else { MESSAGES }
    }

    /// Spans of a round of so many messages; `None` where a share is drawn.
    pub(crate) fn spans(&self, messages: u64) -> Option<u64> {
        match (self.what, self.tracing) {
            (_, Tracing::Bare | Tracing::Off) => Some(0),
            (_, Tracing::All) => Some(messages),
            (What::Produce, Tracing::Tenth) => None,
            (_, Tracing::Tenth) => Some(messages / 10),
        }
    }
}

/// Sets this process up for a row.
pub(crate) fn set_up(row: &Row) {
    let ratio = match row.tracing {
        Tracing::Bare | Tracing::Off => return,
        Tracing::All => 1.0,
        Tracing::Tenth => 0.1,
    };
    let telemetry = Setup::new("bench")
        .without_environment()
        .subscriber(false)
        .exporter(CountSpans)
        .sample_ratio(ratio)
        .install()
        .expect("the first set-up of a process");
    let _ = TELEMETRY.set(telemetry);
}

/// Spans exported until now, all of them.
pub(crate) fn exported() -> u64 {
    if let Some(telemetry) = TELEMETRY.get() {
        let report = telemetry.flush(Duration::from_secs(60));
        assert!(report.deadline_met, "{report}");
    }
    count::exported()
}

/// What every handler does.
#[inline(always)]
pub(crate) fn body(value: Option<&[u8]>, work: Work) {
    let times = match work {
        Work::Nothing => 0,
        Work::Parse => 1,
        Work::ParseOften => PARSES,
    };
    for _ in 0..times {
        let parsed: Result<serde_json::Value, _> =
            serde_json::from_slice(black_box(value).unwrap_or_default());
        let _ = black_box(parsed);
    }
    black_box(value);
}

#[kafka_consumer(group = "billing")]
pub(crate) async fn traced(message: &BorrowedMessage<'_>, work: Work) {
    body(message.payload(), work);
}

pub(crate) async fn bare(message: &BorrowedMessage<'_>, work: Work) {
    body(message.payload(), work);
}
