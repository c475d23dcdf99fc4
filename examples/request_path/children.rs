//! Child processes: how they are started, how they say that they are ready, and how they end.
//!
//! A child's standard input is the leash: told to, the child finishes its work and ends; when the parent dies without a
//! word, it ends at once, because nobody is left to send spans to.

use std::io::IsTerminal;
use std::process::Stdio;

use throughline_examples::{note, say};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{Destination, Error, Role};

const READY: &str = "ready: ";
const FINISH: &str = "finish";

/// In a child: tells the parent an address.
pub(crate) fn ready(address: &str) {
    say(format_args!("{READY}{address}"));
}

/// In a child: waits until the parent is done with it.
pub(crate) async fn parent_is_done() {
    let (sender, done) = oneshot::channel::<()>();
    // A thread of our own: a runtime that ends would wait for its blocking read.
    std::thread::spawn(move || {
        let mut word = String::new();
        match std::io::stdin().read_line(&mut word) {
            Ok(_) if word.trim() == FINISH => drop(sender),
            _ => std::process::exit(1),
        }
    });
    let _ = done.await;
}

/// A process that the parent started.
pub(crate) struct Started {
    child: Child,
    /// Apart from the child, whose `wait` would close it.
    leash: Option<ChildStdin>,
    output: [JoinHandle<()>; 2],
    /// What it said when it was ready.
    pub(crate) address: String,
}

/// Starts this program in another role and waits until it is ready.
pub(crate) async fn start(role: Role, kafka: &str, destination: &Destination) -> Result<Started, Error> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--role", role.name(), "--kafka", kafka, "--collector", &destination.collector])
        .args(destination.database.iter().flat_map(|url| ["--database", url]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let leash = child.stdin.take();
    let (output, log) = child.stdout.take().zip(child.stderr.take()).ok_or("no output")?;
    let log = tokio::spawn(pass_on(BufReader::new(log).lines()));
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = line.strip_prefix(READY) {
            let address = address.to_owned();
            // Anything else that it says goes where its log lines go.
            let output = [log, tokio::spawn(pass_on(lines))];
            return Ok(Started { child, leash, output, address });
        }
        pass(&line);
    }
    let status = child.wait().await?;
    let _ = log.await;
    Err(format!("the {} ended before it was ready, with {status}", role.name()).into())
}

async fn pass_on<R: AsyncRead + Unpin>(mut lines: Lines<BufReader<R>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        pass(&line);
    }
}

/// Prints a child's line on standard error, on a terminal in place of the progress line.
fn pass(line: &str) {
    let clear = if std::io::stderr().is_terminal() { "\r\u{1b}[K" } else { "" };
    note(format_args!("{clear}{line}"));
}

impl Started {
    /// Lets the process finish its work, deliver its last spans and end; all that it printed is out by then.
    pub(crate) async fn finish(mut self) -> Result<(), Error> {
        if let Some(mut leash) = self.leash.take() {
            leash.write_all(format!("{FINISH}\n").as_bytes()).await?;
        }
        let status = self.child.wait().await?;
        for output in self.output {
            let _ = output.await;
        }
        if status.success() { Ok(()) } else { Err(format!("a child process ended with {status}").into()) }
    }

    /// Waits until it ends by itself, which it only does when something is wrong.
    pub(crate) async fn failed(&mut self) -> Error {
        match self.child.wait().await {
            Ok(status) => format!("a child process ended early, with {status}").into(),
            Err(error) => error.into(),
        }
    }

    /// Kills it without any warning.
    pub(crate) async fn kill(mut self) -> Result<(), Error> {
        Ok(self.child.kill().await?)
    }
}
