//! The program `throughline`. Its guide is `runtime/docs/serve.md`.
//!
//! | file | holds |
//! |---|---|
//! | `args` | the command line |
//! | `run` | `throughline serve`, from the first line to the last span |
//! | `listen` | connections, and how they end |
//! | `greeting` | the lines at the start |
//! | `from_kafka` | `serve --from-kafka` |
//! | `migrate` | `throughline migrate` |

mod args;
mod error;
#[cfg(feature = "kafka")]
mod from_kafka;
mod greeting;
mod listen;
mod migrate;
mod run;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use self::args::{Command, Program};
use self::error::ServeError;
use crate::export::chain::chain;

/// Runs the program: reads the command line, and returns when it is done.
pub fn main() -> ExitCode {
    let done = match Program::parse().command {
        Command::Serve(serve) => in_runtime(run::serve(*serve)),
        Command::Migrate(migrate) => in_runtime(migrate::migrate(migrate)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed, which is no reason to panic.
            let _ = writeln!(std::io::stderr(), "throughline: error: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn in_runtime(work: impl Future<Output = Result<(), ServeError>>) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("throughline").build();
    runtime.map_err(|source| ServeError::Runtime { source })?.block_on(work)
}

/// Writes to standard output, which may be closed.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
