//! Runs one program of `programs` as a process of its own and reads what it printed.

use std::process::{Command, Stdio};

use serde_json::Value;

/// A program that has ended.
pub(crate) struct Ended {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: std::process::ExitStatus,
}

/// The program of this name, with nothing of our environment that set-up would read.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("path of the test binary"));
    command.args(["--ignored", "--exact", "--nocapture", "--test-threads=1"]);
    command.arg(format!("programs::{program}"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["OTEL_", "TRACING_", "THROUGHLINE_", "JAEGER_"].iter().any(|prefix| name.starts_with(prefix))
            || ["ENABLE_TRACING", "ENVIRONMENT", "RUST_LOG"].contains(&name.as_ref())
        {
            command.env_remove(name.as_ref());
        }
    }
    command.env("THROUGHLINE_CONSOLE_FORMAT", "json").stdin(Stdio::null());
    command
}

/// Runs it to its end, which must be a good one.
pub(crate) fn run(program: &str, variables: &[(&str, &str)]) -> Ended {
    let output = command(program).envs(variables.iter().copied()).output().expect("the program runs");
    let ended = Ended {
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
        status: output.status,
    };
    assert!(ended.status.success(), "{program}: {}\n{}\n{}", ended.status, ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("1 passed"), "no program `{program}`");
    ended
}

impl Ended {
    /// The spans that the console exporter printed as JSON lines.
    pub(crate) fn spans(&self) -> Vec<Value> {
        objects(&self.stdout).filter(|object| object.get("operation_name").is_some()).collect()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.spans().iter().map(|span| text(span, "operation_name").to_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn span(&self, name: &str) -> Value {
        let found = self.spans().into_iter().find(|span| text(span, "operation_name") == name);
        found.unwrap_or_else(|| panic!("no span {name}\n{}\n{}", self.stdout, self.stderr))
    }

    /// The log lines that are JSON.
    pub(crate) fn log_objects(&self) -> Vec<Value> {
        objects(&self.stderr).collect()
    }
}

fn objects(text: &str) -> impl Iterator<Item = Value> + '_ {
    // The test harness prints its own words, also in front of a line.
    text.lines().filter_map(|line| serde_json::from_str(line.get(line.find('{')?..)?).ok())
}

pub(crate) fn text<'v>(span: &'v Value, field: &str) -> &'v str {
    span.get(field).and_then(Value::as_str).unwrap_or_default()
}
