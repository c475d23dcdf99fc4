//! What becomes of a record that is not simply handled: the settings.

use std::borrow::Cow;
use std::time::Duration;

use super::error::RunError;
use super::retry::Backoff;
use crate::kafka::ProcessOptions;

/// What becomes of a record whose attempts are used up, or that cannot be decoded.
///
/// The default is [`DeadLetter`](Self::DeadLetter) if the consumer has a dead-letter topic, else [`Halt`](Self::Halt):
/// nothing is left out unless somebody said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// The record goes to the dead-letter topic, and counts as finished once the broker has acknowledged it there.
    DeadLetter,
    /// The record counts as finished; it is counted and logged.
    Skip,
    /// The partition stops before this record, and the consumer's health says so; other partitions go on.
    Halt,
    /// The consumer drains and ends, and `run` returns the error.
    Stop,
}

/// What becomes of a record whose handler panics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnPanic {
    /// The panic is the attempt's error: the record is tried again, and after the last attempt treated as any other.
    #[default]
    Retry,
    /// This happens at once, without another attempt.
    Then(OnFailure),
}

impl From<OnFailure> for OnPanic {
    fn from(then: OnFailure) -> Self {
        OnPanic::Then(then)
    }
}

/// Which attempts of a record have a process span with status Error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryErrors {
    /// The last one. One that is tried again stays Unset and has the error's type in
    /// `throughline.messaging.retried_error`: an error that healed would otherwise mark its whole trace as failed.
    #[default]
    Last,
    /// Every one that failed.
    Every,
}

/// Names and forms of the headers that say why a record is in the dead-letter topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadLetterHeaders {
    /// `__dlq.errors.topic`, `.partition`, `.offset`, `.group`, `.delivery.count`, `.message` as text, as brokers write
    /// them ([KIP-1191]).
    ///
    /// [KIP-1191]: https://cwiki.apache.org/confluence/display/KAFKA/KIP-1191%3A+Dead-letter+queues+for+share+groups
    #[default]
    Kip1191,
    /// `kafka_dlt-original-*` and `kafka_dlt-exception-*` with binary numbers, as Spring for Apache Kafka writes and reads
    /// them.
    Spring,
}

/// The trace context that a dead letter carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadLetterContext {
    /// The one that the record came with: whoever consumes the dead letter continues the trace where the sender began
    /// it.
    #[default]
    Keep,
    /// That of the send of the dead letter, below the process span that failed.
    Replace,
}

/// The settings of one consumer, without its handler.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy {
    pub(super) retry: Backoff,
    /// Of one attempt; none by default.
    pub(super) timeout: Option<Duration>,
    pub(super) on_exhausted: Option<OnFailure>,
    pub(super) on_decode_error: Option<OnFailure>,
    pub(super) on_panic: OnPanic,
    pub(super) retry_errors: RetryErrors,
    pub(super) dead_letter: Option<Cow<'static, str>>,
    pub(super) dlq_headers: DeadLetterHeaders,
    pub(super) dead_letter_context: DeadLetterContext,
    pub(super) process: ProcessOptions,
}

impl Policy {
    /// What happens when the attempts are used up.
    pub(super) fn exhausted(&self) -> OnFailure {
        self.on_exhausted.unwrap_or_else(|| self.otherwise())
    }

    /// What happens to a record that cannot be decoded.
    pub(super) fn undecodable(&self) -> OnFailure {
        self.on_decode_error.unwrap_or_else(|| self.otherwise())
    }

    fn otherwise(&self) -> OnFailure {
        if self.dead_letter.is_some() { OnFailure::DeadLetter } else { OnFailure::Halt }
    }

    /// What is contradictory, if anything is.
    pub(super) fn contradiction(&self, topics: &[String]) -> Option<RunError> {
        let on_panic = match self.on_panic {
            OnPanic::Then(then) => Some(then),
            OnPanic::Retry => None,
        };
        let words = [
            ("on_exhausted", self.on_exhausted),
            ("on_decode_error", self.on_decode_error),
            ("on_panic", on_panic),
        ];
        let Some(target) = &self.dead_letter else {
            let (word, _) = words.into_iter().find(|(_, said)| *said == Some(OnFailure::DeadLetter))?;
            let reason = "there is no dead-letter topic; name one with `dead_letter(\"..\")`";
            return Some(RunError::setting(word, "dead_letter", reason));
        };
        let reason = if target.is_empty() || target.len() > 249 || !target.bytes().all(is_topic_byte) {
            "not a topic's name; expected 1 to 249 of a-z A-Z 0-9 . _ -"
        } else if topics.iter().any(|topic| topic == target) {
            "this topic is consumed here, so a record that fails would come round for ever; consume it with another consumer"
        } else {
            return None;
        };
        Some(RunError::setting("dead_letter", target, reason))
    }
}

fn is_topic_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_word_a_failure_goes_to_the_dead_letters_or_halts() {
        let mut policy = Policy::default();
        assert_eq!((policy.exhausted(), policy.undecodable()), (OnFailure::Halt, OnFailure::Halt));
        policy.dead_letter = Some("orders.dlq".into());
        assert_eq!(
            (policy.exhausted(), policy.undecodable()),
            (OnFailure::DeadLetter, OnFailure::DeadLetter)
        );
        policy.on_decode_error = Some(OnFailure::Skip);
        assert_eq!((policy.exhausted(), policy.undecodable()), (OnFailure::DeadLetter, OnFailure::Skip));
    }

    #[test]
    fn contradictions_say_what_to_write() {
        let topics = ["orders".to_owned()];
        let told = |policy: &Policy| policy.contradiction(&topics).map(|error| error.to_string());
        let mut policy = Policy::default();
        assert_eq!(told(&policy), None);
        policy.on_panic = OnFailure::DeadLetter.into();
        assert!(
            told(&policy).is_some_and(|text| text.starts_with("`on_panic` is `dead_letter`: there is no"))
        );
        policy.dead_letter = Some("orders.dlq".into());
        assert_eq!(told(&policy), None);
        policy.dead_letter = Some("orders".into());
        assert!(told(&policy).is_some_and(|text| text.contains("for ever")));
        policy.dead_letter = Some("orders dlq".into());
        assert!(told(&policy).is_some_and(|text| text.contains("249")));
    }
}
