//! What a handler may take besides its record.

use std::fmt;
use std::num::NonZeroU32;

use tokio::sync::oneshot;

use super::error::CommitError;
use super::work::Job;
use crate::span::current;

/// The value given to the consumer's `state(..)`, a clone for each call.
///
/// ```
/// use throughline::kafka::{Record, State};
///
/// #[derive(Clone)]
/// struct Database;
///
/// async fn handle(_order: Record, State(_database): State<Database>) {}
/// ```
#[derive(Clone, Copy, Debug)]
pub struct State<S>(pub S);

/// Which attempt of the record this is.
///
/// ```
/// use throughline::kafka::{Attempt, Record};
///
/// async fn handle(_order: Record, attempt: Attempt) {
///     tracing::info!("attempt {} of {}", attempt.number(), attempt.max());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    number: NonZeroU32,
    max: u32,
    generation: u64,
}

impl Attempt {
    pub(super) fn first(max: u32, generation: u64) -> Self {
        Attempt { number: NonZeroU32::MIN, max, generation }
    }

    pub(super) fn next(self) -> Self {
        Attempt { number: self.number.saturating_add(1), ..self }
    }

    /// 1 for the first attempt. Attempts of an earlier delivery, before a restart or a rebalance, are not counted.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number.get()
    }

    /// Attempts that the record gets in all.
    #[must_use]
    pub fn max(self) -> u32 {
        self.max
    }

    /// Whether no attempt follows.
    #[must_use]
    pub fn is_last(self) -> bool {
        self.number() >= self.max
    }

    /// Which acquisition of the partition the record was taken in: it rises with each partition that this consumer is
    /// assigned, so a write that carries it can be told from one of before a rebalance. It also rises where a partition goes
    /// back to an offset that is not above the last one: within a generation offsets rise.
    #[must_use]
    pub fn generation(self) -> u64 {
        self.generation
    }
}

/// Says that a record (or batch) is finished, for consumers with `commit(manual())`.
///
/// The record counts as handled when [`done`](Self::done) or [`commit`](Self::commit) is called, which may be after the
/// handler has returned and on another task; its lane waits for that, so the order holds. Dropping it undone is an error
/// of the attempt, and the record is tried again: nothing is committed because somebody forgot it.
///
/// ```
/// use throughline::kafka::{Ack, Record};
///
/// async fn handle(order: Record, ack: Ack) {
///     tokio::spawn(async move {
///         drop(order);
///         ack.done();
///     });
/// }
/// ```
#[must_use = "a record whose `Ack` is dropped without `done()` counts as failed"]
pub struct Ack {
    job: Job,
    done: oneshot::Sender<()>,
}

impl Ack {
    /// The record is finished, and committed within a second.
    pub fn done(self) {
        // Nobody listens if the attempt was given up meanwhile, and then the record comes again.
        let _ = self.done.send(());
    }

    /// The record is finished, and committed now with all others that are.
    ///
    /// # Errors
    ///
    /// [`CommitError::Revoked`] if the record is no longer this consumer's, which is then delivered again; otherwise why
    /// the commit failed, and then a later one includes the record.
    pub async fn commit(self) -> Result<(), CommitError> {
        let is_ours = self.done.send(()).is_ok() && self.job.acknowledge();
        if !is_ours {
            return Err(CommitError::Revoked);
        }
        self.job.generation.engine().commit_now(Some(current::context())).await
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack")
            .field("topic", &self.job.topic())
            .field("partition", &self.job.partition())
            .finish_non_exhaustive()
    }
}

/// What parameters are made of.
#[derive(Debug)]
pub struct Given<'a, S> {
    pub(super) state: &'a S,
    pub(super) attempt: Attempt,
    pub(super) job: &'a Job,
    /// Hears of the `Ack` that the handler was given.
    pub(super) acked: Option<oneshot::Receiver<()>>,
}

/// A parameter of a handler, after the first: [`State<S>`](State), [`Ack`] or [`Attempt`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a handler",
    label = "after the record, take `State<S>`, `Ack` or `Attempt`",
    note = "the `S` of `State<S>` is the type of the value given to `.state(..)`, which is `{S}`"
)]
pub trait Extract<S>: Send + 'static {
    #[doc(hidden)]
    const IS_ACK: bool = false;
    #[doc(hidden)]
    fn extract(given: &mut Given<'_, S>) -> Self;
}

impl<S: Clone + Send + 'static> Extract<S> for State<S> {
    fn extract(given: &mut Given<'_, S>) -> Self {
        State(given.state.clone())
    }
}

impl<S> Extract<S> for Attempt {
    fn extract(given: &mut Given<'_, S>) -> Self {
        given.attempt
    }
}

impl<S> Extract<S> for Ack {
    const IS_ACK: bool = true;

    fn extract(given: &mut Given<'_, S>) -> Self {
        let (done, acked) = oneshot::channel();
        given.acked = Some(acked);
        Ack { job: given.job.clone(), done }
    }
}
