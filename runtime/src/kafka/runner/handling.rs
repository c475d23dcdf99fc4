//! What becomes of one record or batch: attempts, the waits between them, and the policy when they are used up.

use std::marker::PhantomData;
use std::sync::Arc;

use rdkafka::ClientConfig;
use rdkafka::message::BorrowedMessage;

use super::attempt::Ended;
use super::counters::Count;
use super::dead_letter::{DeadLetters, Letter};
use super::error::RunError;
use super::extract::Attempt;
use super::failure::{Failure, Next, NotHandled, Reason};
use super::handler::Handler;
use super::input::{Input, Undecodable};
use super::policy::{OnFailure, Policy};
use super::retry;
use super::work::{Done, Finish, Items, Job, Work};
use crate::diagnostics;
use crate::kafka::{ProcessOptions, Record, attributes};

/// A handler with its state and settings.
pub(super) struct Handling<H, M, S> {
    pub(super) handler: H,
    pub(super) state: S,
    pub(super) policy: Policy,
    /// Those of the policy, with what is the same for all records of this consumer.
    pub(super) options: ProcessOptions,
    dead_letters: Option<DeadLetters>,
    marker: PhantomData<fn() -> M>,
}

impl<H, M, S> Handling<H, M, S>
where
    H: Handler<M, S>,
    S: Clone + Send + Sync + 'static,
{
    /// Joins a handler with its policy. `config` is the consumer's, complete; `is_manual` says that commits wait for an
    /// `Ack`.
    ///
    /// # Errors
    ///
    /// [`RunError::Setting`] for contradictions, [`RunError::Client`] if the producer of dead letters cannot be made.
    pub(super) fn new(
        handler: H,
        state: S,
        policy: Policy,
        config: &ClientConfig,
        topics: &[String],
        is_manual: bool,
    ) -> Result<Self, RunError> {
        if let Some(contradiction) = policy.contradiction(topics) {
            return Err(contradiction);
        }
        if let Some(other) = policy.retry.mismatch::<H::Error>() {
            let error = std::any::type_name::<H::Error>();
            let reason = format!(
                "the handler's error is `{error}`; let the predicate of `when` take a reference to that"
            );
            return Err(RunError::setting("retry", &format!("when(&{other})"), reason));
        }
        if is_manual != H::ACKS {
            let (value, reason) = if is_manual {
                (
                    "manual",
                    "the handler takes no `Ack`, so no record would ever be finished; take one, or leave `commit` out",
                )
            } else {
                (
                    "not manual",
                    "the handler takes an `Ack`; write `.commit(manual())`, or leave the parameter out",
                )
            };
            return Err(RunError::setting("commit", value, reason));
        }
        let dead_letters = policy.dead_letter.as_ref().map(|topic| DeadLetters::new(topic, &policy, config));
        let dead_letters = dead_letters.transpose().map_err(RunError::Client)?;
        let options = with_constants(policy.process.clone(), config);
        Ok(Handling { handler, state, policy, options, dead_letters, marker: PhantomData })
    }

    /// Attempts until one succeeds or the policy decides. `input` is what the first is given, if it is decoded already.
    async fn attempts(&self, records: &[Record], mut input: Option<H::Input>, job: &Job) -> Done {
        let mut attempt = Attempt::first(self.policy.retry.max_attempts(), job.generation());
        let mut before = None;
        loop {
            let ended = self.attempt(records, input.take(), attempt, before.as_ref(), job).await;
            let finish = match &ended.failed {
                None | Some((_, Next::Finished)) => Some(Finish::Handled),
                Some((_, Next::Redelivery)) => Some(Finish::Abandoned),
                Some((reason, Next::Give(word))) => {
                    Some(self.give_up(*word, records, reason, attempt, &ended, job).await)
                }
                Some((_, Next::Retry)) => None,
            };
            if let Some(finish) = finish {
                return Done { finish, process: ended.cx };
            }
            let blocked = job.blocked();
            tokio::select! {
                () = tokio::time::sleep(self.policy.retry.wait(attempt.number(), retry::random())) => {}
                () = job.revoked() => return Done { finish: Finish::Abandoned, process: ended.cx },
            }
            drop(blocked);
            job.count(Count::Retry);
            before = Some(ended.span);
            attempt = attempt.next();
        }
    }

    /// A batch in one call; what cannot be decoded is taken out of it first, so that one poisoned record does not take
    /// the others along.
    async fn batch(&self, records: Vec<Record>, job: &Job) -> Done {
        if let Ok(input) = Undecodable::or(|| H::Input::decode(&records)) {
            return self.attempts(&records, Some(input), job).await;
        }
        let (mut good, mut sequences) = (Vec::with_capacity(records.len()), Vec::new());
        let mut stopped = None;
        for (record, sequence) in records.into_iter().zip(job.sequences.as_slice()) {
            if Undecodable::or(|| H::Input::check(&record)).is_ok() {
                good.push(record);
                sequences.push(*sequence);
                continue;
            }
            let done = self.attempts(std::slice::from_ref(&record), None, job).await;
            let Some(how) = counted(&done.finish) else {
                stopped = Some(done);
                break;
            };
            if job.part(vec![*sequence]).settle(how).is_none() {
                stopped = Some(Done { finish: Finish::Abandoned, process: done.process });
                break;
            }
        }
        let gone = matches!(&stopped, Some(Done { finish: Finish::Abandoned, .. }));
        let done = if good.is_empty() || gone {
            None
        } else {
            // Before a record that stops the partition, these are in order and may be finished.
            let part = job.part(sequences);
            let done = self.attempts(&good, None, &part).await;
            match counted(&done.finish) {
                Some(how) => part.settle(how).map(|_| Done { finish: Finish::Settled, ..done }),
                None => return done,
            }
        };
        stopped.or(done).unwrap_or(Done { finish: Finish::Settled, process: None })
    }

    async fn give_up(
        &self,
        word: OnFailure,
        records: &[Record],
        reason: &Reason,
        attempt: Attempt,
        ended: &Ended,
        job: &Job,
    ) -> Finish {
        let not_handled = || NotHandled {
            topic: job.topic().to_owned(),
            partition: job.partition(),
            offset: records.first().and_then(Record::offset).unwrap_or(-1),
            reason: reason.clone(),
        };
        match (word, &self.dead_letters) {
            (OnFailure::DeadLetter, Some(dead_letters)) => {
                for record in records {
                    let letter =
                        Letter { record, reason, attempts: attempt.number(), process: ended.cx.as_ref() };
                    if !dead_letters.send(letter, job).await {
                        return Finish::Abandoned;
                    }
                }
                Finish::DeadLettered
            }
            (OnFailure::Skip, _) => {
                diagnostics::warn(format_args!("skipped by the policy: {}", not_handled()));
                Finish::Skipped
            }
            (OnFailure::Stop, _) => Finish::Stop { error: Arc::new(not_handled()) },
            // A dead letter without a topic does not start; if it did, nothing may be skipped.
            (OnFailure::Halt | OnFailure::DeadLetter, _) => {
                Finish::Halt { reason: not_handled().to_string() }
            }
        }
    }

    pub(super) fn count<E>(&self, failure: &Failure<E>, job: &Job) {
        match failure {
            Failure::Undecodable(_) => job.count(Count::DecodeError),
            Failure::Panicked(_) => job.count(Count::Panic),
            Failure::Handler(_) | Failure::TimedOut(_) | Failure::AckDropped => {}
        }
    }
}

impl<H, M, S> Work for Handling<H, M, S>
where
    H: Handler<M, S>,
    M: 'static,
    S: Clone + Send + Sync + 'static,
{
    type Item = Record;

    fn in_batches(&self) -> bool {
        H::Input::IS_BATCH
    }

    // Copied and not decoded here: a record that is tried again is decoded again, and one that cannot be handled goes to
    // the dead letters byte by byte.
    fn take(&self, message: &BorrowedMessage<'_>) -> Record {
        Record::copy_of(message)
    }

    async fn run(&self, items: Items<Record>, job: &Job) -> Done {
        match items {
            Items::One(record) => self.attempts(std::slice::from_ref(&record), None, job).await,
            Items::Batch(records) => self.batch(records, job).await,
        }
    }
}

/// What is counted of records that are finished; `None` if they are not.
fn counted(finish: &Finish) -> Option<Count> {
    match finish {
        Finish::Handled => Some(Count::Handled),
        Finish::Skipped => Some(Count::Skipped),
        Finish::DeadLettered => Some(Count::DeadLettered),
        Finish::Settled | Finish::Halt { .. } | Finish::Stop { .. } | Finish::Abandoned => None,
    }
}

/// The options of a process span with group, client id and server, where the user did not say them.
fn with_constants(mut options: ProcessOptions, config: &ClientConfig) -> ProcessOptions {
    let owned = |name| config.get(name).map(|value| value.to_owned().into());
    options.group = options.group.or_else(|| owned("group.id"));
    options.client_id = options.client_id.or_else(|| owned("client.id"));
    let server = || attributes::server_of(config).map(|(address, port)| (address.into(), port));
    options.server = options.server.or_else(server);
    options
}
