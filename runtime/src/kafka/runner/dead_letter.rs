//! Records that could not be handled, sent to a topic of their own with the reason in their headers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry::trace::FutureExt as _;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;
use rdkafka::types::RDKafkaErrorCode;

use super::failure::Reason;
use super::policy::{DeadLetterContext, DeadLetterHeaders, Policy};
use super::retry::{self, Backoff};
use super::work::Job;
use crate::diagnostics;
use crate::kafka::native;
use crate::kafka::{Record, TracedProducer};
use crate::text::at_most;

/// How long the target's number of partitions is waited for.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a full queue of the producer is waited for.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the broker may take to acknowledge a dead letter before the send counts as failed, in milliseconds, unless
/// the user's configuration says so. Short, because it is sent again, and because the log should say soon what is wrong.
const MESSAGE_TIMEOUT_MS: &str = "10000";

/// librdkafka keeps each list of brokers that it is given.
const REMIND_AFTER: Duration = Duration::from_secs(60);

/// A longer text is cut, in bytes: it must not make a record too large that was not.
const MAX_TEXT_BYTES: usize = 2048;

/// librdkafka's settings that a producer has no use for; it would warn about most of them, and nobody reads this one's
/// statistics.
const CONSUMER_ONLY: [&str; 32] = [
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "check.crcs",
    "consume.callback.max.messages",
    "coordinator.query.interval.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.protocol.type",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "offset.store.method",
    "offset.store.path",
    "offset.store.sync.interval.ms",
    "partition.assignment.strategy",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "session.timeout.ms",
    "statistics.interval.ms",
];

/// A record that goes to the dead-letter topic.
pub(super) struct Letter<'a> {
    pub(super) record: &'a Record,
    pub(super) reason: &'a Reason,
    /// How often the handler was called with it.
    pub(super) attempts: u32,
    /// The context of the last process span, if there is one.
    pub(super) process: Option<&'a Context>,
}

/// The dead-letter topic and the producer of its own that writes to it.
pub(super) struct DeadLetters {
    topic: String,
    group: String,
    headers: DeadLetterHeaders,
    context: DeadLetterContext,
    config: ClientConfig,
    /// Made anew after a fatal error, which an idempotent producer does not survive.
    producer: Mutex<TracedProducer>,
    /// How many partitions the topic has; `None` until it is known, and after an error.
    partitions: Mutex<Option<i32>>,
    /// Said in the log, until it is back.
    is_away: AtomicBool,
    /// When the producer was given the configured brokers once more.
    reminded: Mutex<Option<Instant>>,
}

impl DeadLetters {
    /// Makes the producer, from the consumer's configuration.
    pub(super) fn new(topic: &str, policy: &Policy, consumer: &ClientConfig) -> Result<Self, KafkaError> {
        let config = producer_config(consumer);
        Ok(DeadLetters {
            topic: topic.to_owned(),
            group: consumer.get("group.id").unwrap_or_default().to_owned(),
            headers: policy.dlq_headers,
            context: policy.dead_letter_context,
            producer: Mutex::new(config.create()?),
            config,
            partitions: Mutex::default(),
            is_away: AtomicBool::new(false),
            reminded: Mutex::default(),
        })
    }

    /// Sends until the broker has acknowledged the letter (kafka.md K-10); meanwhile its lane is blocked. False if the
    /// record is no longer ours: whoever has it next sends it.
    pub(super) async fn send(&self, letter: Letter<'_>, job: &Job) -> bool {
        let _blocked = job.blocked();
        // Slower than a handler's retries: an outage of a topic lasts.
        let backoff = Backoff::new().initial(Duration::from_millis(250));
        let process = letter.process.cloned().unwrap_or_else(Context::current);
        let (mut tries, mut reason) = (0_u32, true);
        loop {
            tries = tries.saturating_add(1);
            // A send that is under way is waited for after a revocation, too, as a handler is; the drain bounds both.
            let sent = self.send_once(&letter, reason).with_context(process.clone()).await;
            let Err(error) = sent else {
                if self.is_away.swap(false, Ordering::Relaxed) {
                    diagnostics::info(format_args!(
                        "the dead-letter topic `{}` takes records again",
                        self.topic
                    ));
                }
                return true;
            };
            if reason && error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) {
                // A record that just fits is worth more than the reason why it is here, which its process span has.
                reason = false;
                continue;
            }
            self.failed(&error);
            tokio::select! {
                () = tokio::time::sleep(backoff.wait(tries, retry::random())) => {}
                () = job.revoked() => return false,
            }
        }
    }

    async fn send_once(&self, letter: &Letter<'_>, reason: bool) -> Result<(), KafkaError> {
        let producer = locked(&self.producer).clone();
        let partition = match letter.record.partition() {
            Some(source) => Some(source.rem_euclid(self.partitions(&producer).await?)),
            None => None,
        };
        let record = self.record(letter, partition, reason);
        producer.send_record(&record, QUEUE_TIMEOUT).await.map(drop)
    }

    /// The record as it was, with the reason in its headers.
    fn record(&self, letter: &Letter<'_>, partition: Option<i32>, reason: bool) -> Record {
        // Written now: a topic that keeps records for a week would drop at once what carries its old timestamp.
        let mut record =
            letter.record.clone().with_topic(&self.topic).with_partition(partition).with_timestamp_ms(None);
        if self.context == DeadLetterContext::Keep {
            let creation = std::mem::take(record.creation_mut());
            *record.creation_mut() = creation.keep();
        }
        if !reason {
            return record;
        }
        match self.headers {
            DeadLetterHeaders::Kip1191 => self.kip_1191(&mut record, letter),
            DeadLetterHeaders::Spring => self.spring(&mut record, letter),
        }
        set(&mut record, "throughline.error.type", &*letter.reason.error_type);
        record
    }

    fn kip_1191(&self, record: &mut Record, letter: &Letter<'_>) {
        let source = letter.record;
        set(record, "__dlq.errors.topic", source.topic());
        set(record, "__dlq.errors.partition", source.partition().unwrap_or(-1).to_string());
        set(record, "__dlq.errors.offset", source.offset().unwrap_or(-1).to_string());
        set(record, "__dlq.errors.group", &self.group);
        set(record, "__dlq.errors.delivery.count", letter.attempts.to_string());
        set(record, "__dlq.errors.message", at_most(&letter.reason.text, MAX_TEXT_BYTES));
    }

    fn spring(&self, record: &mut Record, letter: &Letter<'_>) {
        let source = letter.record;
        set(record, "kafka_dlt-original-topic", source.topic());
        set(record, "kafka_dlt-original-partition", source.partition().unwrap_or(-1).to_be_bytes());
        set(record, "kafka_dlt-original-offset", source.offset().unwrap_or(-1).to_be_bytes());
        if let Some(timestamp) = source.timestamp_ms() {
            set(record, "kafka_dlt-original-timestamp", timestamp.to_be_bytes());
        }
        set(record, "kafka_dlt-original-consumer-group", &self.group);
        set(record, "kafka_dlt-exception-fqcn", &*letter.reason.error_type);
        set(record, "kafka_dlt-exception-message", at_most(&letter.reason.text, MAX_TEXT_BYTES));
    }

    /// How many partitions the topic has; asked for off the runtime, because the call blocks.
    async fn partitions(&self, producer: &TracedProducer) -> Result<i32, KafkaError> {
        if let Some(known) = *locked(&self.partitions) {
            return Ok(known);
        }
        let (producer, topic) = (producer.clone(), self.topic.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = producer.client().fetch_metadata(Some(&topic), METADATA_TIMEOUT)?;
            let topic = metadata.topics().iter().find(|found| found.name() == topic);
            let count = topic.map_or(0, |topic| topic.partitions().len());
            i32::try_from(count)
                .ok()
                .filter(|count| *count > 0)
                .ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition))
        });
        let count = asked.await.unwrap_or(Err(KafkaError::Canceled))?;
        *locked(&self.partitions) = Some(count);
        Ok(count)
    }

    fn failed(&self, error: &KafkaError) {
        // The topic may come back with another number of partitions.
        *locked(&self.partitions) = None;
        if !self.is_away.swap(true, Ordering::Relaxed) {
            diagnostics::warn(format_args!(
                "the dead-letter topic `{}` does not take records ({error}); their partitions wait until it does",
                self.topic
            ));
        }
        let mut producer = locked(&self.producer);
        if producer.client().fatal_error().is_some()
            && let Ok(anew) = self.config.create()
        {
            *producer = anew;
        }
        // It may have forgotten them all (confluentinc/librdkafka#5301), and has no statistics that would tell.
        let mut reminded = locked(&self.reminded);
        if reminded.is_none_or(|reminded| reminded.elapsed() >= REMIND_AFTER)
            && let Some(brokers) = super::constants::bootstrap(&self.config)
        {
            *reminded = Some(Instant::now());
            native::add_brokers(producer.client(), brokers);
        }
    }
}

/// The configuration of an idempotent producer for the brokers of a consumer.
fn producer_config(consumer: &ClientConfig) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in consumer.config_map() {
        if !CONSUMER_ONLY.contains(&name) {
            config.set(name, value);
        }
    }
    config.log_level = consumer.log_level;
    config.set("enable.idempotence", "true");
    if consumer.get("message.timeout.ms").or_else(|| consumer.get("delivery.timeout.ms")).is_none() {
        config.set("message.timeout.ms", MESSAGE_TIMEOUT_MS);
    }
    if consumer.get("message.max.bytes").is_none() {
        // What could be fetched can be sent; the broker says how large a record of this topic may be.
        config.set("message.max.bytes", "1000000000");
    }
    if consumer.get("linger.ms").or_else(|| consumer.get("queue.buffering.max.ms")).is_none() {
        // Each letter is waited for, so there is nothing to wait for before sending it.
        config.set("linger.ms", "0");
    }
    config
}

/// Sets a header in place of those of its name, which an earlier consumer of the same record may have left.
fn set(record: &mut Record, name: &str, value: impl AsRef<[u8]>) {
    record.headers_mut().remove_all(name);
    record.headers_mut().push(name, value);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_producer_is_idempotent_and_takes_from_the_consumer_what_is_not_its_own() {
        let mut consumer = ClientConfig::new();
        consumer
            .set("bootstrap.servers", "kafka:9092")
            .set("security.protocol", "ssl")
            .set("group.id", "billing")
            .set("enable.auto.commit", "false")
            .set("statistics.interval.ms", "15000");
        let ours = producer_config(&consumer);
        let expected = [
            ("bootstrap.servers", "kafka:9092"),
            ("enable.idempotence", "true"),
            ("linger.ms", "0"),
            ("message.max.bytes", "1000000000"),
            ("message.timeout.ms", "10000"),
            ("security.protocol", "ssl"),
        ];
        assert!(ours.config_map().into_iter().eq(expected), "{:?}", ours.config_map());
        let theirs = producer_config(consumer.set("linger.ms", "5").set("message.timeout.ms", "1"));
        assert_eq!((theirs.get("linger.ms"), theirs.get("message.timeout.ms")), (Some("5"), Some("1")));
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        assert_eq!(at_most("short", MAX_TEXT_BYTES), "short");
        let long = "ä".repeat(MAX_TEXT_BYTES);
        assert_eq!(at_most(&long, MAX_TEXT_BYTES).len(), MAX_TEXT_BYTES);
        let odd = format!("a{long}");
        assert_eq!(at_most(&odd, MAX_TEXT_BYTES).len(), MAX_TEXT_BYTES - 1);
    }
}
