//! Log lines on a thread of their own: who takes them is the user's code, and the poll thread runs none (kafka.md K-4).

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rdkafka::ClientContext as _;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;

use crate::diagnostics;

/// Lines that may wait for a slow logger; more are counted, and dropped.
const WAITING: usize = 1_024;

enum Line {
    /// One of librdkafka's, which goes where `rdkafka` takes them: to the `log` crate.
    Client(RDKafkaLogLevel, String, String),
    Info(String),
    Warning(String),
}

/// Where threads of the runner, which must not wait, leave their lines. The thread ends with the last of them.
#[derive(Debug)]
pub(super) struct Lines {
    sender: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

impl Lines {
    /// Starts the thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let (sender, lines) = sync_channel(WAITING);
        let dropped = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&dropped);
        thread::Builder::new()
            .name("throughline-kafka-log".to_owned())
            .spawn(move || write(&lines, &counted))?;
        Ok(Lines { sender, dropped })
    }

    pub(super) fn client(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.leave(Line::Client(level, facility.to_owned(), message.to_owned()));
    }

    pub(super) fn info(&self, line: fmt::Arguments<'_>) {
        self.leave(Line::Info(line.to_string()));
    }

    pub(super) fn warn(&self, line: fmt::Arguments<'_>) {
        self.leave(Line::Warning(line.to_string()));
    }

    fn leave(&self, line: Line) {
        if self.sender.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write(lines: &Receiver<Line>, dropped: &AtomicU64) {
    for line in lines {
        let written = catch_unwind(AssertUnwindSafe(|| {
            match line {
                Line::Client(level, facility, message) => {
                    DefaultClientContext.log(level, &facility, &message);
                }
                Line::Info(line) => diagnostics::info(format_args!("{line}")),
                Line::Warning(line) => diagnostics::warn(format_args!("{line}")),
            }
            let dropped = dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                diagnostics::warn(format_args!("{dropped} log lines were dropped: the logger is slow"));
            }
        }));
        // A logger that panics; the next line may be another one's.
        drop(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_find_no_room_are_counted() {
        let (sender, lines) = sync_channel(2);
        let all = Lines { sender, dropped: Arc::default() };
        for number in 0..5 {
            all.info(format_args!("{number}"));
        }
        assert_eq!(all.dropped.load(Ordering::Relaxed), 3);
        drop(all);
        assert_eq!(lines.iter().count(), 2);
    }
}
