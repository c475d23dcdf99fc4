//! Instructions per span on the recording thread, counted by callgrind: what no machine and no neighbour changes.

use std::process::ExitCode;

use crate::callgrind;

const FEW: u64 = 100;
const MANY: u64 = 500;
#[allow(clippy::cast_precision_loss)]
const SPANS: f64 = ((MANY - FEW) * 11) as f64;

/// What ours may take.
struct Budget {
    /// What we want.
    goal: f64,
    /// What we have, and 3 % for compilers to differ: with `--check`, more than this is a failure.
    most: f64,
}

const CANDIDATES: [(&str, Option<Budget>); 8] = [
    ("ours", Some(Budget { goal: 800.0, most: 790.0 })),
    ("ours/leaf", Some(Budget { goal: 300.0, most: 285.0 })),
    ("ours/off", None),
    ("fastrace", None),
    ("fastrace/bare", None),
    ("sdk", None),
    ("tracing-opentelemetry", None),
    ("tracing/registry", None),
];

pub(crate) fn report(check: bool) -> ExitCode {
    println!("instructions per span on the recording thread ({MANY} traces less {FEW}, callgrind)");
    println!("{:24}{:>9}{:>8}{:>8}", "", "", "goal", "most");
    let mut over = false;
    for (name, budget) in CANDIDATES {
        let Some(per_span) = per_span(name) else {
            eprintln!("{name}: valgrind gave no count; is valgrind installed?");
            return ExitCode::FAILURE;
        };
        print!("{name:24}{per_span:>9.0}");
        if let Some(Budget { goal, most }) = budget {
            over |= per_span > most;
            let verdict = if per_span > most {
                "OVER THE MOST"
            } else if per_span > goal {
                "goal missed"
            } else {
                "goal met"
            };
            print!("{goal:>8.0}{most:>8.0}  {verdict}");
        }
        println!();
    }
    if check && over { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[allow(clippy::cast_precision_loss)]
fn per_span(name: &str) -> Option<f64> {
    let few = count(name, FEW)?;
    let many = count(name, MANY)?;
    Some((many - few) as f64 / SPANS)
}

fn count(name: &str, traces: u64) -> Option<u64> {
    callgrind::instructions(&["once", name, &traces.to_string()])
}
