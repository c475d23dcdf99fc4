//! Allocations per span on the recording thread, and per message that a context is extracted from.
//!
//! ```text
//! cargo bench -p throughline-tests --bench allocations
//! ```

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::message::{OwnedHeaders, OwnedMessage, Timestamp};
use throughline::propagation::{Duplicates, codec};
use throughline::{Setup, kafka_consumer};

#[allow(dead_code)]
#[path = "peers/candidates/mod.rs"]
mod candidates;
mod counting;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Candidates, and the most allocations that ours may make.
const CANDIDATES: [(&str, Option<f64>); 10] = [
    ("ours", Some(2.0)),
    ("ours/leaf", Some(0.1)),
    ("fastrace", None),
    ("fastrace/bare", None),
    ("sdk", None),
    ("tracing-opentelemetry", None),
    // No more than any span: nothing for what it tells of its message.
    (CONSUME, Some(2.0)),
    (CONSUME_UNSAMPLED, Some(1.0)),
    // The context that it gives is one allocation; there is nothing before it.
    (EXTRACT, Some(1.0)),
    (EXTRACT_NOTHING, Some(0.0)),
];

const CONSUME: &str = "consume";
const CONSUME_UNSAMPLED: &str = "consume/unsampled";
const EXTRACT: &str = "extract";
const EXTRACT_NOTHING: &str = "extract/nothing";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [word, name] = arguments.as_slice()
        && word == "worker"
    {
        return worker(name);
    }
    let check = arguments.iter().any(|argument| argument == "--check");
    println!("{:24}{:>12}{:>12}", "per span", "allocations", "bytes");
    let mut missed = false;
    for (name, most) in CANDIDATES {
        let program = std::env::current_exe().expect("the path of this program");
        let output =
            Command::new(program).args(["worker", name]).output().expect("this program starts once more");
        let text = String::from_utf8_lossy(&output.stdout);
        let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<f64>().ok());
        let (Some(allocations), Some(bytes)) = (numbers.next(), numbers.next()) else {
            eprintln!("{name} answered {text:?}");
            return ExitCode::FAILURE;
        };
        // A new chunk for 256 spans is an allocation, too, until the pool has enough of them.
        let met = most.is_none_or(|most| allocations <= most + 0.02);
        missed |= !met;
        let goal = most.map(|most| format!("  goal {most}  {}", if met { "met" } else { "MISSED" }));
        println!("{name:24}{allocations:>12.2}{bytes:>12.0}{}", goal.unwrap_or_default());
    }
    if check && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn worker(name: &str) -> ExitCode {
    match name {
        EXTRACT => extract(true),
        EXTRACT_NOTHING => extract(false),
        CONSUME => consume("01"),
        CONSUME_UNSAMPLED => consume("00"),
        _ => spans(name),
    }
    ExitCode::SUCCESS
}

/// Prints what the second call of `work` allocated, by what it gives the number of.
#[allow(clippy::cast_precision_loss)]
fn counted(mut work: impl FnMut() -> u64, between: impl FnOnce()) {
    work();
    between();
    let before = counting::on_this_thread();
    let spans = work() as f64;
    let after = counting::on_this_thread();
    println!("{} {}", (after.0 - before.0) as f64 / spans, (after.1 - before.1) as f64 / spans);
}

fn spans(name: &str) {
    let candidate = candidates::start(name);
    let run = || {
        candidate.run(candidates::Mode::OneThread, 400);
        400 * 11
    };
    counted(run, || {
        (candidate.flush)();
    });
}

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-";

fn extract(with_context: bool) {
    let mut headers = vec![("x-tenant".to_owned(), b"acme".to_vec())];
    if with_context {
        headers.push(("traceparent".to_owned(), format!("{TRACEPARENT}01").into_bytes()));
    }
    let work = || {
        for _ in 0..1_000 {
            let cx = codec::extract(&Context::new(), black_box(&headers), Duplicates::Last);
            assert_eq!(cx.span().span_context().is_valid(), with_context);
        }
        1_000
    };
    counted(work, || ());
}

#[kafka_consumer(group = "billing")]
fn handle(message: &OwnedMessage) {
    black_box(message);
}

fn consume(flags: &str) {
    let telemetry = Setup::new("bench")
        .without_environment()
        .subscriber(false)
        .exporter(candidates::CountSpans)
        .install()
        .expect("the first set-up of a process");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let sent = Timestamp::CreateTime(i64::try_from(now.as_millis()).unwrap_or(0));
    let traceparent = format!("{TRACEPARENT}{flags}");
    let header = rdkafka::message::Header { key: "traceparent", value: Some(traceparent.as_str()) };
    let headers = Some(OwnedHeaders::new().insert(header));
    let key = Some(b"order-7".to_vec());
    let message = OwnedMessage::new(Some(b"{}".to_vec()), key, "orders".to_owned(), sent, 3, 1_000, headers);
    let work = || {
        for _ in 0..4_000 {
            handle(black_box(&message));
        }
        4_000
    };
    counted(work, || {
        let _ = telemetry.flush(std::time::Duration::from_secs(10));
    });
}
