//! The parent process: lets the candidates take turns, and prints what came out.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

use crate::candidates::{ROWS, Row};

/// Rounds that are thrown away.
const WARM_UP: usize = 1;

struct Process {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("the path of this program");
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts once more");
        let answers = BufReader::new(child.stdout.take().expect("piped above"));
        Self { child, answers }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the process answers");
        line
    }

    fn ask(&mut self) -> Vec<u64> {
        let input = self.child.stdin.as_mut().expect("piped above");
        writeln!(input, "round").expect("the process reads");
        let line = self.line();
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert_eq!(numbers.len(), 5, "{line:?}");
        numbers
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        let ended = self.child.wait();
        assert!(ended.is_ok_and(|status| status.success()), "a process did not end well");
    }
}

struct Runner {
    row: &'static Row,
    process: Process,
    per_second: Vec<f64>,
    thread_ns: Vec<f64>,
    process_ns: Vec<f64>,
    lost: u64,
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[allow(clippy::cast_precision_loss)]
pub(crate) fn compare(rounds: usize, chosen: &str) -> ExitCode {
    let mut broker = Process::start(&["broker"]);
    let servers = broker.line().trim().to_owned();
    let is_chosen = |row: &&Row| {
        row.name.starts_with(chosen)
            || ROWS.iter().any(|other| other.beside == row.name && other.name.starts_with(chosen))
    };
    let mut runners: Vec<Runner> = ROWS
        .iter()
        .filter(is_chosen)
        .map(|row| Runner {
            row,
            process: Process::start(&["worker", row.name, &servers]),
            per_second: Vec::new(),
            thread_ns: Vec::new(),
            process_ns: Vec::new(),
            lost: 0,
        })
        .collect();
    for round in 0..rounds + WARM_UP {
        for runner in &mut runners {
            let answer = runner.process.ask();
            let (messages, exported) = (answer[0], answer[4]);
            runner.lost += runner.row.spans(messages).map_or(0, |spans| spans.saturating_sub(exported));
            if round < WARM_UP {
                continue;
            }
            let messages = messages as f64;
            runner.per_second.push(messages * 1e9 / answer[1] as f64);
            runner.thread_ns.push(answer[2] as f64 / messages);
            runner.process_ns.push(answer[3] as f64 / messages);
        }
    }
    println!(
        "{rounds} rounds; medians; `against` is msgs/s against the bare loop, by pairs of one round, and so is `cpu`"
    );
    println!(
        "{:18}{:>10}{:>9}{:>8}{:>11}{:>12}{:>7}{:>8}",
        "", "msgs/s", "against", "ns", "thread ns", "process ns", "cpu", "lost"
    );
    let pairs: Vec<(f64, f64)> = runners
        .iter()
        .map(|runner| {
            let speed = against(runner, &runners, |runner| &runner.per_second);
            (speed, against(runner, &runners, |runner| &runner.process_ns))
        })
        .collect();
    let mut void = false;
    for (mut runner, (against, cpu)) in runners.into_iter().zip(pairs) {
        void |= runner.lost > 0;
        let per_second = median(&mut runner.per_second);
        println!(
            "{:18}{per_second:>10.0}{against:>9.2}{:>8.0}{:>11.0}{:>12.0}{cpu:>7.2}{:>8}{}",
            runner.row.name,
            1e9 / per_second,
            median(&mut runner.thread_ns),
            median(&mut runner.process_ns),
            runner.lost,
            if runner.lost > 0 { "  VOID: spans were lost" } else { "" },
        );
        runner.process.end();
    }
    broker.end();
    if void { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The median of the ratios to the bare loop's rounds: neighbours that come and go hit both of a round.
fn against(runner: &Runner, all: &[Runner], of: impl Fn(&Runner) -> &Vec<f64>) -> f64 {
    let Some(bare) = all.iter().find(|other| other.row.name == runner.row.beside) else { return f64::NAN };
    let mut ratios: Vec<f64> = of(runner).iter().zip(of(bare)).map(|(ours, bare)| ours / bare).collect();
    median(&mut ratios)
}
