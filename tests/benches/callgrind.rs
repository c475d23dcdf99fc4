//! Instructions of a region, counted by callgrind: what no machine and no neighbour changes.

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs this program once more, with these arguments, and counts inside `measured_region`. `None`: valgrind or the run
/// failed.
pub(crate) fn instructions(arguments: &[&str]) -> Option<u64> {
    let program = std::env::current_exe().ok()?;
    let folder = std::env::temp_dir().join(format!("throughline-callgrind-{}", std::process::id()));
    std::fs::create_dir_all(&folder).ok()?;
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes", "--toggle-collect=*measured_region*"])
        .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
        .arg(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    let most = if status.success() { most_instructions(&folder) } else { None };
    std::fs::remove_dir_all(&folder).ok()?;
    most
}

/// One file per thread; the measured thread is the only one that collected.
fn most_instructions(folder: &Path) -> Option<u64> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let totals = files.filter_map(|file| {
        let text = std::fs::read_to_string(file.path()).ok()?;
        let line = text.lines().find(|line| line.starts_with("totals:") || line.starts_with("summary:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    });
    totals.max()
}
