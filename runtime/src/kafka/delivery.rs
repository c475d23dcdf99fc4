//! Records on their way to the broker: the span that ends at the delivery report, and the future that waits for it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{self, Poll};

use opentelemetry::KeyValue;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, Message};
use tokio::sync::{Notify, oneshot};

use super::{attributes, error};
use crate::span::OwnedSpan;

/// Records that were handed over and not yet reported.
///
/// librdkafka's own count falls when the report is taken from its queue, which is before the span has ended.
#[derive(Debug, Default)]
pub(super) struct Pending {
    count: AtomicUsize,
    /// Told at each report, which is when the queue has room again.
    pub(super) reported: Notify,
}

impl Pending {
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}

/// What librdkafka keeps with a record and gives back with its report.
#[derive(Debug)]
pub struct InFlight {
    span: Option<OwnedSpan>,
    report: Option<oneshot::Sender<OwnedDeliveryResult>>,
    pending: Arc<Pending>,
}

impl InFlight {
    pub(super) fn new(span: OwnedSpan, pending: &Arc<Pending>) -> (Box<Self>, DeliveryFuture) {
        let (report, receiver) = oneshot::channel();
        let pending = Arc::clone(pending);
        pending.count.fetch_add(1, Ordering::Relaxed);
        (Box::new(InFlight { span: Some(span), report: Some(report), pending }), DeliveryFuture { receiver })
    }

    /// Ends the span of a record that was refused before it was queued.
    pub(super) fn refused(&mut self, error: &KafkaError) {
        self.fail(error);
    }

    fn fail(&mut self, error: &KafkaError) {
        if let Some(mut span) = self.span.take() {
            span.fail(error::error_type(error), error.to_string());
            span.end();
        }
    }

    fn delivered(&mut self, partition: i32, offset: i64) {
        if let Some(mut span) = self.span.take() {
            let place = attributes::partition(partition).into_iter().chain(attributes::offset(offset));
            span.set_attributes(place.collect::<Vec<KeyValue>>());
            span.end();
        }
    }
}

impl Drop for InFlight {
    /// Only a send that was given up while it waited for room in the queue comes here with its span.
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            span.cancel();
        }
        self.pending.count.fetch_sub(1, Ordering::Release);
        self.pending.reported.notify_waiters();
    }
}

/// Waits for the delivery report of a record. Dropping it cancels nothing: the record is still delivered, and its span
/// ends with the report.
#[derive(Debug)]
#[must_use = "without waiting for the report it is not known whether the record was delivered"]
pub struct DeliveryFuture {
    receiver: oneshot::Receiver<OwnedDeliveryResult>,
}

impl Future for DeliveryFuture {
    /// [`KafkaError::Canceled`] if the producer was dropped before the report came.
    type Output = Result<OwnedDeliveryResult, KafkaError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(cx).map_err(|_| KafkaError::Canceled)
    }
}

/// The context of the producer inside a [`TracedProducer`](super::TracedProducer): ends spans, and passes all callbacks
/// on to the context that the user gave.
#[derive(Clone, Debug)]
pub struct TracedContext<C> {
    pub(super) user: C,
}

impl<C: ClientContext> TracedContext<C> {
    /// The context that the user gave.
    pub fn inner(&self) -> &C {
        &self.user
    }
}

/// A panic in a callback would end the thread that polls, and with it every delivery.
fn guarded(callback: impl FnOnce()) {
    // The hook has told the panic already; there is nobody to hand it to.
    let _ = catch_unwind(AssertUnwindSafe(callback));
}

impl<C: ClientContext + 'static> ClientContext for TracedContext<C> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = C::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        guarded(|| self.user.log(level, fac, log_message));
    }

    fn stats(&self, statistics: Statistics) {
        guarded(|| self.user.stats(statistics));
    }

    fn stats_raw(&self, statistics: &[u8]) {
        guarded(|| self.user.stats_raw(statistics));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        guarded(|| self.user.error(error, reason));
    }

    fn generate_oauth_token(
        &self,
        oauthbearer_config: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let token = || self.user.generate_oauth_token(oauthbearer_config);
        catch_unwind(AssertUnwindSafe(token)).unwrap_or_else(|_| Err("the callback panicked".into()))
    }
}

impl<C: ClientContext + 'static> ProducerContext for TracedContext<C> {
    type DeliveryOpaque = Box<InFlight>;

    fn delivery(&self, result: &DeliveryResult<'_>, mut in_flight: Box<InFlight>) {
        // Before the report goes out: whoever waits for it may end the program next.
        match result {
            Ok(message) => in_flight.delivered(message.partition(), message.offset()),
            Err((error, _)) => in_flight.fail(error),
        }
        if let Some(report) = in_flight.report.take().filter(|report| !report.is_closed()) {
            let result = match result {
                Ok(message) => Ok(Delivery {
                    partition: message.partition(),
                    offset: message.offset(),
                    timestamp: message.timestamp(),
                }),
                Err((error, message)) => Err((error.clone(), message.detach())),
            };
            // Wakes a task, which runs code of the executor.
            guarded(|| drop(report.send(result)));
        }
    }
}
