//! The worker: reads orders from Kafka, reserves the goods and charges the card.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use throughline::{ErrorType, Telemetry, kafka_consumer, traced_span};

use crate::gateway::Order;
use crate::{Destination, Error, TOPIC, children, run};

const GROUP: &str = "request-path";

/// A commit needs the spans to be delivered, so several messages share one.
const COMMIT_AFTER: usize = 16;

/// Why an order failed.
#[derive(Debug)]
enum OrderError {
    Unreadable(serde_json::Error),
    Declined { card: String },
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OrderError::Unreadable(error) => write!(f, "the record is no order: {error}"),
            OrderError::Declined { card } => write!(f, "the bank declined the card `{card}`"),
        }
    }
}

/// The short name by which errors are counted; without this it would be the name of the type.
impl ErrorType for OrderError {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            OrderError::Unreadable(_) => "unreadable".into(),
            OrderError::Declined { .. } => "card_declined".into(),
        }
    }
}

pub(crate) async fn run(kafka: &str, destination: &Destination) -> Result<(), Error> {
    let telemetry = run::telemetry("worker", destination)?;
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("group.id", GROUP)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "true")
        .set("fetch.wait.max.ms", "10")
        .create()?;
    consumer.assign(&committed(&consumer)?)?;
    children::ready(kafka);

    let mut done = std::pin::pin!(children::parent_is_done());
    let mut finished = Finished::default();
    loop {
        let pause =
            if finished.messages == 0 { Duration::from_secs(3600) } else { Duration::from_millis(20) };
        let message = tokio::select! {
            message = consumer.recv() => Some(message?),
            () = tokio::time::sleep(pause) => None,
            () = &mut done => break,
        };
        if let Some(message) = &message {
            // A declined card is the order's outcome, not a reason to read the order again.
            let _ = charge_order(message).await;
            finished.add(message);
        }
        if message.is_none() || finished.messages >= COMMIT_AFTER {
            finished.commit(&telemetry, &consumer)?;
        }
    }
    finished.commit(&telemetry, &consumer)?;
    tokio::task::block_in_place(|| run::finish(&telemetry))
}

/// Where the worker before this one stopped, in every partition. Taking the partitions by hand spares the seconds that
/// joining a group takes.
fn committed(consumer: &StreamConsumer) -> Result<TopicPartitionList, Error> {
    let begun = Instant::now();
    loop {
        let metadata = consumer
            .fetch_metadata(Some(TOPIC), Duration::from_secs(10))
            .map_err(|error| format!("the Kafka broker tells nothing about its topics: {error}"))?;
        let mut partitions = TopicPartitionList::new();
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            partitions.add_partition_offset(TOPIC, partition.id(), Offset::Stored)?;
        }
        if partitions.count() > 0 {
            return Ok(partitions);
        }
        // A broker that makes topics when they are asked for needs a moment.
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(format!("the Kafka broker has no topic `{TOPIC}`; create it").into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Messages that are finished and not yet committed.
#[derive(Default)]
struct Finished {
    messages: usize,
    /// By partition: the offset of the next message.
    next: BTreeMap<i32, i64>,
}

impl Finished {
    fn add(&mut self, message: &BorrowedMessage<'_>) {
        self.messages += 1;
        self.next.insert(message.partition(), message.offset() + 1);
    }

    /// Spans first, then the offsets: whoever kills this process loses neither an order nor its spans.
    fn commit(&mut self, telemetry: &Telemetry, consumer: &StreamConsumer) -> Result<(), Error> {
        if self.messages == 0 {
            return Ok(());
        }
        tokio::task::block_in_place(|| {
            let report = telemetry.flush(Duration::from_secs(10));
            if !report.deadline_met {
                tracing::warn!("spans are not delivered: {report}");
            }
            let mut partitions = TopicPartitionList::new();
            for (partition, next) in std::mem::take(self).next {
                partitions.add_partition_offset(TOPIC, partition, Offset::Offset(next))?;
            }
            Ok(consumer.commit(&partitions, CommitMode::Sync)?)
        })
    }
}

/// The trace came in with the record's headers: this span continues it, and knows how long the record waited.
#[kafka_consumer(group = GROUP)]
async fn charge_order(message: &BorrowedMessage<'_>) -> Result<(), OrderError> {
    let order: Order =
        serde_json::from_slice(message.payload().unwrap_or_default()).map_err(OrderError::Unreadable)?;
    reserve(&order).await;
    charge(&order).await.inspect_err(|error| tracing::error!(order = order.id, %error, "order failed"))?;
    tracing::info!(order = order.id, "order charged");
    Ok(())
}

#[traced_span("worker.reserve_goods", fields(order.id = order.id))]
async fn reserve(order: &Order) {
    tokio::time::sleep(Duration::from_millis(1 + order.id % 3)).await;
}

#[traced_span("worker.charge_card", fields(order.id = order.id))]
async fn charge(order: &Order) -> Result<(), OrderError> {
    tokio::time::sleep(Duration::from_millis(2)).await;
    if order.card == "valid" { Ok(()) } else { Err(OrderError::Declined { card: order.card.clone() }) }
}
