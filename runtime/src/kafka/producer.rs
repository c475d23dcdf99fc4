//! A producer in place of `FutureProducer` whose spans end at the delivery report.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::client::{Client as NativeClient, DefaultClientContext};
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{DeliveryResult, OwnedHeaders, ToBytes};
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use rdkafka::producer::{BaseRecord, FutureRecord, Producer, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, TopicPartitionList};

use super::batch_send::{self, BatchSend};
use super::client::Client;
use super::delivery::{DeliveryFuture, Held, InFlight, Pending};
use super::guarded::client_context;
use super::outgoing::OutgoingRecord;
use super::queueing::{Refused, base_record, empty_message, every_report, fitting, owned};
use super::record::Record;
use super::send_options::SendOptions;
use super::sending::{Outgoing, Profile, Sending};

/// How long a send waits for room in the queue before it looks again without a report.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(100);

/// A producer for asynchronous code that puts the trace context into every record and makes a span per send.
///
/// Takes the place of `rdkafka`'s `FutureProducer`: same construction, same `send` and `send_result`. Differences:
///
/// * The span lasts from the call to the broker's acknowledgement and carries partition and offset, also when the
///   caller dropped the future (the record is delivered all the same).
/// * `traceparent` is replaced in the record's headers, never added a second time.
/// * With a full queue, `send` tries again at the next delivery report instead of every 100 ms.
/// * A record that is too large only with the trace headers is sent without them.
///
/// ```no_run
/// use std::time::Duration;
/// use rdkafka::ClientConfig;
/// use rdkafka::producer::FutureRecord;
/// use throughline::kafka::{Record, TracedProducer};
///
/// # async fn example() -> rdkafka::error::KafkaResult<()> {
/// let producer: TracedProducer = ClientConfig::new().set("bootstrap.servers", "localhost:9092").create()?;
/// let record = FutureRecord::to("orders").key("order-7").payload("{}");
/// producer.send(record, Duration::from_secs(5)).await.map_err(|(error, _record)| error)?;
///
/// let records = ["order-8", "order-9"].map(|key| Record::to("orders").with_key(key).with_value("{}"));
/// for delivery in producer.send_batch(&records, Duration::from_secs(5)).await {
///     println!("offset {}", delivery?.offset);
/// }
/// # Ok(()) }
/// ```
///
/// Span kinds follow OpenTelemetry's conventions for messaging: PRODUCER if the span's own context goes into the record,
/// CLIENT if the record keeps a context that was made on purpose (the span links to it), and for a batch, whose records
/// carry the contexts of their `create` spans.
#[must_use = "the thread that reports deliveries stops when the producer is dropped"]
pub struct TracedProducer<C: ClientContext + 'static = DefaultClientContext> {
    shared: Arc<Shared<C>>,
    profile: Arc<Profile>,
}

struct Shared<C: ClientContext + 'static> {
    producer: ThreadedProducer<TracedContext<C>>,
    pending: Arc<Pending>,
}

/// The context of the producer inside a [`TracedProducer`]: ends spans, and passes all callbacks on to the context that
/// the user gave.
#[derive(Clone, Debug)]
pub struct TracedContext<C> {
    user: C,
}

impl<C: ClientContext> TracedContext<C> {
    /// The context that the user gave.
    pub fn inner(&self) -> &C {
        &self.user
    }
}

client_context!([C: ClientContext + 'static] TracedContext<C>, C);

impl<C: ClientContext + 'static> ProducerContext for TracedContext<C> {
    type DeliveryOpaque = Box<InFlight>;

    fn delivery(&self, result: &DeliveryResult<'_>, mut in_flight: Box<InFlight>) {
        in_flight.reported(result);
    }
}

impl<C: ClientContext + 'static> Clone for TracedProducer<C> {
    fn clone(&self) -> Self {
        TracedProducer { shared: Arc::clone(&self.shared), profile: Arc::clone(&self.profile) }
    }
}

impl<C: ClientContext + 'static> fmt::Debug for TracedProducer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_flight = self.shared.producer.in_flight_count();
        f.debug_struct("TracedProducer").field("in_flight", &in_flight).finish_non_exhaustive()
    }
}

impl FromClientConfig for TracedProducer {
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        Self::from_config_and_context(config, DefaultClientContext)
    }
}

impl<C: ClientContext + 'static> FromClientConfigAndContext<C> for TracedProducer<C> {
    /// # Errors
    ///
    /// Those of `rdkafka`; and `delivery.report.only.error=true` is refused, because it would keep the spans of all
    /// successful sends open for ever.
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        every_report(config)?;
        let producer = ThreadedProducer::from_config_and_context(config, TracedContext { user: context })?;
        let profile = Profile::new(Arc::new(Client::of(config)), SendOptions::new());
        let shared = Arc::new(Shared { producer, pending: Arc::default() });
        Ok(TracedProducer { shared, profile: Arc::new(profile) })
    }
}

impl<C: ClientContext + 'static> TracedProducer<C> {
    /// The same producer, with other spans.
    ///
    /// ```no_run
    /// # fn example(producer: &throughline::kafka::TracedProducer) {
    /// use throughline::kafka::{Existing, SendOptions};
    ///
    /// // A service that passes messages on as they are: each send links to the span that made the message.
    /// let forwarding = producer.with_options(SendOptions::new().existing(Existing::Keep));
    /// # let _ = forwarding; }
    /// ```
    pub fn with_options(&self, options: SendOptions) -> Self {
        let profile = Profile::new(Arc::clone(&self.profile.client), options);
        TracedProducer { shared: Arc::clone(&self.shared), profile: Arc::new(profile) }
    }

    /// Sends a record and waits for its delivery.
    ///
    /// Takes a `FutureRecord`, or one with a [creation context](super::WithCreation). `queue_timeout` bounds the time
    /// that a full queue is waited for, not the delivery (`message.timeout.ms` does that). Needs tokio's timer when the
    /// queue is full. Dropping the future before the record is queued gives the send up; afterwards the record is
    /// delivered and its span ends with the report.
    ///
    /// # Errors
    ///
    /// The error of librdkafka or the broker, with the record.
    pub async fn send<'a, K, P>(
        &self,
        record: impl OutgoingRecord<'a, K, P>,
        queue_timeout: impl Into<Timeout>,
    ) -> OwnedDeliveryResult
    where
        K: ToBytes + ?Sized + 'a,
        P: ToBytes + ?Sized + 'a,
    {
        let (record, delivery) = self.prepare(record);
        if let Err((error, refused)) = self.queue(record, queue_timeout.into()).await {
            return Err((error, owned(refused)));
        }
        match delivery.await {
            Ok(result) => result,
            Err(canceled) => Err((canceled, empty_message())),
        }
    }

    /// Sends a [`Record`] and waits for its delivery; otherwise like [`send`](Self::send).
    ///
    /// Its creation context is kept if it was set on purpose: then the span is CLIENT and links to it. One that came
    /// with a message is replaced. The record stays with the caller, who may send it again.
    ///
    /// # Errors
    ///
    /// The error of librdkafka or the broker.
    pub async fn send_record(
        &self,
        record: &Record,
        queue_timeout: impl Into<Timeout>,
    ) -> Result<Delivery, KafkaError> {
        let mut headers = record.to_owned_headers();
        let sending = self.begin(&batch_send::outgoing(record), &mut headers);
        let (in_flight, delivery) = InFlight::awaited(Held::One(sending), &self.shared.pending);
        let queued = self.queue(base_record(record, headers, in_flight), queue_timeout.into()).await;
        queued.map_err(|(error, _)| error)?;
        delivery.await?.map_err(|(error, _)| error)
    }

    /// Sends records together and waits for all of them; gives the result of each, in their order.
    ///
    /// Each record gets a `create` span, whose context it carries; one `send` span, which links to all of them, lasts
    /// until the last report ([`SendOptions::create_spans`] turns the former off). Records that have a creation context
    /// made on purpose keep it. `queue_timeout` bounds the time that a full queue is waited for, for each record.
    /// Dropping the future gives up what is not queued yet.
    ///
    /// # Errors
    ///
    /// Per record, the error of librdkafka or the broker. The span fails if one of them does.
    pub async fn send_batch(
        &self,
        records: &[Record],
        queue_timeout: impl Into<Timeout>,
    ) -> Vec<Result<Delivery, KafkaError>> {
        let queue_timeout = queue_timeout.into();
        self.profile.client.learn_cluster(self.shared.producer.client());
        let (batch, headers) = BatchSend::begin(&self.profile, records);
        let mut deliveries = Vec::with_capacity(records.len());
        for (record, headers) in records.iter().zip(headers) {
            let held = Held::OfBatch(Arc::clone(&batch));
            let (in_flight, delivery) = InFlight::awaited(held, &self.shared.pending);
            let queued = self.queue(base_record(record, headers, in_flight), queue_timeout).await;
            deliveries.push(queued.map(|()| delivery).map_err(|(error, _)| error));
        }
        // The records in flight hold it from here on: the span ends with the last of them.
        drop(batch);
        let mut results = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            results.push(match delivery {
                Ok(delivery) => delivery.await.and_then(|result| result.map_err(|(error, _message)| error)),
                Err(error) => Err(error),
            });
        }
        results
    }

    /// Queues a record without waiting; the future gives the result of the delivery.
    ///
    /// # Errors
    ///
    /// The error and the record, if it cannot be queued, for instance because the queue is full.
    #[allow(clippy::result_large_err)] // the shape of `FutureProducer::send_result`
    pub fn send_result<'a, K, P>(
        &self,
        record: impl OutgoingRecord<'a, K, P>,
    ) -> Result<DeliveryFuture, (KafkaError, FutureRecord<'a, K, P>)>
    where
        K: ToBytes + ?Sized + 'a,
        P: ToBytes + ?Sized + 'a,
    {
        let (record, delivery) = self.prepare(record);
        match self.try_queue(record) {
            Ok(()) => Ok(delivery),
            Err((error, mut refused)) => {
                refused.delivery_opaque.refused(refused.topic, &error);
                let BaseRecord { topic, partition, payload, key, timestamp, headers, .. } = refused;
                Err((error, FutureRecord { topic, partition, payload, key, timestamp, headers }))
            }
        }
    }

    /// Waits until everything that was queued is delivered, for `deadline` at most; gives the number of records that
    /// are not delivered yet.
    pub async fn flush_within(&self, deadline: Duration) -> usize {
        let end = crate::deadline::after(deadline);
        loop {
            let mut reported = pin!(self.shared.pending.reported.notified());
            reported.as_mut().enable();
            if self.shared.pending.count() == 0 {
                return 0;
            }
            // Asks librdkafka to send now instead of after `linger.ms`; with no timeout it does not block.
            let _ = self.shared.producer.flush(Duration::ZERO);
            let remaining = end.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return self.shared.pending.count();
            }
            let _ = tokio::time::timeout(remaining.min(QUEUE_FULL_PAUSE), reported).await;
        }
    }

    /// Waits until everything that was queued is delivered, for `deadline` at most, and gives up the rest.
    ///
    /// Gives the number of records that were not delivered; their spans end with an error. Other clones of the
    /// producer must not send meanwhile.
    pub async fn close(self, deadline: Duration) -> usize {
        let left = self.flush_within(deadline).await;
        if left > 0 {
            self.shared.producer.purge(PurgeConfig::default().queue().inflight());
        }
        left
    }

    /// Begins the span, writes its context into the record and joins both.
    fn prepare<'a, K, P>(
        &self,
        record: impl OutgoingRecord<'a, K, P>,
    ) -> (BaseRecord<'a, K, P, Box<InFlight>>, DeliveryFuture)
    where
        K: ToBytes + ?Sized + 'a,
        P: ToBytes + ?Sized + 'a,
    {
        let (record, creation) = record.into_parts();
        let FutureRecord { topic, partition, payload, key, timestamp, mut headers } = record;
        let outgoing = Outgoing {
            topic,
            partition,
            key: key.map(ToBytes::to_bytes),
            value: payload.map(ToBytes::to_bytes),
            creation: &creation,
            record: None,
        };
        let sending = self.begin(&outgoing, &mut headers);
        let (delivery_opaque, delivery) = InFlight::awaited(Held::One(sending), &self.shared.pending);
        (BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque }, delivery)
    }

    fn begin(&self, outgoing: &Outgoing<'_>, headers: &mut Option<OwnedHeaders>) -> Sending {
        self.profile.client.learn_cluster(self.shared.producer.client());
        Sending::begin(&self.profile, outgoing, headers)
    }

    /// Queues a record; waits for room if there is none. The span of a record that is refused has ended.
    async fn queue<'a, K, P>(
        &self,
        mut record: BaseRecord<'a, K, P, Box<InFlight>>,
        queue_timeout: Timeout,
    ) -> Result<(), Refused<'a, K, P>>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        let begun = Instant::now();
        loop {
            // Listening before trying: a report between the two is not missed.
            let mut room = pin!(self.shared.pending.reported.notified());
            room.as_mut().enable();
            let (error, mut refused) = match self.try_queue(record) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            let left = match queue_timeout {
                Timeout::Never => QUEUE_FULL_PAUSE,
                Timeout::After(limit) => limit.saturating_sub(begun.elapsed()).min(QUEUE_FULL_PAUSE),
            };
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) || left.is_zero() {
                refused.delivery_opaque.refused(refused.topic, &error);
                return Err((error, refused));
            }
            record = refused;
            // Either way the record is tried again.
            let _ = tokio::time::timeout(left, room).await;
        }
    }

    /// Queues a record; one that is too large with a trace context goes without (kafka.md T-13).
    #[allow(clippy::result_large_err)] // the shape of `ThreadedProducer::send`
    fn try_queue<'a, K, P>(
        &self,
        record: BaseRecord<'a, K, P, Box<InFlight>>,
    ) -> Result<(), Refused<'a, K, P>>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        fitting(record, |record| self.shared.producer.send(record))
    }
}

impl<C: ClientContext + 'static> Producer<TracedContext<C>> for TracedProducer<C> {
    fn client(&self) -> &NativeClient<TracedContext<C>> {
        self.shared.producer.client()
    }

    /// Returns when the spans of all records have ended, which is a moment after librdkafka calls them delivered.
    fn flush<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        let timeout = timeout.into();
        let begun = Instant::now();
        self.shared.producer.flush(timeout)?;
        self.shared.pending.ended(begun, timeout)
    }

    fn purge(&self, flags: PurgeConfig) {
        self.shared.producer.purge(flags);
    }

    fn in_flight_count(&self) -> i32 {
        self.shared.producer.in_flight_count()
    }

    fn init_transactions<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.shared.producer.init_transactions(timeout)
    }

    fn begin_transaction(&self) -> KafkaResult<()> {
        self.shared.producer.begin_transaction()
    }

    fn send_offsets_to_transaction<T: Into<Timeout>>(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
        timeout: T,
    ) -> KafkaResult<()> {
        self.shared.producer.send_offsets_to_transaction(offsets, group, timeout)
    }

    fn commit_transaction<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.shared.producer.commit_transaction(timeout)
    }

    fn abort_transaction<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.shared.producer.abort_transaction(timeout)
    }
}
