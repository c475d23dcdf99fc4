//! What tracing costs a program that consumes and produces, beside the same loop without it, in one run.
//!
//! ```text
//! cargo bench -p throughline-tests --bench kafka                    # all rows
//! cargo bench -p throughline-tests --bench kafka -- --quick         # fewer rounds
//! cargo bench -p throughline-tests --bench kafka -- consume         # rows whose name begins so; or produce, runner
//! cargo bench -p throughline-tests --bench kafka -- instructions    # of one message, by callgrind; needs valgrind. With
//!                                                                   # --check it fails where there are more than allowed
//! ```
//!
//! The embedded cluster runs in a process of its own and so does each candidate; they take turns round by round. A round
//! of `consume` reads every record of a topic, values of 100 bytes with a key and a `traceparent`, once more from the
//! start; a round of `produce` sends as many. Nothing may be lost: a row whose exporter did not get every span is void.
//!
//! A loop that does nothing with a message is the worst case, so other rows parse its 100 bytes of JSON once, or as often as
//! takes some 10 µs.
//!
//! `msgs/s` is by the wall clock, and says what a user gets whose loop does nothing else on a machine with nothing else to
//! do: the fetching thread, the loop, the broker and the thread that exports share its processors. `thread ns` is the
//! processor time of the thread that runs the loop, `process ns` that of all threads, librdkafka's and the
//! exporter's included; `cpu` compares the latter with the bare loop's, and is what neighbours change least.

mod broker;
#[path = "../callgrind.rs"]
mod callgrind;
mod candidates;
#[allow(dead_code)]
#[path = "../peers/candidates/count.rs"]
mod count;
mod drive;
mod instructions;
mod produce;
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench" && argument != "--nocapture")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["broker"] => broker::serve(),
        ["worker", name, servers] => worker::serve(name, servers),
        ["once", name, messages] => instructions::once(name, messages.parse().unwrap_or(100)),
        ["instructions", check @ ..] => instructions::report(check.contains(&"--check")),
        [] => drive::compare(15, ""),
        ["--quick"] => drive::compare(5, ""),
        ["--quick", row] | [row, "--quick"] => drive::compare(5, row),
        [row] => drive::compare(15, row),
        other => {
            eprintln!("unknown arguments {other:?}; see the first lines of tests/benches/kafka/main.rs");
            ExitCode::FAILURE
        }
    }
}
