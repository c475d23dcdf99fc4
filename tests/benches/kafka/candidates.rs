//! The loops that are compared, each written as its users write it.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::message::BorrowedMessage;
use throughline::{Setup, Telemetry, kafka_consumer};

use crate::broker::{SAMPLED, TENTH};
use crate::count::{self, CountSpans};

static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();

/// A row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) beside: &'static str,
    pub(crate) what: What,
    pub(crate) tracing: Tracing,
}

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
    Row { name, beside, what, tracing }
}

/// Each is compared with the bare loop that it stands beside.
pub(crate) const ROWS: [Row; 10] = [
    row("consume/bare", "consume/bare", What::Consume, Tracing::Bare),
    row("consume", "consume/bare", What::Consume, Tracing::All),
    row("consume/10%", "consume/bare", What::Consume, Tracing::Tenth),
    row("consume/off", "consume/bare", What::Consume, Tracing::Off),
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
pub(crate) fn body(value: Option<&[u8]>) {
    black_box(value);
}

#[kafka_consumer(group = "billing")]
pub(crate) async fn traced(message: &BorrowedMessage<'_>) {
    body(message.payload());
}

pub(crate) async fn bare(message: &BorrowedMessage<'_>) {
    body(message.payload());
}
