//! A producer in place of `FutureProducer` whose spans end at the delivery report.

use std::borrow::Cow;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::trace::{Link, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use rdkafka::client::{Client, DefaultClientContext};
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{OwnedMessage, Timestamp, ToBytes};
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{BaseRecord, FutureRecord, Producer, PurgeConfig, ThreadedProducer};
use rdkafka::types::{RDKafkaConfRes, RDKafkaErrorCode};
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, TopicPartitionList};

use super::delivery::{DeliveryFuture, InFlight, Pending, TracedContext};
use super::{KeyText, attributes};
use crate::propagation;
use crate::span::{self, Kind, Options, OwnedSpan, Site};
use crate::trace_context::CreationContext;

/// How long a send waits for room in the queue before it looks again without a report.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(100);

static SEND: Site = Site::internal("send", Kind::Producer);

/// A producer for asynchronous code that puts the trace context into every record and makes a span per send.
///
/// Takes the place of `rdkafka`'s `FutureProducer`: same construction, same `send` and `send_result`. Differences:
///
/// * The PRODUCER span lasts from the call to the broker's acknowledgement and carries partition and offset, also when
///   the caller dropped the future (the record is delivered all the same).
/// * `traceparent` is replaced in the record's headers, never added a second time.
/// * With a full queue, `send` tries again at the next delivery report instead of every 100 ms.
///
/// ```no_run
/// use std::time::Duration;
/// use rdkafka::ClientConfig;
/// use rdkafka::producer::FutureRecord;
/// use throughline::kafka::TracedProducer;
///
/// # async fn example() -> rdkafka::error::KafkaResult<()> {
/// let producer: TracedProducer = ClientConfig::new().set("bootstrap.servers", "localhost:9092").create()?;
/// let record = FutureRecord::to("orders").key("order-7").payload("{}");
/// producer.send(record, Duration::from_secs(5)).await.map_err(|(error, _record)| error)?;
/// # Ok(()) }
/// ```
#[must_use = "the thread that reports deliveries stops when the producer is dropped"]
pub struct TracedProducer<C: ClientContext + 'static = DefaultClientContext> {
    shared: Arc<Shared<C>>,
}

struct Shared<C: ClientContext + 'static> {
    producer: ThreadedProducer<TracedContext<C>>,
    pending: Arc<Pending>,
    /// Attributes that are the same for all records of this producer.
    constant: Vec<KeyValue>,
}

impl<C: ClientContext + 'static> Clone for TracedProducer<C> {
    fn clone(&self) -> Self {
        TracedProducer { shared: Arc::clone(&self.shared) }
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
        if config.get("delivery.report.only.error") == Some("true") {
            return Err(KafkaError::ClientConfig(
                RDKafkaConfRes::RD_KAFKA_CONF_INVALID,
                "a span ends at its delivery report, so every record needs one; remove this setting"
                    .to_owned(),
                "delivery.report.only.error".to_owned(),
                "true".to_owned(),
            ));
        }
        let mut constant = attributes::operation(Cow::Borrowed("send"), "send").to_vec();
        constant
            .extend(config.get("client.id").map(|id| KeyValue::new(attributes::CLIENT_ID, id.to_owned())));
        let servers = config.get("bootstrap.servers").or_else(|| config.get("metadata.broker.list"));
        if let Some((address, port)) = servers.and_then(attributes::single_server) {
            constant.push(KeyValue::new(attributes::SERVER_ADDRESS, address));
            constant.push(KeyValue::new(attributes::SERVER_PORT, i64::from(port)));
        }
        let producer = ThreadedProducer::from_config_and_context(config, TracedContext { user: context })?;
        Ok(TracedProducer { shared: Arc::new(Shared { producer, pending: Arc::default(), constant }) })
    }
}

impl<C: ClientContext + 'static> TracedProducer<C> {
    /// Sends a record and waits for its delivery.
    ///
    /// `queue_timeout` bounds the time that a full queue is waited for, not the delivery (`message.timeout.ms` does
    /// that). Needs tokio's timer when the queue is full. Dropping the future before the record is queued gives the
    /// send up; afterwards the record is delivered and its span ends with the report.
    ///
    /// # Errors
    ///
    /// The error of librdkafka or the broker, with the record.
    pub async fn send<K, P>(
        &self,
        record: FutureRecord<'_, K, P>,
        queue_timeout: impl Into<Timeout>,
    ) -> OwnedDeliveryResult
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        self.send_created(record, &CreationContext::none(), queue_timeout).await
    }

    /// Like [`send`](Self::send), with a creation context that the record already has.
    ///
    /// A *custom* context goes into the record as it is; the span of this send is then CLIENT and links to it.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub async fn send_created<K, P>(
        &self,
        record: FutureRecord<'_, K, P>,
        created: &CreationContext,
        queue_timeout: impl Into<Timeout>,
    ) -> OwnedDeliveryResult
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        let begun = Instant::now();
        let queue_timeout = queue_timeout.into();
        let (mut record, delivery) = self.prepare(record, created);
        loop {
            // Listening before trying: a report between the two is not missed.
            let mut room = pin!(self.shared.pending.reported.notified());
            room.as_mut().enable();
            let (error, refused) = match self.shared.producer.send(record) {
                Ok(()) => break,
                Err(refused) => refused,
            };
            let left = match queue_timeout {
                Timeout::Never => QUEUE_FULL_PAUSE,
                Timeout::After(limit) => limit.saturating_sub(begun.elapsed()).min(QUEUE_FULL_PAUSE),
            };
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) || left.is_zero() {
                return Err(refuse(error, refused));
            }
            record = refused;
            // Either way the record is tried again.
            let _ = tokio::time::timeout(left, room).await;
        }
        match delivery.await {
            Ok(result) => result,
            Err(canceled) => Err((canceled, empty_message())),
        }
    }

    /// Queues a record without waiting; the future gives the result of the delivery.
    ///
    /// # Errors
    ///
    /// The error and the record, if it cannot be queued, for instance because the queue is full.
    #[allow(clippy::result_large_err)] // the shape of `FutureProducer::send_result`
    pub fn send_result<'a, K, P>(
        &self,
        record: FutureRecord<'a, K, P>,
    ) -> Result<DeliveryFuture, (KafkaError, FutureRecord<'a, K, P>)>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        let (record, delivery) = self.prepare(record, &CreationContext::none());
        match self.shared.producer.send(record) {
            Ok(()) => Ok(delivery),
            Err((error, refused)) => {
                let BaseRecord { topic, partition, payload, key, timestamp, headers, mut delivery_opaque } =
                    refused;
                delivery_opaque.refused(&error);
                Err((error, FutureRecord { topic, partition, payload, key, timestamp, headers }))
            }
        }
    }

    /// Waits until everything that was queued is delivered, for `deadline` at most, and gives up the rest.
    ///
    /// Gives the number of records that were not delivered; their spans end with an error. Other clones of the
    /// producer must not send meanwhile.
    pub async fn close(self, deadline: Duration) -> usize {
        let end = crate::deadline::after(deadline);
        let left = loop {
            let mut reported = pin!(self.shared.pending.reported.notified());
            reported.as_mut().enable();
            if self.shared.pending.count() == 0 {
                return 0;
            }
            // Asks librdkafka to send now instead of after `linger.ms`; with no timeout it does not block.
            let _ = self.shared.producer.flush(Duration::ZERO);
            let remaining = end.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                break self.shared.pending.count();
            }
            let _ = tokio::time::timeout(remaining.min(QUEUE_FULL_PAUSE), reported).await;
        };
        self.shared.producer.purge(PurgeConfig::default().queue().inflight());
        left
    }

    /// Begins the span, writes its context into the record and joins both.
    fn prepare<'a, K, P>(
        &self,
        record: FutureRecord<'a, K, P>,
        created: &CreationContext,
    ) -> (BaseRecord<'a, K, P, Box<InFlight>>, DeliveryFuture)
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        let FutureRecord { topic, partition, payload, key, timestamp, mut headers } = record;
        let custom = created.context().filter(|_| created.is_custom());
        let mut send = OwnedSpan::idle(&SEND);
        if span::on() {
            let mut given = self.shared.constant.clone();
            given.push(KeyValue::new(attributes::DESTINATION, topic.to_owned()));
            given.extend(partition.and_then(attributes::partition));
            send_span(&mut send, topic, given, custom);
            if send.is_recording() {
                let key = attributes::key(key.map(ToBytes::to_bytes), KeyText::default());
                let tombstone = payload.is_none().then(|| KeyValue::new(attributes::TOMBSTONE, true));
                send.set_attributes(key.into_iter().chain(tombstone));
            }
        }
        match (custom, send.context()) {
            (Some(cx), _) | (None, Some(cx)) => propagation::inject_context(cx, &mut headers),
            // Tracing is off: the trace that this record belongs to goes on without a span of ours.
            (None, None) => propagation::inject_trace_context(&mut headers),
        }
        let (delivery_opaque, delivery) = InFlight::new(send, &self.shared.pending);
        (BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque }, delivery)
    }
}

/// kafka.md P-2, P-3: PRODUCER if its own context goes into the record, else CLIENT.
fn send_span(send: &mut OwnedSpan, topic: &str, given: Vec<KeyValue>, custom: Option<&Context>) {
    let own_context = custom.is_none() && propagation::propagates();
    let mut options = Options::new()
        .name(format!("send {topic}"))
        .kind(if own_context { Kind::Producer } else { Kind::Client })
        .attributes(given);
    let created = custom.map(|cx| cx.span().span_context().clone()).filter(|created| created.is_valid());
    if let Some(created) = created {
        options = options.links([Link::with_context(created)]);
    }
    span::open_with(send, options);
}

/// The span and the error shape of a record that was not queued.
fn refuse<K, P>(
    error: KafkaError,
    mut record: BaseRecord<'_, K, P, Box<InFlight>>,
) -> (KafkaError, OwnedMessage)
where
    K: ToBytes + ?Sized,
    P: ToBytes + ?Sized,
{
    record.delivery_opaque.refused(&error);
    let message = OwnedMessage::new(
        record.payload.map(|payload| payload.to_bytes().to_vec()),
        record.key.map(|key| key.to_bytes().to_vec()),
        record.topic.to_owned(),
        record.timestamp.map_or(Timestamp::NotAvailable, Timestamp::CreateTime),
        record.partition.unwrap_or(-1),
        0,
        record.headers,
    );
    (error, message)
}

fn empty_message() -> OwnedMessage {
    OwnedMessage::new(None, None, String::new(), Timestamp::NotAvailable, -1, 0, None)
}

impl<C: ClientContext + 'static> Producer<TracedContext<C>> for TracedProducer<C> {
    fn client(&self) -> &Client<TracedContext<C>> {
        self.shared.producer.client()
    }

    /// Returns when the spans of all records have ended, which is a moment after librdkafka calls them delivered.
    fn flush<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        let timeout = timeout.into();
        let begun = Instant::now();
        self.shared.producer.flush(timeout)?;
        while self.shared.pending.count() > 0 {
            if matches!(timeout, Timeout::After(limit) if begun.elapsed() >= limit) {
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
            }
            // The polling thread is inside the last callbacks.
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
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
