//! What a span costs, ours and our peers', in one run.
//!
//! ```text
//! cargo bench -p throughline-tests --bench peers                    # every mode and candidate
//! cargo bench -p throughline-tests --bench peers -- --quick         # fewer rounds, one thread
//! cargo bench -p throughline-tests --bench peers -- instructions    # counted by callgrind; needs valgrind
//! cargo bench -p throughline-tests --bench allocations              # counted by an allocator
//! ```
//!
//! A trace is a root and ten children, a child has an integer and a static string; bodies are equally empty. Each
//! candidate runs in a process of its own, they take turns round by round, and nothing may be lost: a row whose
//! exporter did not get every span is void. Compare inside one run only: machines and their neighbours differ.

#[path = "../callgrind.rs"]
mod callgrind;
mod candidates;
mod drive;
mod instructions;
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench" && argument != "--nocapture")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["worker", name] => worker::serve(name),
        ["once", name, traces] => worker::once(name, traces.parse().unwrap_or(100)),
        ["instructions", check @ ..] => instructions::report(check.contains(&"--check")),
        [] => drive::everything(121),
        ["--quick", check @ ..] => drive::quick(21, check.contains(&"--check")),
        other => {
            eprintln!("unknown arguments {other:?}; see the first lines of tests/benches/peers/main.rs");
            ExitCode::FAILURE
        }
    }
}
