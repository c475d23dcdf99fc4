//! Why an attempt failed, and what follows from it.

use std::any::{Any, type_name};
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::input::Undecodable;
use super::policy::{OnFailure, OnPanic, Policy};
use crate::kafka::DecodeError;
use crate::span::{ErrorType as _, Outcome, text};

/// Why one attempt failed.
#[derive(Debug)]
pub(super) enum Failure<E> {
    /// What the handler returned.
    Handler(E),
    /// With what the panic said, if that is text.
    Panicked(Option<String>),
    TimedOut(Duration),
    AckDropped,
    Undecodable(Undecodable),
}

/// What happens after an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another attempt, after a wait.
    Retry,
    /// Nothing more: the record was finished before it failed.
    Finished,
    /// The record is no longer ours, or the runner closes: it will be delivered again.
    Redelivery,
    /// No more attempts.
    Give(OnFailure),
}

/// A failure in words: what goes into the span, the dead letter and the log.
#[derive(Clone, Debug)]
pub(super) struct Reason {
    pub(super) error_type: Cow<'static, str>,
    pub(super) text: String,
}

impl<E: Any> Failure<E> {
    /// What follows, for attempt number `attempt` of a record that is still ours.
    pub(super) fn next(&self, policy: &Policy, attempt: u32) -> Next {
        let tries_again = match self {
            Failure::Undecodable(_) => return Next::Give(policy.undecodable()),
            Failure::Panicked(_) => match policy.on_panic {
                OnPanic::Then(then) => return Next::Give(then),
                OnPanic::Retry => true,
            },
            Failure::Handler(error) => policy.retry.retries(error),
            Failure::TimedOut(_) | Failure::AckDropped => true,
        };
        if tries_again && attempt < policy.retry.max_attempts() {
            return Next::Retry;
        }
        Next::Give(policy.exhausted())
    }
}

impl<E: fmt::Display> Failure<E> {
    /// kafka.md E-1.
    pub(super) fn reason(&self) -> Reason {
        let (error_type, text) = match self {
            Failure::Handler(error) => (Cow::Borrowed(type_name::<E>()), text(format_args!("{error}"))),
            Failure::Panicked(None) => ("panic".into(), "panicked".to_owned()),
            Failure::Panicked(Some(said)) => ("panic".into(), format!("panicked: {said}")),
            Failure::TimedOut(limit) => ("timeout".into(), format!("not done within {limit:?}")),
            Failure::AckDropped => {
                ("ack_dropped".into(), "the `Ack` was dropped without `done()`".to_owned())
            }
            Failure::Undecodable(Undecodable::Panicked) => ("panic".into(), "the codec panicked".to_owned()),
            Failure::Undecodable(Undecodable::Refused(error)) => (error.error_type(), with_causes(error)),
        };
        Reason { error_type, text }
    }
}

impl Reason {
    /// The same failure, as the annotated handler calls it.
    pub(super) fn or_named(self, named: Option<Outcome>) -> Self {
        match named {
            Some(Outcome::Failed { error_type, description }) => {
                Reason { error_type, text: description.map_or(self.text, Cow::into_owned) }
            }
            Some(Outcome::None) | None => self,
        }
    }
}

impl From<Reason> for Outcome {
    fn from(reason: Reason) -> Self {
        Outcome::Failed { error_type: reason.error_type, description: Some(reason.text.into()) }
    }
}

/// A decode error says which part was wrong; what the codec said about it is its source.
fn with_causes(error: &DecodeError) -> String {
    let mut all = text(format_args!("{error}"));
    let mut cause = error.source();
    while let Some(error) = cause {
        all.push_str(": ");
        all.push_str(&text(format_args!("{error}")));
        cause = error.source();
    }
    all
}

/// What a panic said.
pub(super) fn panic_text(payload: &(dyn Any + Send)) -> Option<String> {
    match payload.downcast_ref::<&str>() {
        Some(said) => Some((*said).to_owned()),
        None => payload.downcast_ref::<String>().cloned(),
    }
}

/// A record that could not be handled, where the policy is to stop.
#[derive(Debug)]
pub(super) struct NotHandled {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) reason: Reason,
}

impl fmt::Display for NotHandled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NotHandled { topic, partition, offset, reason } = self;
        write!(f, "{topic}[{partition}]@{offset}: {} ({})", reason.text.escape_debug(), reason.error_type)
    }
}

impl Error for NotHandled {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::runner::retry::Backoff;

    fn policy() -> Policy {
        Policy { retry: Backoff::new().attempts(2), dead_letter: Some("dlq".into()), ..Policy::default() }
    }

    #[test]
    fn attempts_are_used_up_then_the_policy_decides() {
        for failure in [
            Failure::Handler("no"),
            Failure::Panicked(None),
            Failure::TimedOut(Duration::from_secs(1)),
            Failure::AckDropped,
        ] {
            assert_eq!(failure.next(&policy(), 1), Next::Retry);
            assert_eq!(failure.next(&policy(), 2), Next::Give(OnFailure::DeadLetter));
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_not_tried_again() {
        let failure = Failure::<&str>::Undecodable(Undecodable::Panicked);
        assert_eq!(failure.next(&policy(), 1), Next::Give(OnFailure::DeadLetter));
        let skip = Policy { on_decode_error: Some(OnFailure::Skip), ..policy() };
        assert_eq!(failure.next(&skip, 1), Next::Give(OnFailure::Skip));
    }

    #[test]
    fn errors_that_are_not_transient_are_not_tried_again() {
        let retry = Backoff::new().when(|error: &&str| *error == "again");
        let policy = Policy { retry, ..policy() };
        assert_eq!(Failure::Handler("again").next(&policy, 1), Next::Retry);
        assert_eq!(Failure::Handler("never").next(&policy, 1), Next::Give(OnFailure::DeadLetter));
        assert_eq!(Failure::<&str>::Panicked(None).next(&policy, 1), Next::Retry);
    }

    #[test]
    fn a_panic_has_a_policy_of_its_own() {
        let policy = Policy { on_panic: OnFailure::Halt.into(), ..policy() };
        assert_eq!(Failure::<&str>::Panicked(None).next(&policy, 1), Next::Give(OnFailure::Halt));
        assert_eq!(Failure::Handler("no").next(&policy, 1), Next::Retry);
    }

    #[test]
    fn a_reason_is_one_line_in_logs_and_names_what_the_codec_said() {
        let source = "expected `,` at line 1".into();
        let reason =
            Failure::<&str>::Undecodable(Undecodable::Refused(DecodeError::Value { source })).reason();
        assert_eq!(reason.error_type, "DecodeError::Value");
        assert!(reason.text.ends_with(": expected `,` at line 1"), "{}", reason.text);
        let reason = Failure::Handler("a\r\nb").reason();
        let told = NotHandled { topic: "orders".to_owned(), partition: 1, offset: 7, reason };
        assert_eq!(told.to_string(), "orders[1]@7: a\\r\\nb (&str)");
    }
}
