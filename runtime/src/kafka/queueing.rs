//! What both producers do with a record and `rdkafka`'s types: queue it, with or without our headers, and give it back.

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{OwnedHeaders, OwnedMessage, Timestamp, ToBytes};
use rdkafka::producer::BaseRecord;
use rdkafka::types::{RDKafkaConfRes, RDKafkaErrorCode};

use super::delivery::InFlight;
use super::outgoing::without_context;
use super::record::Record;
use crate::propagation::{Refusal, refuse};

/// A span ends at its delivery report, so every record needs one.
pub(super) fn every_report(config: &ClientConfig) -> KafkaResult<()> {
    if config.get("delivery.report.only.error") != Some("true") {
        return Ok(());
    }
    Err(KafkaError::ClientConfig(
        RDKafkaConfRes::RD_KAFKA_CONF_INVALID,
        "a span ends at its delivery report, so every record needs one; remove this setting".to_owned(),
        "delivery.report.only.error".to_owned(),
        "true".to_owned(),
    ))
}

pub(super) type Refused<'a, K, P> = (KafkaError, BaseRecord<'a, K, P, Box<InFlight>>);

/// Sends by `send`, and once more without the trace headers if the record is too large with them (kafka.md T-13).
#[allow(clippy::result_large_err)] // the shape of `ThreadedProducer::send`
pub(super) fn fitting<'a, K, P, D>(
    record: BaseRecord<'a, K, P, D>,
    send: impl Fn(BaseRecord<'a, K, P, D>) -> Result<(), (KafkaError, BaseRecord<'a, K, P, D>)>,
) -> Result<(), (KafkaError, BaseRecord<'a, K, P, D>)>
where
    K: ToBytes + ?Sized,
    P: ToBytes + ?Sized,
    D: rdkafka::util::IntoOpaque,
{
    match send(record) {
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), mut refused)) => {
            refused.headers = without_context(refused.headers);
            send(refused)?;
            refuse(Refusal::NoRoom);
            Ok(())
        }
        other => other,
    }
}

pub(super) fn base_record(
    record: &Record,
    headers: Option<OwnedHeaders>,
    delivery_opaque: Box<InFlight>,
) -> BaseRecord<'_, [u8], [u8], Box<InFlight>> {
    BaseRecord {
        topic: record.topic(),
        partition: record.partition(),
        payload: record.value().as_deref(),
        key: record.key(),
        timestamp: record.timestamp_ms(),
        headers,
        delivery_opaque,
    }
}

/// The error shape of a record that was not queued.
pub(super) fn owned<K, P>(record: BaseRecord<'_, K, P, Box<InFlight>>) -> OwnedMessage
where
    K: ToBytes + ?Sized,
    P: ToBytes + ?Sized,
{
    OwnedMessage::new(
        record.payload.map(|payload| payload.to_bytes().to_vec()),
        record.key.map(|key| key.to_bytes().to_vec()),
        record.topic.to_owned(),
        record.timestamp.map_or(Timestamp::NotAvailable, Timestamp::CreateTime),
        record.partition.unwrap_or(-1),
        0,
        record.headers,
    )
}

pub(super) fn empty_message() -> OwnedMessage {
    OwnedMessage::new(None, None, String::new(), Timestamp::NotAvailable, -1, 0, None)
}
