//! The program `throughline`, for tests that run it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

/// Where the program is. It is built with the features that the workspace has: together with an example, because a build of
/// a program alone would leave out the features that the tests of the workspace turn on, and build everything once more.
///
/// # Panics
///
/// If it does not build.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let arguments = ["build", "--quiet", "--workspace", "--message-format=json", "--bin", "throughline"];
        let output = Command::new(env!("CARGO")).args(arguments).args(["--example", "planning"]).output();
        let output = output.expect("cargo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let messages = String::from_utf8_lossy(&output.stdout);
        let built = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut programs = built.filter(|message| message["target"]["kind"][0] == "bin");
        let program = programs.find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
        program.expect("an executable")
    })
}

/// The program with these arguments, and with no variable of ours from outside.
#[must_use]
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(path());
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("THROUGHLINE_") || name.starts_with("OTEL_") || name.starts_with("TRACING_") {
            command.env_remove(name);
        }
    }
    command
}

/// `throughline serve`, on ports that were free. It ends with this value.
#[derive(Debug)]
pub struct Serve {
    child: Child,
    /// Its first lines.
    pub greeting: String,
    /// Kept open: a closed one would be the program's affair.
    _output: BufReader<std::process::ChildStdout>,
}

impl Serve {
    /// Starts it over this store; returns when it is ready.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn start(database: &str, more: &[&str]) -> Self {
        Self::with(database, more, |_| ())
    }

    /// The same, with a command that can be changed before.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn with(database: &str, more: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let mut command = command(&["serve", "--database", database]);
        for flag in ["--listen", "--listen-http", "--listen-grpc"] {
            if !more.contains(&flag) {
                command.args([flag, "127.0.0.1:0"]);
            }
        }
        command.args(more).stdout(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().expect("the program");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut greeting = String::new();
        // The lines come at once; the last of them are those to be copied.
        while !greeting.contains("OTEL_EXPORTER_OTLP_ENDPOINT=") {
            let read = output.read_line(&mut greeting).expect("text");
            assert!(read > 0, "it ended after {greeting:?}: {:?}", child.wait());
        }
        Self { child, greeting, _output: output }
    }

    fn line(&self, name: &str) -> &str {
        let line = self.greeting.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.greeting)).trim()
    }

    /// The URL of a path on the port of the REST API.
    #[must_use]
    pub fn api(&self, path: &str) -> String {
        format!("{}{path}", self.line("REST API").trim_end_matches("/api/traces/"))
    }

    /// Where OTLP over HTTP goes: a full URL.
    #[must_use]
    pub fn otlp_http(&self) -> &str {
        self.line("OTLP/HTTP")
    }

    /// Where OTLP over gRPC goes.
    #[must_use]
    pub fn otlp_grpc(&self) -> &str {
        self.line("OTLP/gRPC")
    }

    /// Sends a signal, by its name without `SIG`.
    ///
    /// # Panics
    ///
    /// If there is no program `kill`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// If it cannot be waited for.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child of ours")
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
