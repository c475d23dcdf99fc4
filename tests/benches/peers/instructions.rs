//! Instructions per span on the recording thread, counted by callgrind: what no machine and no neighbour changes.

use std::path::Path;
use std::process::{Command, ExitCode};

const FEW: u64 = 100;
const MANY: u64 = 500;
#[allow(clippy::cast_precision_loss)]
const SPANS: f64 = ((MANY - FEW) * 11) as f64;

/// Candidates, and the most instructions that ours may take.
const CANDIDATES: [(&str, Option<f64>); 8] = [
    ("ours", Some(800.0)),
    ("ours/leaf", Some(300.0)),
    ("ours/off", None),
    ("fastrace", None),
    ("fastrace/bare", None),
    ("sdk", None),
    ("tracing-opentelemetry", None),
    ("tracing/registry", None),
];

pub(crate) fn report(check: bool) -> ExitCode {
    println!("instructions per span on the recording thread ({MANY} traces less {FEW}, callgrind)");
    let mut missed = false;
    for (name, most) in CANDIDATES {
        let Some(per_span) = per_span(name) else {
            eprintln!("{name}: valgrind gave no count; is valgrind installed?");
            return ExitCode::FAILURE;
        };
        let verdict = match most {
            Some(most) if per_span <= most => format!("  goal {most:.0}  met"),
            Some(most) => {
                missed = true;
                format!("  goal {most:.0}  MISSED")
            }
            None => String::new(),
        };
        println!("{name:24}{per_span:>9.0}{verdict}");
    }
    if check && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[allow(clippy::cast_precision_loss)]
fn per_span(name: &str) -> Option<f64> {
    let few = count(name, FEW)?;
    let many = count(name, MANY)?;
    Some((many - few) as f64 / SPANS)
}

fn count(name: &str, traces: u64) -> Option<u64> {
    let program = std::env::current_exe().ok()?;
    let folder = std::env::temp_dir().join(format!("throughline-callgrind-{}", std::process::id()));
    std::fs::create_dir_all(&folder).ok()?;
    let out = folder.join("out");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes", "--toggle-collect=*measured_region*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(["once", name, &traces.to_string()])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .ok()?;
    let most = if status.success() { most_instructions(&folder) } else { None };
    std::fs::remove_dir_all(&folder).ok()?;
    most
}

/// One file per thread; the measured thread is the only one that collected.
fn most_instructions(folder: &Path) -> Option<u64> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    files
        .filter_map(|file| std::fs::read_to_string(file.path()).ok())
        .filter_map(|text| {
            let line =
                text.lines().find(|line| line.starts_with("totals:") || line.starts_with("summary:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        })
        .max()
}
