//! Instructions of one message's handler, counted by callgrind: without a broker and whatever the neighbours do.

use std::future::Future;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use rdkafka::Message as _;
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage, Timestamp};
use throughline::kafka_consumer;

use crate::broker::{SAMPLED, VALUE};
use crate::callgrind;
use crate::candidates::{self, Row, Tracing, Work};

const FEW: u64 = 200;
const MANY: u64 = 1_200;

/// Rows, and the most that CI allows.
const CANDIDATES: [(&str, Option<f64>); 4] = [
    ("consume/bare", None),
    ("consume", Some(2_000.0)),
    ("consume/10%", Some(1_345.0)),
    ("consume/off", Some(270.0)),
];

#[kafka_consumer(group = "billing")]
async fn traced(message: &OwnedMessage) {
    candidates::body(message.payload(), Work::Nothing);
}

async fn bare(message: &OwnedMessage) {
    candidates::body(message.payload(), Work::Nothing);
}

pub(crate) fn report(check: bool) -> ExitCode {
    println!("instructions per message on the consuming thread ({MANY} messages less {FEW}, callgrind)");
    let mut over = false;
    for (name, most) in CANDIDATES {
        let Some(per_message) = per_message(name) else {
            eprintln!("{name}: valgrind gave no count; is valgrind installed?");
            return ExitCode::FAILURE;
        };
        over |= most.is_some_and(|most| per_message > most);
        let most = most.map(|most| format!("  at most {most}")).unwrap_or_default();
        println!("{name:16}{per_message:>9.0}{most}");
    }
    if check && over { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[allow(clippy::cast_precision_loss)]
fn per_message(name: &str) -> Option<f64> {
    let (few, many) = (count(name, FEW)?, count(name, MANY)?);
    Some((many - few) as f64 / (MANY - FEW) as f64)
}

fn count(name: &str, messages: u64) -> Option<u64> {
    callgrind::instructions(&["once", name, &messages.to_string()])
}

/// Runs once under callgrind, which counts inside [`measured_region`] only.
pub(crate) fn once(name: &str, messages: u64) -> ExitCode {
    let row = Row::named(name);
    candidates::set_up(row);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let sent: Vec<OwnedMessage> = (0..10).map(|number| message(row, number)).collect();
    measured_region(row, &runtime, &sent, messages);
    let _ = candidates::exported();
    ExitCode::SUCCESS
}

fn message(row: &Row, number: i64) -> OwnedMessage {
    let flags = if row.tracing != Tracing::Tenth || number == 0 { "01" } else { "00" };
    let traceparent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333{number}-{flags}");
    let headers =
        OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(traceparent.as_str()) });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let sent = Timestamp::CreateTime(i64::try_from(now.as_millis()).unwrap_or(0));
    let key = format!("order-{number}").into_bytes();
    OwnedMessage::new(
        Some(VALUE.to_vec()),
        Some(key),
        SAMPLED.to_owned(),
        sent,
        3,
        1_000 + number,
        Some(headers),
    )
}

/// Callgrind starts and stops at whatever carries this name, so it holds no closure.
#[inline(never)]
fn measured_region(row: &Row, runtime: &tokio::runtime::Runtime, sent: &[OwnedMessage], messages: u64) {
    handle_all(row, runtime, sent, black_box(messages));
}

#[inline(never)]
fn handle_all(row: &Row, runtime: &tokio::runtime::Runtime, sent: &[OwnedMessage], messages: u64) {
    let is_bare = row.tracing == Tracing::Bare;
    let next = (0..messages).zip(sent.iter().cycle());
    runtime.block_on(async {
        for (_, message) in next {
            if is_bare {
                handle(bare(black_box(message))).await;
            } else {
                handle(traced(black_box(message))).await;
            }
        }
    });
}

async fn handle(handler: impl Future<Output = ()>) {
    handler.await;
}
