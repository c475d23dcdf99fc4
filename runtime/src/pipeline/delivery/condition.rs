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

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Warning(String),
    Recovery(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
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
        }
    }

    pub(super) fn health(&self) -> HealthState {
        match self.state {
            State::Ok => HealthState::Ok,
            State::Degraded => HealthState::Degraded,
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
        if self.state != State::Ok {
            return false;
        }
        self.state = State::Degraded;
        self.since = now;
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
}
