//! Child processes: how they are started, how they say that they are ready, and how they end.
//!
//! A child's standard input is the leash: when the parent closes it, or dies, the child ends by itself.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;

use crate::{Error, Role};

const READY: &str = "ready: ";

/// In a child: tells the parent an address.
pub(crate) fn ready(address: &str) {
    println!("{READY}{address}");
}

/// In a child: waits until the parent is done with it.
pub(crate) async fn parent_is_done() {
    let (sender, done) = oneshot::channel::<()>();
    // A thread of our own: a runtime that ends would wait for its blocking read.
    std::thread::spawn(move || {
        // However it ends, there is no parent any more.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(sender);
    });
    let _ = done.await;
}

/// A process that the parent started.
pub(crate) struct Started {
    child: Child,
    /// Apart from the child, whose `wait` would close it.
    leash: Option<ChildStdin>,
    /// What it said when it was ready.
    pub(crate) address: String,
}

/// Starts this program in another role and waits until it is ready.
pub(crate) async fn start(role: Role, kafka: &str, collector: &str) -> Result<Started, Error> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--role", role.name(), "--kafka", kafka, "--collector", collector])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let leash = child.stdin.take();
    let output = child.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = line.strip_prefix(READY) {
            let address = address.to_owned();
            // Anything else that it says goes where its log lines go.
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    eprintln!("{line}");
                }
            });
            return Ok(Started { child, leash, address });
        }
        eprintln!("{line}");
    }
    Err(format!("the {} ended before it was ready: {}", role.name(), child.wait().await?).into())
}

impl Started {
    /// Lets the process end by itself, which delivers its last spans.
    pub(crate) async fn finish(mut self) -> Result<(), Error> {
        drop(self.leash.take());
        let status = self.child.wait().await?;
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
