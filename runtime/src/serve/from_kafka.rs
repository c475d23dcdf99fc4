//! `serve --from-kafka`: spans out of a topic into the store.
//!
//! Offsets are committed after the store has committed. Whatever happens between the two is read again, and the store
//! recognises it: nothing is lost, and nothing doubled.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::FutureExt as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::watch;

use super::error::ServeError;
use crate::api::{Api, Refusal};
use crate::diagnostics;
use crate::store::otlp::{self, Received};
use crate::store::{Lift, StoredSpan};

/// Spans that are stored at once, as far as they are there already.
const MOST_SPANS: usize = 8_192;

/// Bytes of messages in one batch: little enough that it finds room beside what comes over the network.
const MOST_BYTES: usize = 4 << 20;

/// Between two attempts to store: from this, doubling, to that.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// What is read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) brokers: String,
    pub(super) topic: String,
    pub(super) group: String,
    /// `name=value` of librdkafka.
    pub(super) settings: Vec<String>,
}

/// Settings that would break the promise above.
const OURS: [&str; 2] = ["enable.auto.commit", "enable.auto.offset.store"];

impl Source {
    fn config(&self) -> Result<ClientConfig, ServeError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", &self.group)
            .set("auto.offset.reset", "earliest")
            .set("client.id", "throughline-serve");
        for setting in &self.settings {
            let wrong = |why: &str| ServeError::Argument(format!("--kafka-setting {why}"));
            let (name, value) = setting
                .split_once('=')
                .ok_or_else(|| wrong("is not NAME=VALUE, such as security.protocol=SSL"))?;
            if OURS.contains(&name) {
                return Err(wrong(&format!("`{name}` cannot be changed: offsets follow the store")));
            }
            config.set(name, value);
        }
        for name in OURS {
            config.set(name, "false");
        }
        Ok(config)
    }
}

/// A consumer of OTLP requests.
pub(super) struct Consumer {
    consumer: StreamConsumer,
    topic: String,
    api: Api,
    lift: Lift,
    /// What was told of, until it is better.
    told: Told,
}

#[derive(Debug, Default)]
struct Told {
    away: bool,
    malformed: bool,
    broker: bool,
}

/// Spans that are not stored yet, and where their messages end.
#[derive(Default)]
struct Batch {
    spans: Vec<StoredSpan>,
    bytes: usize,
    /// The offset after the last message, by partition.
    ends: HashMap<i32, i64>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.spans.len() >= MOST_SPANS || self.bytes >= MOST_BYTES
    }

    fn ends(&self, topic: &str) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(self.ends.len());
        for (partition, end) in &self.ends {
            // Only an offset below zero is refused.
            let _ = list.add_partition_offset(topic, *partition, Offset::Offset(*end));
        }
        list
    }
}

impl Consumer {
    pub(super) fn new(source: &Source, api: Api, lift: Lift) -> Result<Self, ServeError> {
        let consumer: StreamConsumer = source.config()?.create()?;
        consumer.subscribe(&[&source.topic])?;
        Ok(Self { consumer, topic: source.topic.clone(), api, lift, told: Told::default() })
    }

    /// Reads and stores until it is told to stop.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut last = TopicPartitionList::new();
        loop {
            let mut batch = Batch::default();
            tokio::select! {
                // An error means that nobody is left who could say so.
                _ = stop.wait_for(|stop| *stop) => break,
                message = self.consumer.recv() => take(&mut batch, message, &self.lift, &mut self.told),
            }
            while !batch.is_full()
                && let Some(message) = self.consumer.recv().now_or_never()
            {
                take(&mut batch, message, &self.lift, &mut self.told);
            }
            if batch.ends.is_empty() {
                // An error, and no message. It is never in a hurry.
                tokio::time::sleep(PAUSES.0).await;
                continue;
            }
            if !self.store(&mut batch, &mut stop).await {
                break;
            }
            last = batch.ends(&self.topic);
            // One that fails is made up for by the next, or by reading again.
            let _ = self.consumer.commit(&last, CommitMode::Async);
        }
        let consumer = self.consumer;
        // Leaving the group talks to the broker, and blocks.
        let left = tokio::task::spawn_blocking(move || {
            if last.count() > 0 {
                let _ = consumer.commit(&last, CommitMode::Sync);
            }
            drop(consumer);
        });
        let _ = left.await;
    }

    /// Stores the batch, however long it takes. False when the program stops before: then it is read again.
    async fn store(&mut self, batch: &mut Batch, stop: &mut watch::Receiver<bool>) -> bool {
        let mut pause = PAUSES.0;
        loop {
            match self.api.ingest().write(batch.spans.clone()).await {
                Ok(_) => {
                    self.api.committed();
                    if std::mem::take(&mut self.told.away) {
                        diagnostics::info(format_args!("the store takes spans from Kafka again"));
                    }
                    return true;
                }
                // Others fill the queue: it is emptied as fast as it can be.
                Err(Refusal::Full) => {}
                Err(refusal @ (Refusal::Away | Refusal::Refused)) => {
                    if !std::mem::replace(&mut self.told.away, true) {
                        diagnostics::warn(format_args!(
                            "{refusal}; spans from Kafka wait until it takes them"
                        ));
                    }
                }
            }
            if !self.wait(pause, batch, stop).await {
                return false;
            }
            pause = pause.saturating_mul(2).min(PAUSES.1);
        }
    }

    /// Waits without leaving the group: its partitions pause, and the broker is answered. False when the program stops.
    async fn wait(&mut self, pause: Duration, batch: &mut Batch, stop: &mut watch::Receiver<bool>) -> bool {
        let mut sleep = std::pin::pin!(tokio::time::sleep(pause));
        let goes_on = loop {
            // Also of partitions that were assigned in the meantime.
            if let Ok(assigned) = self.consumer.assignment() {
                let _ = self.consumer.pause(&assigned);
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break false,
                () = &mut sleep => break true,
                message = self.consumer.recv() => take(batch, message, &self.lift, &mut self.told),
            }
        };
        if let Ok(assigned) = self.consumer.assignment() {
            let _ = self.consumer.resume(&assigned);
        }
        goes_on
    }
}

/// Adds a message to the batch. One that is no request is passed over, or it would stand in the way for ever.
fn take(batch: &mut Batch, message: Result<BorrowedMessage<'_>, KafkaError>, lift: &Lift, told: &mut Told) {
    let message = match message {
        Ok(message) => message,
        Err(error) => {
            if !std::mem::replace(&mut told.broker, true) {
                diagnostics::warn(format_args!("spans cannot be read from Kafka now: {error}"));
            }
            return;
        }
    };
    told.broker = false;
    batch.ends.insert(message.partition(), message.offset() + 1);
    let payload = message.payload().unwrap_or_default();
    batch.bytes += payload.len();
    // No request in protobuf begins with this byte: it would be a group.
    let decoded =
        if payload.first() == Some(&b'{') { otlp::from_json(payload) } else { otlp::from_protobuf(payload) };
    let why = match decoded {
        Ok(request) => {
            let Received { mut spans, rejected } = otlp::rows(request, lift);
            batch.spans.append(&mut spans);
            (rejected.count() > 0).then(|| format!("spans were left out: {rejected}"))
        }
        Err(error) => Some(error.to_string()),
    };
    match why {
        None => told.malformed = false,
        Some(why) => {
            if !std::mem::replace(&mut told.malformed, true) {
                let (partition, offset) = (message.partition(), message.offset());
                diagnostics::warn(format_args!("the message at {offset} of partition {partition}: {why}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_cannot_break_the_order_of_commits() {
        let mut source = Source {
            brokers: "b:1".to_owned(),
            topic: "t".to_owned(),
            group: "g".to_owned(),
            settings: vec!["security.protocol=SSL".to_owned()],
        };
        let config = source.config().unwrap();
        assert_eq!(config.get("security.protocol"), Some("SSL"));
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
        for wrong in ["enable.auto.commit=true", "security.protocol"] {
            source.settings = vec![wrong.to_owned()];
            assert!(source.config().is_err(), "{wrong}");
        }
    }
}
