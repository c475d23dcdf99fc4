//! One call of the handler: its process span, its timeout, its panic.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{self, Poll};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::SpanContext;
use pin_project_lite::pin_project;

use super::extract::{Attempt, Given};
use super::failure::{Failure, Next, Reason, panic_text};
use super::handler::Handler;
use super::handling::Handling;
use super::input::{Input, Undecodable};
use super::policy::RetryErrors;
use super::running::{self, Running};
use super::work::Job;
use crate::diagnostics;
use crate::kafka::metrics::{Measure, traced};
use crate::kafka::{ProcessOptions, Record, attributes, consumer, process};
use crate::span::{Outcome, OwnedSpan, current};

/// How an attempt ended.
pub(super) struct Ended {
    /// What went wrong and what follows; nothing if the handler accepted the record.
    pub(super) failed: Option<(Reason, Next)>,
    /// The process span, for the link of the next attempt.
    pub(super) span: SpanContext,
    /// What was current in it, for the send of a dead letter.
    pub(super) cx: Option<Context>,
}

impl<H, M, S> Handling<H, M, S>
where
    H: Handler<M, S>,
    S: Clone + Send + Sync + 'static,
{
    /// Calls the handler once, in a process span of its own (kafka.md K-9).
    pub(super) async fn attempt(
        &self,
        records: &[Record],
        input: Option<H::Input>,
        attempt: Attempt,
        before: Option<&SpanContext>,
        job: &Job,
    ) -> Ended {
        let (mut span, mut measure) = (OwnedSpan::idle(&process::PROCESS), Measure::idle());
        let is_batch = H::Input::IS_BATCH;
        let retried = (attempt.number() > 1 || before.is_some()).then(|| self.retry_options(attempt, before));
        let options = retried.as_ref().unwrap_or(&self.options);
        consumer::open_attempt(&mut span, &mut measure, records, is_batch, options, attempt.number());
        let place = span.message_place();
        let (context, cx) = (span.span_context(), span.context().cloned());
        let offset = records.first().and_then(Record::offset).unwrap_or(-1);
        let topic = &job.generation.topic;
        let running =
            Running::new(cx.clone(), topic, job.partition(), offset, is_batch.then_some(records.len()));

        let work = async {
            let (result, left) = running::scope(running, self.call(records, input, attempt, job)).await;
            if let ([record], false, false) = (records, is_batch, left.filled)
                && current::is_recording()
            {
                consumer::complete_attempt(record, &self.options, place);
            }
            let (failure, is_acknowledged) = result.err()?;
            let next = match failure.next(&self.policy, attempt.number()) {
                _ if is_acknowledged => Next::Finished,
                Next::Retry if job.is_revoked() => Next::Redelivery,
                next => next,
            };
            self.count(&failure, job);
            let reason = failure.reason().or_named(left.outcome);
            if !self.is_error(next) {
                current::set_attribute(attributes::RETRIED_ERROR, reason.error_type.clone());
            }
            Some((reason, next))
        };
        let failed = traced((&mut span, measure), work, |failed| match failed {
            Some((reason, next)) if self.is_error(*next) => Outcome::from(reason.clone()),
            _ => Outcome::None,
        });
        Ended { failed: failed.await, span: context, cx }
    }

    fn retry_options(&self, attempt: Attempt, before: Option<&SpanContext>) -> ProcessOptions {
        let mut options = self.options.clone();
        // kafka.md M-3: once per delivery.
        options.counted |= attempt.number() > 1;
        options.links(before.filter(|before| before.is_valid()))
    }

    /// kafka.md K-9: an error that may heal is not the trace's.
    fn is_error(&self, next: Next) -> bool {
        match next {
            Next::Retry | Next::Redelivery => self.policy.retry_errors == RetryErrors::Every,
            Next::Finished | Next::Give(_) => true,
        }
    }

    /// Calls the handler, and says besides whether the record was acknowledged by then.
    async fn call(
        &self,
        records: &[Record],
        input: Option<H::Input>,
        attempt: Attempt,
        job: &Job,
    ) -> Result<(), (Failure<H::Error>, bool)> {
        let input = match input {
            Some(input) => input,
            None => Undecodable::or(|| H::Input::decode(records))
                .map_err(|error| (Failure::Undecodable(error), false))?,
        };
        let mut given = Given { state: &self.state, attempt, job, acked: None };
        // Called from inside, so that a panic before its first await is caught as well.
        let call = async {
            self.handler.call(input, &mut given).await.map_err(Failure::Handler)?;
            match given.acked.take() {
                Some(acked) => acked.await.map_err(|_| Failure::AckDropped),
                None => Ok(()),
            }
        };
        let call = Caught { future: call };
        let result = match self.policy.timeout {
            None => call.await,
            Some(limit) => self.within(limit, call, job).await,
        };
        result.map_err(|failure| {
            let is_acknowledged = given.acked.is_some_and(|mut acked| acked.try_recv().is_ok());
            (failure, is_acknowledged)
        })
    }

    async fn within<F>(&self, limit: Duration, call: F, job: &Job) -> Result<(), Failure<H::Error>>
    where
        F: Future<Output = Result<(), Failure<H::Error>>>,
    {
        let mut call = pin!(call);
        match tokio::time::timeout(limit, call.as_mut()).await {
            Ok(result) => result,
            // The thread goes on, and a second call beside it would break the order; so its result counts, late as it is.
            Err(_) if H::BLOCKS => {
                let (topic, partition) = (job.topic(), job.partition());
                diagnostics::warn(format_args!(
                    "a handler of {topic}[{partition}] takes longer than its timeout of {limit:?}; it is not `async`, so it \
                     cannot be interrupted and is waited for"
                ));
                call.await
            }
            Err(_) => Err(Failure::TimedOut(limit)),
        }
    }
}

pin_project! {
    /// A handler's future, whose panic is an error like others (kafka.md K-13).
    struct Caught<F> {
        #[pin]
        future: F,
    }
}

impl<F, E> Future for Caught<F>
where
    F: Future<Output = Result<(), Failure<E>>>,
{
    type Output = Result<(), Failure<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(polled) => polled,
            Err(payload) => Poll::Ready(Err(Failure::Panicked(panic_text(&*payload)))),
        }
    }
}
