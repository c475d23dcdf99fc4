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
use super::work::{Finish, Items, Job, Sequences, Work};
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
    async fn attempts(&self, records: &[Record], mut input: Option<H::Input>, job: &Job) -> Finish {
        let mut attempt = Attempt::first(self.policy.retry.max_attempts(), job.generation());
        let mut before = None;
        loop {
            let ended = self.attempt(records, input.take(), attempt, before.as_ref(), job).await;
            let Some((reason, next)) = &ended.failed else { return Finish::Handled };
            match next {
                Next::Finished => return Finish::Handled,
                Next::Redelivery => return Finish::Abandoned,
                Next::Give(word) => return self.give_up(*word, records, reason, attempt, &ended, job).await,
                Next::Retry => {}
            }
            let blocked = job.blocked();
            tokio::select! {
                () = tokio::time::sleep(self.policy.retry.wait(attempt.number(), retry::random())) => {}
                () = job.revoked() => return Finish::Abandoned,
            }
            drop(blocked);
            job.count(Count::Retry);
            before = Some(ended.span);
            attempt = attempt.next();
        }
    }

    /// A batch in one call; what cannot be decoded is taken out of it first, so that one poisoned record does not take
    /// the others along.
    async fn batch(&self, mut records: Vec<Record>, job: &Job) -> Finish {
        if let Ok(input) = Undecodable::or(|| H::Input::decode(&records)) {
            return self.attempts(&records, Some(input), job).await;
        }
        let mut finish = None;
        let mut index = 0;
        while let Some(record) = records.get(index) {
            if Undecodable::or(|| H::Input::check(record)).is_ok() {
                index += 1;
                continue;
            }
            match self.attempts(std::slice::from_ref(record), None, job).await {
                // What the codec says now and then is not for us to judge: it was handled as a batch of one.
                done @ (Finish::Handled | Finish::Skipped | Finish::DeadLettered) => {
                    finish = Some(done);
                    records.remove(index);
                }
                stopped => {
                    // Those before it are in order and may be finished; it and those after it are not.
                    records.truncate(index);
                    if !records.is_empty() && matches!(stopped, Finish::Halt { .. } | Finish::Stop { .. }) {
                        self.first_of(&records, job).await;
                    }
                    return stopped;
                }
            }
        }
        match finish {
            Some(finish) if records.is_empty() => finish,
            _ => self.attempts(&records, None, job).await,
        }
    }

    /// Handles the records before one that stops the partition, and finishes them alone.
    async fn first_of(&self, records: &[Record], job: &Job) {
        if let Finish::Handled | Finish::Skipped | Finish::DeadLettered =
            self.attempts(records, None, job).await
        {
            let sequences = job.sequences.as_slice().iter().take(records.len()).copied().collect();
            Job { generation: Arc::clone(&job.generation), sequences: Sequences::Many(sequences) }
                .acknowledge();
        }
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

    async fn run(&self, items: Items<Record>, job: &Job) -> Finish {
        match items {
            Items::One(record) => self.attempts(std::slice::from_ref(&record), None, job).await,
            Items::Batch(records) => self.batch(records, job).await,
        }
    }
}

/// The options of a process span with group, client id and server, where the user did not say them.
fn with_constants(mut options: ProcessOptions, config: &ClientConfig) -> ProcessOptions {
    let owned = |name| config.get(name).map(|value| value.to_owned().into());
    options.group = options.group.or_else(|| owned("group.id"));
    options.client_id = options.client_id.or_else(|| owned("client.id"));
    let servers = config.get("bootstrap.servers").or_else(|| config.get("metadata.broker.list"));
    let server = servers.and_then(attributes::single_server);
    options.server = options.server.or_else(|| server.map(|(address, port)| (address.into(), port)));
    options
}
