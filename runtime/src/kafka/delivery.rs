//! Records on their way to the broker, and the future that waits for the report on one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::util::Timeout;
use tokio::sync::{Notify, oneshot};

use super::batch_send::BatchSend;
use super::guarded::guarded;
use super::sending::Sending;

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

    /// Waits, blocking, until no span is open any more: the polling thread is inside the last callbacks.
    pub(super) fn ended(&self, begun: Instant, timeout: Timeout) -> KafkaResult<()> {
        while self.count() > 0 {
            if matches!(timeout, Timeout::After(limit) if begun.elapsed() >= limit) {
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// What a record in flight ends when its report comes.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "boxed with the rest of `InFlight` already")]
pub(super) enum Held {
    One(Sending),
    OfBatch(Arc<BatchSend>),
}

/// What librdkafka keeps with a record and gives back with its report.
#[derive(Debug)]
pub struct InFlight {
    held: Option<Held>,
    report: Option<oneshot::Sender<OwnedDeliveryResult>>,
    pending: Arc<Pending>,
}

impl InFlight {
    /// A record whose report nobody waits for.
    pub(super) fn new(held: Held, pending: &Arc<Pending>) -> Self {
        let pending = Arc::clone(pending);
        pending.count.fetch_add(1, Ordering::Relaxed);
        InFlight { held: Some(held), report: None, pending }
    }

    pub(super) fn awaited(held: Held, pending: &Arc<Pending>) -> (Box<Self>, DeliveryFuture) {
        let (report, receiver) = oneshot::channel();
        let mut in_flight = Self::new(held, pending);
        in_flight.report = Some(report);
        (Box::new(in_flight), DeliveryFuture { receiver })
    }

    /// Ends the span of a record that was refused before it was queued.
    pub(super) fn refused(&mut self, topic: &str, error: &KafkaError) {
        match self.held.take() {
            Some(Held::One(sending)) => sending.refused(topic, error),
            Some(Held::OfBatch(batch)) => batch.refused(error),
            None => {}
        }
    }

    /// Ends the span with its report, and passes the report on.
    pub(super) fn reported(&mut self, result: &DeliveryResult<'_>) {
        // Before the report goes out: whoever waits for it may end the program next.
        let (message, error) = match result {
            Ok(message) => (message, None),
            Err((error, message)) => (message, Some(error)),
        };
        let (topic, partition) = (message.topic(), message.partition());
        match (self.held.take(), error) {
            (Some(Held::One(sending)), None) => sending.delivered(topic, partition, message.offset()),
            (Some(Held::One(sending)), Some(error)) => sending.failed(topic, partition, error),
            (Some(Held::OfBatch(batch)), error) => batch.reported(topic, partition, error),
            (None, _) => {}
        }
        if let Some(report) = self.report.take().filter(|report| !report.is_closed()) {
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

impl Drop for InFlight {
    /// Only a send that was given up while it waited for room in the queue comes here with its span.
    fn drop(&mut self) {
        if let Some(Held::One(sending)) = self.held.take() {
            sending.cancelled();
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
