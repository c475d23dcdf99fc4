//! One batch through one exporter: attempts, waits between them, halves of a batch that is too large.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::backoff::Backoff;
use super::lane::Lane;
use super::place::{Batch, Fate};
use super::unwind::{Either, race};
use crate::deadline;
use crate::pipeline::exporter::{BatchExporter, ExportError};

/// How a batch ended.
pub(super) enum End {
    /// The destination took it; spans that it refused are counted already.
    Arrived { refused: usize, why: Option<String> },
    /// The rest was not taken in the given time, or never will be.
    Lost { failed_before: usize, why: String },
    /// The destination is gone for good.
    Closed { why: String },
}

/// Tries until the batch is delivered, fails for good, or `limit` is over; with `one_attempt`, only once.
///
/// Each part of the batch is settled in the lane as soon as its fate is known, so that a panic or an abandoned
/// shutdown costs the rest and no more.
pub(super) async fn deliver(
    lane: &Lane,
    exporter: &mut dyn BatchExporter,
    batch: &mut Batch,
    limit: Duration,
    one_attempt: bool,
    backoff: &mut Backoff,
) -> End {
    let deadline = Instant::from_std(deadline::after(limit));
    let mut attempts = 0_u32;
    let mut failed_in_a_row = 0_u32;
    let mut tally = Tally::default();
    // Halves that wait for their turn, the next one last.
    let whole = batch.from..batch.spans.count();
    let mut parts = Vec::from([whole]);
    backoff.reset();
    while let Some(part) = parts.pop() {
        attempts += 1;
        let export = if exporter.takes_spans() {
            exporter.export_taken(batch.spans.take(part.clone()))
        } else {
            exporter.export(batch.spans.get(part.clone()))
        };
        let error = match timeout_at(deadline, export).await {
            Ok(Ok(exported)) => {
                failed_in_a_row = 0;
                let refused = exported.rejected.min(part.len());
                lane.settle(part.len() - refused, Fate::Exported);
                lane.settle(refused, Fate::Rejected);
                tally.arrived |= refused < part.len() || part.is_empty();
                tally.refuse(refused, &exported.reason);
                continue;
            }
            Ok(Err(error)) => error,
            Err(_) => {
                let why = format!("no answer within {} s, attempt {attempts}", limit.as_secs_f32());
                return tally.lost(why);
            }
        };
        match error {
            ExportError::Closed { message } => return End::Closed { why: message.into_owned() },
            ExportError::TooLarge { message } if part.len() > 1 => {
                tally.why_smaller = Some(message.into_owned());
                let middle = part.start + part.len() / 2;
                parts.push(middle..part.end);
                parts.push(part.start..middle);
            }
            ExportError::TooLarge { message } => {
                lane.settle(part.len(), Fate::Rejected);
                tally.refuse(part.len(), &message);
            }
            ExportError::Permanent { message } => {
                lane.settle(part.len(), Fate::Failed);
                tally.failed += part.len();
                tally.why_failed = Some(message.into_owned());
            }
            ExportError::Transient { retry_after, message } => {
                failed_in_a_row += 1;
                lane.attempt_failed(failed_in_a_row, &message);
                let now = Instant::now();
                if let Some(pause) = retry_after {
                    lane.hold_until(now + pause);
                }
                if one_attempt {
                    return tally.lost(message.into_owned());
                }
                let next = now + retry_after.unwrap_or_else(|| backoff.next_wait());
                if next >= deadline {
                    return tally.lost(format!("{message}, attempt {attempts}"));
                }
                wait(lane, next, retry_after.is_none()).await;
                parts.push(part);
            }
        }
    }
    tally.end()
}

/// Sits out a pause. A flush cuts it short unless the receiver asked for it.
async fn wait(lane: &Lane, until: Instant, may_hurry: bool) {
    if may_hurry {
        match race(sleep_until(until), lane.urgent()).await {
            Either::First(()) | Either::Second(()) => {}
        }
    } else {
        sleep_until(until).await;
    }
}

#[derive(Default)]
struct Tally {
    arrived: bool,
    failed: usize,
    why_failed: Option<String>,
    refused: usize,
    why_refused: Option<String>,
    why_smaller: Option<String>,
}

impl Tally {
    fn refuse(&mut self, spans: usize, why: &str) {
        if spans > 0 {
            self.refused += spans;
            self.why_refused = Some(why.to_owned());
        }
    }

    fn lost(self, why: String) -> End {
        End::Lost { failed_before: self.failed, why }
    }

    fn end(self) -> End {
        match self.why_failed {
            Some(why) if !self.arrived => End::Lost { failed_before: self.failed, why },
            // Part of it arrived: the destination works, and the failed part is told like refused spans.
            why_failed => End::Arrived {
                refused: self.refused + self.failed,
                why: why_failed.or(self.why_refused).or(self.why_smaller.filter(|_| self.refused > 0)),
            },
        }
    }
}
