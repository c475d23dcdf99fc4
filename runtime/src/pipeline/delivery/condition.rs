//! The state of one exporter: healthy, losing spans, or down behind an open circuit breaker; and the one log line
//! that each change of state is worth.

use std::time::Duration;

use tokio::time::Instant;

use crate::pipeline::report::HealthState;

/// Batches lost in a row after which the breaker opens.
const LOST_BEFORE_OPEN: u32 = 3;
/// Between two probes while the breaker is open.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// Without trouble for this long, an exporter that lost spans counts as healthy again.
const CALM: Duration = Duration::from_secs(30);
/// Attempts in a row that fail before the exporter counts as stalled: a connection that the other side closed while it was idle
/// costs one.
const FAILED_BEFORE_STALLED: u32 = 2;
/// How long that goes on before it is worth a log line: a receiver that is started anew is back by then.
const STALLED_BEFORE_TOLD: Duration = Duration::from_secs(3);

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Warning(String),
    Recovery(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// Attempts fail and are made again; nothing is lost yet.
    Stalled {
        is_told: bool,
    },
    Degraded,
    /// The breaker is open; only a probe goes out.
    Open {
        probe_at: Instant,
    },
    /// The destination is gone for good.
    Off,
}

pub(super) struct Condition {
    name: String,
    state: State,
    lost_in_a_row: u32,
    lost_spans: u64,
    since: Instant,
    last_trouble: Instant,
    /// When a stall was told of.
    last_told: Option<Instant>,
}

impl Condition {
    pub(super) fn new(name: &str, now: Instant) -> Self {
        Self {
            name: name.to_owned(),
            state: State::Ok,
            lost_in_a_row: 0,
            lost_spans: 0,
            since: now,
            last_trouble: now,
            last_told: None,
        }
    }

    pub(super) fn health(&self) -> HealthState {
        match self.state {
            State::Ok => HealthState::Ok,
            State::Stalled { .. } | State::Degraded => HealthState::Degraded,
            State::Open { .. } | State::Off => HealthState::Down,
        }
    }

    /// When the next probe is due; `None` while the breaker is closed.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        match self.state {
            State::Open { probe_at } => Some(probe_at),
            _ => None,
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.state == State::Off
    }

    /// A batch was given up.
    pub(super) fn batch_lost(&mut self, now: Instant, spans: usize, why: &str) -> Option<Notice> {
        self.lost_in_a_row += 1;
        let first = self.trouble(now, spans);
        match self.state {
            State::Off => None,
            State::Open { .. } => {
                self.state = State::Open { probe_at: now + PROBE_INTERVAL };
                None
            }
            _ if self.lost_in_a_row >= LOST_BEFORE_OPEN => {
                self.state = State::Open { probe_at: now + PROBE_INTERVAL };
                Some(Notice::Warning(format!(
                    "exporter `{}` is down: {LOST_BEFORE_OPEN} batches lost in a row, the last because {why}; \
                     one attempt every {} s until it works",
                    self.name,
                    PROBE_INTERVAL.as_secs()
                )))
            }
            _ if first => Some(Notice::Warning(format!(
                "exporter `{}` lost a batch of {}: {why}",
                self.name,
                counted(spans as u64)
            ))),
            _ => None,
        }
    }

    /// An attempt failed that will be made again, after `in_a_row - 1` others.
    pub(super) fn attempt_failed(&mut self, now: Instant, in_a_row: u32, why: &str) -> Option<Notice> {
        if self.state == State::Ok && in_a_row >= FAILED_BEFORE_STALLED {
            self.state = State::Stalled { is_told: false };
            self.since = now;
        }
        // Of a receiver that comes and goes, not each time.
        let hushed = self.last_told.is_some_and(|last| now.saturating_duration_since(last) < CALM);
        if self.state != (State::Stalled { is_told: false })
            || now.saturating_duration_since(self.since) < STALLED_BEFORE_TOLD
            || hushed
        {
            return None;
        }
        self.state = State::Stalled { is_told: true };
        self.last_told = Some(now);
        Some(Notice::Warning(format!("exporter `{}` delivers nothing and keeps trying: {why}", self.name)))
    }

    /// The probe of an open breaker failed, and its batch goes back to the queue.
    pub(super) fn probe_failed(&mut self, now: Instant) {
        self.last_trouble = now;
        self.state = State::Open { probe_at: now + PROBE_INTERVAL };
    }

    /// The exporter's place in the queue was full and its oldest spans gave way.
    pub(super) fn overflowed(&mut self, now: Instant, spans: usize) -> Option<Notice> {
        self.trouble(now, spans).then(|| {
            Notice::Warning(format!(
                "exporter `{}` is too slow: its place in the queue is full, and it loses its oldest spans",
                self.name
            ))
        })
    }

    /// The destination took a batch except for some spans.
    pub(super) fn refused(&mut self, now: Instant, spans: usize, why: &str) -> Option<Notice> {
        self.trouble(now, spans).then(|| {
            Notice::Warning(format!(
                "exporter `{}`: the destination refused {}: {why}",
                self.name,
                counted(spans as u64)
            ))
        })
    }

    /// A batch arrived.
    pub(super) fn batch_arrived(&mut self, now: Instant) -> Option<Notice> {
        self.lost_in_a_row = 0;
        let recovered = match self.state {
            State::Ok | State::Off => false,
            State::Stalled { is_told } => {
                self.state = State::Ok;
                is_told
            }
            // One good batch says little while spans are being lost now and then: no line for each of them.
            State::Degraded => now.saturating_duration_since(self.last_trouble) >= CALM,
            State::Open { .. } => true,
        };
        recovered.then(|| {
            let lost = std::mem::take(&mut self.lost_spans);
            self.state = State::Ok;
            Notice::Recovery(format!(
                "exporter `{}` works again after {} s; lost meanwhile: {}",
                self.name,
                now.saturating_duration_since(self.since).as_secs(),
                counted(lost)
            ))
        })
    }

    /// The destination is gone for good.
    pub(super) fn turned_off(&mut self, why: &str) -> Option<Notice> {
        if self.is_off() {
            return None;
        }
        self.state = State::Off;
        Some(Notice::Warning(format!("exporter `{}` is turned off: {why}", self.name)))
    }

    /// Whether this is the first trouble of a healthy exporter.
    fn trouble(&mut self, now: Instant, spans: usize) -> bool {
        self.last_trouble = now;
        self.lost_spans += spans as u64;
        match self.state {
            State::Ok => self.since = now,
            State::Stalled { .. } => {}
            State::Degraded | State::Open { .. } | State::Off => return false,
        }
        self.state = State::Degraded;
        true
    }
}

fn counted(spans: u64) -> String {
    if spans == 1 { "1 span".to_owned() } else { format!("{spans} spans") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn third_batch_lost_in_a_row_opens_the_breaker() {
        let now = Instant::now();
        let mut condition = Condition::new("otlp", now);
        assert!(matches!(condition.batch_lost(now, 5, "no route"), Some(Notice::Warning(_))));
        assert_eq!(condition.health(), HealthState::Degraded);
        assert_eq!(condition.batch_lost(now, 5, "no route"), None);
        assert!(condition.probe_at().is_none());
        let line = condition.batch_lost(now, 5, "no route");
        assert_eq!(
            line,
            Some(Notice::Warning(
                "exporter `otlp` is down: 3 batches lost in a row, the last because no route; one attempt every \
                 30 s until it works"
                    .into()
            ))
        );
        assert_eq!(condition.probe_at(), Some(now + PROBE_INTERVAL));
    }

    #[test]
    fn success_between_losses_keeps_the_breaker_closed() {
        let now = Instant::now();
        let mut condition = Condition::new("otlp", now);
        for _ in 0..10 {
            condition.batch_lost(now, 1, "x");
            condition.batch_lost(now, 1, "x");
            assert_eq!(condition.batch_arrived(now), None, "no line per batch while it flaps");
        }
        assert_eq!(condition.health(), HealthState::Degraded);
    }

    #[test]
    fn recovery_tells_how_long_and_how_much() {
        let now = Instant::now();
        let mut condition = Condition::new("otlp", now);
        for _ in 0..3 {
            condition.batch_lost(now, 100, "x");
        }
        let line = condition.batch_arrived(now + Duration::from_secs(90));
        assert_eq!(
            line,
            Some(Notice::Recovery(
                "exporter `otlp` works again after 90 s; lost meanwhile: 300 spans".into()
            ))
        );
        assert_eq!(condition.health(), HealthState::Ok);
    }

    #[test]
    fn attempts_that_keep_failing_are_told_once() {
        let now = Instant::now();
        let mut condition = Condition::new("otlp", now);
        assert_eq!(condition.attempt_failed(now, 1, "reset"), None);
        assert_eq!(condition.health(), HealthState::Ok, "one failed attempt is nothing");
        assert_eq!(condition.attempt_failed(now, 2, "connection refused"), None);
        assert_eq!(condition.health(), HealthState::Degraded);
        assert_eq!(
            condition.attempt_failed(now + STALLED_BEFORE_TOLD, 3, "connection refused"),
            Some(Notice::Warning(
                "exporter `otlp` delivers nothing and keeps trying: connection refused".into()
            ))
        );
        assert_eq!(condition.attempt_failed(now + STALLED_BEFORE_TOLD, 4, "connection refused"), None);
        assert_eq!(
            condition.batch_arrived(now + Duration::from_secs(7)),
            Some(Notice::Recovery("exporter `otlp` works again after 7 s; lost meanwhile: 0 spans".into()))
        );
        assert_eq!(condition.health(), HealthState::Ok);
    }

    #[test]
    fn stalls_now_and_then_make_no_line_each() {
        let mut now = Instant::now();
        let mut condition = Condition::new("otlp", now);
        let mut lines = 0;
        for _ in 0..10 {
            condition.attempt_failed(now, 2, "x");
            now += STALLED_BEFORE_TOLD;
            lines += usize::from(condition.attempt_failed(now, 3, "x").is_some());
            lines += usize::from(condition.batch_arrived(now).is_some());
        }
        assert_eq!(lines, 2, "the first one, and its end");
    }

    #[test]
    fn loss_after_a_stall_is_told() {
        let now = Instant::now();
        let mut condition = Condition::new("otlp", now);
        condition.attempt_failed(now, 2, "x");
        assert!(condition.attempt_failed(now + STALLED_BEFORE_TOLD, 3, "x").is_some());
        assert!(condition.batch_lost(now + STALLED_BEFORE_TOLD, 5, "x").is_some());
        assert_eq!(condition.health(), HealthState::Degraded);
    }
}
