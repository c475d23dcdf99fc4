//! Tests that are alone in their process: what they set up is global, or they end in ways that others would feel.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const INSIDE: &str = "KAFKA_FAULTS_TEST_IS_ALONE";

/// What a process said.
pub(crate) struct Said {
    pub out: String,
    pub err: String,
}

/// Runs the test here, if this process was started for it, or else starts such a process and gives what it said.
///
/// A process that takes longer than `limit` is ended: a hang is a failure with a name.
pub(crate) fn run(path: &str, limit: Duration, test: impl FnOnce()) -> Option<Said> {
    if std::env::var_os(INSIDE).is_some() {
        test();
        return None;
    }
    // Without the name of the crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    let mut command = Command::new(std::env::current_exe().expect("path of the test binary"));
    command.args(["--exact", "--nocapture", "--include-ignored", "--test-threads=1", name]).env(INSIDE, "1");
    // The message says it, and a run under load has panics on purpose.
    command.env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (variable, _) in std::env::vars_os() {
        let variable = variable.to_string_lossy();
        if ["OTEL_", "TRACING_"].iter().any(|prefix| variable.starts_with(prefix)) {
            command.env_remove(variable.as_ref());
        }
    }
    let mut child = command.spawn().expect("the process runs");
    let (out, err) = (read(child.stdout.take()), read(child.stderr.take()));
    let status = ends(&mut child, limit);
    let said = Said { out: out.join().expect("a reader"), err: err.join().expect("a reader") };
    let Said { out, err } = &said;
    match status {
        None => panic!("{name} took longer than {limit:?}\n{out}\n{err}"),
        Some(status) => assert!(status.success(), "{name}: {status}\n{out}\n{err}"),
    }
    assert!(out.contains("1 passed"), "no test `{name}`\n{out}");
    Some(said)
}

fn read(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut all = Vec::new();
        let _ = pipe.expect("a pipe").read_to_end(&mut all);
        String::from_utf8_lossy(&all).into_owned()
    })
}

/// `None` if it had to be ended.
fn ends(child: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return Some(status);
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        // The standard library has no wait with a deadline.
        thread::sleep(Duration::from_millis(20));
    }
}
