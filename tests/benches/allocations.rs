//! Allocations per span on the recording thread.
//!
//! ```text
//! cargo bench -p throughline-tests --bench allocations
//! ```

use std::process::{Command, ExitCode};

#[allow(dead_code)]
#[path = "peers/candidates/mod.rs"]
mod candidates;
mod counting;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Candidates, and the most allocations that ours may make.
const CANDIDATES: [(&str, Option<f64>); 6] = [
    ("ours", Some(2.0)),
    ("ours/leaf", Some(0.1)),
    ("fastrace", None),
    ("fastrace/bare", None),
    ("sdk", None),
    ("tracing-opentelemetry", None),
];

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

#[allow(clippy::cast_precision_loss)]
fn worker(name: &str) -> ExitCode {
    const TRACES: u64 = 500;
    let candidate = candidates::start(name);
    candidate.run(candidates::Mode::OneThread, 300);
    (candidate.flush)();
    let before = counting::on_this_thread();
    candidate.run(candidates::Mode::OneThread, TRACES);
    let after = counting::on_this_thread();
    let spans = (TRACES * 11) as f64;
    println!("{} {}", (after.0 - before.0) as f64 / spans, (after.1 - before.1) as f64 / spans);
    ExitCode::SUCCESS
}
