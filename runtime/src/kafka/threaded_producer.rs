//! A producer in place of `ThreadedProducer` and `BaseProducer`, with the user's own delivery callback.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::client::Client as NativeClient;
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{DeliveryResult, ToBytes};
use rdkafka::producer::{
    BaseRecord, DefaultProducerContext, NoCustomPartitioner, Partitioner, Producer, ProducerContext,
    PurgeConfig, ThreadedProducer,
};
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, TopicPartitionList};

use super::client::Client;
use super::delivery::{Held, InFlight, Pending};
use super::guarded::{client_context, guarded, guarded_or};
use super::outgoing::OutgoingBaseRecord;
use super::queueing::{every_report, fitting};
use super::send_options::SendOptions;
use super::sending::{Outgoing, Profile, Sending};

/// A producer with a delivery callback that puts the trace context into every record and makes a span per send.
///
/// Takes the place of `rdkafka`'s `ThreadedProducer`, and of a `BaseProducer` that the program polls: same construction
/// from a `ProducerContext`, same `send` with the record's own opaque value. The span ends at the delivery report, just
/// before the callback is called. Callbacks and partitioner may panic: the polling thread goes on (with `rdkafka`'s
/// producers it ends), and a record whose partitioner panicked fails with `_UNKNOWN_PARTITION`.
///
/// ```no_run
/// use rdkafka::ClientConfig;
/// use rdkafka::producer::BaseRecord;
/// use throughline::kafka::TracedThreadedProducer;
///
/// # fn example() -> rdkafka::error::KafkaResult<()> {
/// let producer: TracedThreadedProducer = ClientConfig::new().set("bootstrap.servers", "localhost:9092").create()?;
/// producer.send(BaseRecord::to("orders").key("order-7").payload("{}")).map_err(|(error, _record)| error)?;
/// # Ok(()) }
/// ```
///
/// Transactions are delegated; they have no spans of their own.
#[must_use = "the thread that reports deliveries stops when the producer is dropped"]
pub struct TracedThreadedProducer<C = DefaultProducerContext, Part = NoCustomPartitioner>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
{
    shared: Arc<Shared<C, Part>>,
    profile: Arc<Profile>,
}

struct Shared<C, Part>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
{
    producer: ThreadedProducer<TracedProducerContext<C, Part>, TracedPartitioner<C, Part>>,
    pending: Arc<Pending>,
}

impl<C, Part> Clone for TracedThreadedProducer<C, Part>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
{
    fn clone(&self) -> Self {
        TracedThreadedProducer { shared: Arc::clone(&self.shared), profile: Arc::clone(&self.profile) }
    }
}

impl<C, Part> fmt::Debug for TracedThreadedProducer<C, Part>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_flight = self.shared.producer.in_flight_count();
        f.debug_struct("TracedThreadedProducer").field("in_flight", &in_flight).finish_non_exhaustive()
    }
}

/// The context of the producer inside a [`TracedThreadedProducer`]: ends spans, and passes all callbacks on to the
/// context that the user gave.
pub struct TracedProducerContext<C, Part> {
    user: Arc<C>,
    partitioner: Option<TracedPartitioner<C, Part>>,
}

impl<C, Part> TracedProducerContext<C, Part> {
    /// The context that the user gave.
    pub fn inner(&self) -> &C {
        &self.user
    }
}

impl<C, Part> fmt::Debug for TracedProducerContext<C, Part> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedProducerContext").finish_non_exhaustive()
    }
}

/// The partitioner of the user's context.
pub struct TracedPartitioner<C, Part> {
    user: Arc<C>,
    partitioner: PhantomData<fn() -> Part>,
}

impl<C, Part> fmt::Debug for TracedPartitioner<C, Part> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedPartitioner").finish_non_exhaustive()
    }
}

impl<C: ProducerContext<Part>, Part: Partitioner> Partitioner for TracedPartitioner<C, Part> {
    fn partition(
        &self,
        topic_name: &str,
        key: Option<&[u8]>,
        partition_cnt: i32,
        is_partition_available: impl Fn(i32) -> bool,
    ) -> i32 {
        // Called by C code, which a panic must not unwind into. A partition that does not exist fails the record.
        guarded_or(partition_cnt, || match self.user.get_custom_partitioner() {
            Some(user) => user.partition(topic_name, key, partition_cnt, is_partition_available),
            None => partition_cnt,
        })
    }
}

/// What librdkafka keeps with a record: the user's opaque value, and what ends its span.
pub struct TracedOpaque<D> {
    user: D,
    in_flight: InFlight,
}

impl<D> fmt::Debug for TracedOpaque<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedOpaque").finish_non_exhaustive()
    }
}

client_context!(
    [C: ClientContext + 'static, Part: Send + Sync + 'static] TracedProducerContext<C, Part>, C
);

impl<C, Part> ProducerContext<TracedPartitioner<C, Part>> for TracedProducerContext<C, Part>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
{
    type DeliveryOpaque = Box<TracedOpaque<C::DeliveryOpaque>>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Self::DeliveryOpaque) {
        let TracedOpaque { user, mut in_flight } = *opaque;
        in_flight.reported(result);
        guarded(|| self.user.delivery(result, user));
        // Not before the callback: `flush` waits for that, too.
        drop(in_flight);
    }

    fn get_custom_partitioner(&self) -> Option<&TracedPartitioner<C, Part>> {
        self.partitioner.as_ref()
    }
}

impl FromClientConfig for TracedThreadedProducer {
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        Self::from_config_and_context(config, DefaultProducerContext)
    }
}

impl<C, Part> FromClientConfigAndContext<C> for TracedThreadedProducer<C, Part>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
{
    /// # Errors
    ///
    /// Those of `rdkafka`; and `delivery.report.only.error=true` is refused, because it would keep the spans of all
    /// successful sends open for ever.
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        every_report(config)?;
        let user = Arc::new(context);
        let partitioner = user.get_custom_partitioner().is_some();
        let partitioner =
            partitioner.then(|| TracedPartitioner { user: Arc::clone(&user), partitioner: PhantomData });
        let mut native = config.clone();
        if partitioner.is_some() && config.get("partitioner").is_none() {
            // `rdkafka` (0.39) writes its callback into the topic's part of the configuration, which is a null pointer
            // until a setting of that part is given. This is the default.
            native.set("partitioner", "consistent_random");
        }
        let context = TracedProducerContext { user, partitioner };
        let producer = ThreadedProducer::from_config_and_context(&native, context)?;
        let profile = Profile::new(Arc::new(Client::of(config)), SendOptions::new());
        let shared = Arc::new(Shared { producer, pending: Arc::default() });
        Ok(TracedThreadedProducer { shared, profile: Arc::new(profile) })
    }
}

impl<C, Part> TracedThreadedProducer<C, Part>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
{
    /// The same producer, with other spans.
    pub fn with_options(&self, options: SendOptions) -> Self {
        let profile = Profile::new(Arc::clone(&self.profile.client), options);
        TracedThreadedProducer { shared: Arc::clone(&self.shared), profile: Arc::new(profile) }
    }

    /// Queues a record without waiting; the context's `delivery` is told what became of it.
    ///
    /// Takes a `BaseRecord`, or one with a [creation context](super::WithCreation).
    ///
    /// # Errors
    ///
    /// The error and the record with its opaque value, if it cannot be queued, for instance because the queue is full.
    /// The trace headers are in the record then; sending it again replaces them.
    #[allow(clippy::result_large_err, clippy::type_complexity)] // the shape of `ThreadedProducer::send`
    pub fn send<'a, K, P>(
        &self,
        record: impl OutgoingBaseRecord<'a, K, P, C::DeliveryOpaque>,
    ) -> Result<(), (KafkaError, BaseRecord<'a, K, P, C::DeliveryOpaque>)>
    where
        K: ToBytes + ?Sized + 'a,
        P: ToBytes + ?Sized + 'a,
    {
        let (record, creation) = record.into_parts();
        let BaseRecord { topic, partition, payload, key, timestamp, mut headers, delivery_opaque: user } =
            record;
        self.profile.client.learn_cluster(self.shared.producer.client());
        let outgoing = Outgoing {
            topic,
            partition,
            key: key.map(ToBytes::to_bytes),
            value: payload.map(ToBytes::to_bytes),
            creation: &creation,
            record: None,
        };
        let sending = Sending::begin(&self.profile, &outgoing, &mut headers);
        let in_flight = InFlight::new(Held::One(sending), &self.shared.pending);
        let delivery_opaque = Box::new(TracedOpaque { user, in_flight });
        let record = BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque };
        fitting(record, |record| self.shared.producer.send(record)).map_err(|(error, refused)| {
            let BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque } = refused;
            let TracedOpaque { user, mut in_flight } = *delivery_opaque;
            in_flight.refused(topic, &error);
            (error, BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque: user })
        })
    }

    /// Serves delivery reports on this thread for up to `timeout`. Not needed: the producer has a thread that does.
    pub fn poll(&self, timeout: impl Into<Timeout>) {
        self.shared.producer.poll(timeout);
    }

    /// Waits, blocking, until everything that was queued is delivered, for `deadline` at most, and gives up the rest.
    ///
    /// Gives the number of records that were not delivered; their spans end with an error, and the callback is told.
    pub fn close(self, deadline: Duration) -> usize {
        if self.flush(deadline).is_ok() {
            return 0;
        }
        let left = self.shared.pending.count();
        self.shared.producer.purge(PurgeConfig::default().queue().inflight());
        left
    }
}

impl<C, Part> Producer<TracedProducerContext<C, Part>, TracedPartitioner<C, Part>>
    for TracedThreadedProducer<C, Part>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
{
    fn client(&self) -> &NativeClient<TracedProducerContext<C, Part>> {
        self.shared.producer.client()
    }

    /// Returns when the spans of all records have ended and all callbacks have returned.
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
        cgm: &ConsumerGroupMetadata,
        timeout: T,
    ) -> KafkaResult<()> {
        self.shared.producer.send_offsets_to_transaction(offsets, cgm, timeout)
    }

    fn commit_transaction<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.shared.producer.commit_transaction(timeout)
    }

    fn abort_transaction<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.shared.producer.abort_transaction(timeout)
    }
}
