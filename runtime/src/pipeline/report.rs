//! What the pipeline says about itself: the report of a flush or shutdown, and its health.

use std::fmt;
use std::time::{Duration, SystemTime};

/// What became of every span of the process, as a flush or a shutdown found it.
///
/// For the intake `ended = collected + dropped.total()` holds, and for each exporter
/// `collected = exported + dropped.total() + undelivered`: a span is in exactly one place.
///
/// `Display` prints it for people, one line for the intake and one per exporter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "the report says which spans did not arrive"]
pub struct Report {
    /// Recorded spans that have ended since the pipeline began.
    pub ended: u64,
    /// Of those, the spans handed to the exporters.
    pub collected: u64,
    /// Spans lost before any exporter saw them.
    pub dropped: Dropped,
    /// Spans that had begun and not ended when the report was made.
    pub unfinished: u64,
    /// One entry per exporter, in the order of the settings.
    pub exporters: Vec<ExporterReport>,
    /// Whether everything was finished, or given up, before the deadline.
    pub deadline_met: bool,
}

impl Report {
    /// Of a program that records nothing.
    pub(crate) fn nothing() -> Self {
        Self { deadline_met: true, ..Self::default() }
    }

    /// Whether every collected span reached every exporter and none was dropped on the way.
    pub fn is_complete(&self) -> bool {
        self.deadline_met
            && self.dropped.total() == 0
            && self.exporters.iter().all(ExporterReport::is_complete)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} spans ended, {} collected", self.ended, self.collected)?;
        self.dropped.list(f)?;
        if self.unfinished > 0 {
            write!(f, ", {} unfinished", self.unfinished)?;
        }
        if !self.deadline_met {
            f.write_str(", deadline passed")?;
        }
        for exporter in &self.exporters {
            write!(f, "\n  {exporter}")?;
        }
        Ok(())
    }
}

/// Spans dropped before the exporters, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// No room was left under the bound of the queue.
    pub queue_full: u64,
    /// One span alone was larger than a chunk of the queue.
    pub too_large: u64,
    /// The span ended after the shutdown.
    pub already_shutdown: u64,
    /// The collector panicked while it converted the span.
    pub panic: u64,
    /// The span ended while its thread's storage was already gone.
    pub thread_exit: u64,
}

impl Dropped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.reasons().iter().map(|(_, count)| count).sum()
    }

    fn reasons(&self) -> [(&'static str, u64); 5] {
        [
            ("queue_full", self.queue_full),
            ("too_large", self.too_large),
            ("already_shutdown", self.already_shutdown),
            ("panic", self.panic),
            ("thread_exit", self.thread_exit),
        ]
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list_dropped(f, self.total(), &self.reasons())
    }
}

/// What became of the collected spans at one exporter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExporterReport {
    /// The exporter's name, such as `otlp`.
    pub name: String,
    /// Spans that the destination took.
    pub exported: u64,
    /// Spans given up at this exporter.
    pub dropped: ExporterDropped,
    /// Spans that were waiting or under way when the report was made. After a shutdown they are lost.
    pub undelivered: u64,
    /// The last error of the exporter, which may be long past; `None` when there was none.
    pub last_error: Option<String>,
}

impl ExporterReport {
    fn is_complete(&self) -> bool {
        self.undelivered == 0 && self.dropped.total() == 0
    }
}

impl fmt::Display for ExporterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} exported", self.name, self.exported)?;
        list_dropped(f, self.dropped.total(), &self.dropped.reasons())?;
        if self.undelivered > 0 {
            write!(f, ", {} undelivered", self.undelivered)?;
        }
        if let Some(error) = self.last_error.as_ref().filter(|_| !self.is_complete()) {
            write!(f, "; last error: {error}")?;
        }
        Ok(())
    }
}

/// Spans dropped at one exporter, by reason. Each span is counted once, after the last attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExporterDropped {
    /// The exporter was too slow: its place in the queue was full and its oldest batch gave way.
    pub queue_full: u64,
    /// All attempts failed, the time limit passed, or the error was permanent.
    pub export_failed: u64,
    /// The destination answered, and refused these spans.
    pub rejected: u64,
    /// The spans came after the shutdown.
    pub already_shutdown: u64,
    /// The exporter panicked on the batch.
    pub panic: u64,
}

impl ExporterDropped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.reasons().iter().map(|(_, count)| count).sum()
    }

    fn reasons(&self) -> [(&'static str, u64); 5] {
        [
            ("queue_full", self.queue_full),
            ("export_failed", self.export_failed),
            ("rejected", self.rejected),
            ("already_shutdown", self.already_shutdown),
            ("panic", self.panic),
        ]
    }
}

fn list_dropped(f: &mut fmt::Formatter<'_>, total: u64, reasons: &[(&str, u64)]) -> fmt::Result {
    if total == 0 {
        return Ok(());
    }
    write!(f, ", {total} dropped (")?;
    let mut separator = "";
    for (reason, count) in reasons.iter().filter(|(_, count)| *count > 0) {
        write!(f, "{separator}{reason} {count}")?;
        separator = ", ";
    }
    f.write_str(")")
}

/// How the pipeline is doing now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The whole: `Ok` when every part is.
    pub state: HealthState,
    /// One entry per exporter, in the order of the settings.
    pub exporters: Vec<ExporterHealth>,
    /// The spans that wait before the exporters.
    pub queue: QueueHealth,
    /// Time since the collector's last sign of life; `None` when none runs.
    pub heartbeat_age: Option<Duration>,
    /// Whether this process was forked after set-up. Such a child records nothing: its parent's collector and exporters
    /// are threads, and those a child does not have. Set tracing up after the fork instead.
    pub is_forked_child: bool,
    /// Attributes, events and the like that were written through a `Context` to a span of an annotated function after
    /// its end, since the process began: they are ignored. Zero when the pipeline is a local one.
    pub writes_after_end: u64,
    /// The clock that times spans: `tsc`, `os`, ..; empty when tracing is off.
    pub clock: &'static str,
}

/// The state of the pipeline or of one exporter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HealthState {
    /// Everything arrives.
    #[default]
    Ok,
    /// Spans were lost a short while ago, but the part works.
    Degraded,
    /// Nothing arrives: the circuit breaker is open, or the part has been turned off.
    Down,
}

impl HealthState {
    /// `ok`, `degraded` or `down`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How one exporter is doing now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExporterHealth {
    /// The exporter's name, such as `otlp`.
    pub name: String,
    /// `otel.component.type`, such as `otlp_http_span_exporter`.
    pub component_type: &'static str,
    /// `Down` while the circuit breaker is open.
    pub state: HealthState,
    /// The last failure in the destination's own words. It stays after a recovery.
    pub last_error: Option<String>,
    /// When a batch last arrived.
    pub last_success: Option<SystemTime>,
    /// Spans that wait for this exporter.
    pub waiting: u64,
    /// Spans that it is handing over now.
    pub in_flight: u64,
    /// Spans that arrived since the pipeline began.
    pub exported: u64,
    /// Spans given up since the pipeline began.
    pub dropped: ExporterDropped,
}

/// How full the queue before the exporters is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueHealth {
    /// Spans that have ended and are not yet with the exporters.
    pub spans: u64,
    /// The memory they hold, in bytes.
    pub bytes: u64,
    /// The bound, in bytes.
    pub capacity: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_names_only_the_reasons_that_occurred() {
        let report = Report {
            ended: 12,
            collected: 10,
            dropped: Dropped { queue_full: 2, ..Dropped::default() },
            unfinished: 1,
            exporters: vec![ExporterReport {
                name: "otlp".into(),
                exported: 5,
                dropped: ExporterDropped { export_failed: 2, panic: 1, ..ExporterDropped::default() },
                undelivered: 2,
                last_error: Some("connection refused".into()),
            }],
            deadline_met: false,
        };
        assert_eq!(
            report.to_string(),
            "12 spans ended, 10 collected, 2 dropped (queue_full 2), 1 unfinished, deadline passed\n  \
             otlp: 5 exported, 3 dropped (export_failed 2, panic 1), 2 undelivered; \
             last error: connection refused"
        );
        assert!(!report.is_complete());
    }

    #[test]
    fn report_of_a_clean_end_is_one_short_line_each() {
        let report = Report {
            ended: 3,
            collected: 3,
            deadline_met: true,
            exporters: vec![ExporterReport {
                name: "console".into(),
                exported: 3,
                ..ExporterReport::default()
            }],
            ..Report::default()
        };
        assert_eq!(report.to_string(), "3 spans ended, 3 collected\n  console: 3 exported");
        assert!(report.is_complete());
    }
}
