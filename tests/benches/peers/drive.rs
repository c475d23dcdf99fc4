//! The parent process: lets the candidates take turns, and prints what came out.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

use crate::candidates::Mode;

/// Rounds that are thrown away.
const WARM_UP: usize = 3;
const SPANS_PER_TRACE: f64 = 11.0;
const REFERENCE: &str = "fastrace";

struct Runner {
    name: &'static str,
    child: Child,
    answers: BufReader<ChildStdout>,
    hot_ns: Vec<f64>,
    process_ns: Vec<f64>,
    exported: u64,
    lost: u64,
}

impl Runner {
    fn start(name: &'static str) -> Self {
        let program = std::env::current_exe().expect("the path of this program");
        let mut child = Command::new(program)
            .args(["worker", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts once more");
        let answers = BufReader::new(child.stdout.take().expect("piped above"));
        Self { name, child, answers, hot_ns: Vec::new(), process_ns: Vec::new(), exported: 0, lost: 0 }
    }

    fn round(&mut self, mode: Mode, traces: u64) -> Vec<u64> {
        let input = self.child.stdin.as_mut().expect("piped above");
        writeln!(input, "{} {traces}", mode.word()).expect("the worker reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the worker answers");
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert_eq!(numbers.len(), 5, "{} answered {line:?}", self.name);
        numbers
    }
}

/// Value of a sorted list at a share of its length.
fn at(sorted: &[f64], share: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Nanoseconds per span of the recording thread, the median, by candidate.
fn compare(mode: Mode, traces: u64, rounds: usize, names: &[&'static str]) -> Vec<(&'static str, f64)> {
    let mut runners: Vec<Runner> = names.iter().map(|name| Runner::start(name)).collect();
    for round in 0..rounds + WARM_UP {
        for runner in &mut runners {
            let answer = runner.round(mode, traces);
            if round < WARM_UP {
                continue;
            }
            #[allow(clippy::cast_precision_loss)]
            let per_span = |ns: u64| ns as f64 / (traces as f64 * SPANS_PER_TRACE);
            let threads = if mode == Mode::TwoThreads { 2.0 } else { 1.0 };
            runner.hot_ns.push(per_span(answer[1]));
            runner.process_ns.push(per_span(answer[2]) / threads);
            runner.exported += answer[3];
            runner.lost += answer[4];
        }
    }
    println!(
        "\n{}, {traces} traces a round, {rounds} rounds; ns per span on the recording thread",
        mode.word()
    );
    println!(
        "{:24}{:>9}{:>9}{:>9}{:>9}{:>11}{:>12}{:>8}",
        "", "median", "p10", "p90", "ratio", "process", "exported", "lost"
    );
    for runner in &mut runners {
        runner.hot_ns.sort_by(f64::total_cmp);
        runner.process_ns.sort_by(f64::total_cmp);
    }
    let reference =
        runners.iter().find(|runner| runner.name == REFERENCE).map_or(f64::NAN, |r| at(&r.hot_ns, 0.5));
    let mut medians = Vec::new();
    for mut runner in runners {
        let median = at(&runner.hot_ns, 0.5);
        println!(
            "{:24}{median:>9.1}{:>9.1}{:>9.1}{:>9.2}{:>11.1}{:>12}{:>8}{}",
            runner.name,
            at(&runner.hot_ns, 0.1),
            at(&runner.hot_ns, 0.9),
            median / reference,
            at(&runner.process_ns, 0.5),
            runner.exported,
            runner.lost,
            if runner.lost > 0 { "  VOID: spans were lost" } else { "" },
        );
        medians.push((runner.name, if runner.lost > 0 { f64::NAN } else { median }));
        drop(runner.child.stdin.take());
        let ended = runner.child.wait();
        assert!(ended.is_ok_and(|status| status.success()), "{} did not end well", runner.name);
    }
    medians
}

const SYNC: [&str; 11] = [
    "fastrace",
    "ours",
    "ours/leaf",
    "ours/10%",
    "ours/off",
    "fastrace/static",
    "fastrace/bare",
    "sdk",
    "sdk/10%",
    "tracing-opentelemetry",
    "tracing/registry",
];

/// All modes, all candidates.
pub(crate) fn everything(rounds: usize) -> ExitCode {
    compare(Mode::OneThread, 1_000, rounds, &SYNC);
    compare(
        Mode::TwoThreads,
        1_000,
        rounds / 2,
        &["fastrace", "ours", "ours/leaf", "sdk", "tracing-opentelemetry"],
    );
    compare(Mode::Cold, 200, rounds / 2, &["fastrace", "ours", "ours/leaf", "sdk"]);
    for mode in [Mode::Ready, Mode::Yield] {
        compare(mode, 200, rounds / 2, &["fastrace", "ours", "sdk", "tracing-opentelemetry"]);
    }
    ExitCode::SUCCESS
}

/// The goals that are ratios, with few rounds. With `check`, a missed goal is a failure.
pub(crate) fn quick(rounds: usize, check: bool) -> ExitCode {
    let medians = compare(
        Mode::OneThread,
        1_000,
        rounds,
        &["fastrace", "ours", "ours/leaf", "ours/off", "tracing-opentelemetry", "fastrace/bare"],
    );
    let of = |name: &str| medians.iter().find(|(found, _)| *found == name).map_or(f64::NAN, |(_, ns)| *ns);
    let goals = [
        ("default mode / fastrace", of("ours") / of("fastrace"), 0.40),
        ("default mode / tracing-opentelemetry", of("ours") / of("tracing-opentelemetry"), 0.10),
        ("leaf / fastrace", of("ours/leaf") / of("fastrace"), 0.20),
        ("switched off, ns", of("ours/off"), 5.0),
    ];
    println!();
    let mut missed = false;
    for (what, value, most) in goals {
        // A void row gives no number, and no number is no success.
        let met = value <= most;
        missed |= !met;
        println!("{what:40}{value:>8.3}  goal {most:.2}  {}", if met { "met" } else { "MISSED" });
    }
    if check && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
