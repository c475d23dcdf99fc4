//! Names of attributes, and the values that producer and consumer spans share.

use std::borrow::Cow;
use std::sync::LazyLock;

use opentelemetry::KeyValue;
use rdkafka::config::ClientConfig;

use super::options::KeyText;
use crate::span::message::KEY_BYTES;

pub(super) const SYSTEM: &str = "messaging.system";
pub(super) const OPERATION_NAME: &str = "messaging.operation.name";
pub(super) const OPERATION_TYPE: &str = "messaging.operation.type";
pub(super) const DESTINATION: &str = "messaging.destination.name";
pub(super) const TEMPLATE: &str = "messaging.destination.template";
pub(super) const PARTITION: &str = "messaging.destination.partition.id";
pub(super) const GROUP: &str = "messaging.consumer.group.name";
pub(super) const BATCH_COUNT: &str = "messaging.batch.message_count";
pub(super) const TOMBSTONE: &str = "messaging.kafka.message.tombstone";
pub(super) const KEY: &str = "messaging.kafka.message.key";
pub(super) const OFFSET: &str = "messaging.kafka.offset";
pub(super) const CLIENT_ID: &str = "messaging.client.id";
pub(super) const MESSAGE_ID: &str = "messaging.message.id";
pub(super) const CONVERSATION_ID: &str = "messaging.message.conversation_id";
pub(super) const BODY_SIZE: &str = "messaging.message.body.size";
pub(super) const SERVER_ADDRESS: &str = "server.address";
pub(super) const SERVER_PORT: &str = "server.port";
pub(super) const CLUSTER_ID: &str = "messaging.kafka.cluster.id";
#[cfg(feature = "metrics")]
pub(super) const ERROR_TYPE: &str = "error.type";
pub(super) const DELIVERY_ATTEMPT: &str = "throughline.messaging.delivery_attempt";
pub(super) const RETRIED_ERROR: &str = "throughline.messaging.retried_error";
pub(super) const QUEUE_TIME: &str = "throughline.messaging.queue_time_ms";

/// kafka.md: on every span.
pub(super) fn operation(name: Cow<'static, str>, kind: &'static str) -> [KeyValue; 3] {
    [KeyValue::new(SYSTEM, "kafka"), KeyValue::new(OPERATION_NAME, name), KeyValue::new(OPERATION_TYPE, kind)]
}

/// kafka.md A-9: not for a null key, not without an unambiguous text form.
pub(super) fn key(key: Option<&[u8]>, text: KeyText) -> Option<KeyValue> {
    let key = key?;
    let text = match text {
        KeyText::Off => None,
        KeyText::Utf8 { max_bytes } => {
            str::from_utf8(key).ok().filter(|text| text.len() <= max_bytes).map(str::to_owned)
        }
        KeyText::With(text) => text(key),
    };
    text.map(|text| KeyValue::new(KEY, text))
}

/// The key, if a span tells it in place and as it is.
pub(super) fn short_key(key: Option<&[u8]>, text: KeyText) -> Option<&[u8]> {
    match text {
        KeyText::Utf8 { max_bytes } => key.filter(|key| key.len() <= max_bytes.min(KEY_BYTES)),
        KeyText::Off | KeyText::With(_) => None,
    }
}

/// The numbers of most partitions as text, which no attribute then has to make again.
static PARTITIONS: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..256).map(|number| number.to_string()).collect());

/// kafka.md A-11: the partition is a string.
pub(super) fn partition(partition: i32) -> Option<KeyValue> {
    let number = usize::try_from(partition).ok()?;
    Some(match PARTITIONS.get(number) {
        Some(text) => KeyValue::new(PARTITION, text.as_str()),
        None => KeyValue::new(PARTITION, number.to_string()),
    })
}

/// kafka.md A-10: the offset is a number; failures report one below zero.
pub(super) fn offset(offset: i64) -> Option<KeyValue> {
    (offset >= 0).then(|| KeyValue::new(OFFSET, offset))
}

/// kafka.md A-6: on operations of batch APIs, also for none and for one.
pub(super) fn batch_count(count: u64) -> KeyValue {
    KeyValue::new(BATCH_COUNT, i64::try_from(count).unwrap_or(i64::MAX))
}

/// kafka.md A-15.
pub(super) fn body_size(bytes: usize) -> KeyValue {
    KeyValue::new(BODY_SIZE, i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// [`single_server`] of a client's configuration.
pub(super) fn server_of(config: &ClientConfig) -> Option<(String, u16)> {
    config.get("bootstrap.servers").or_else(|| config.get("metadata.broker.list")).and_then(single_server)
}

/// kafka.md A-14: the one broker of `bootstrap.servers`; with several it is not known which one serves.
pub(super) fn single_server(bootstrap_servers: &str) -> Option<(String, u16)> {
    let mut entries = bootstrap_servers.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let entry = entries.next().filter(|_| entries.next().is_none())?;
    let entry = entry.split_once("://").map_or(entry, |(_, address)| address);
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, port.parse().ok()?),
        _ => (entry, 9092),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_named_if_there_is_exactly_one() {
        let named = |servers| single_server(servers).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(named("kafka:9093").as_deref(), Some("kafka 9093"));
        assert_eq!(named(" kafka ").as_deref(), Some("kafka 9092"));
        assert_eq!(named("PLAINTEXT://[::1]:9094").as_deref(), Some("::1 9094"));
        assert_eq!(named("a:1,b:2"), None);
        assert_eq!(named("a:1,").as_deref(), Some("a 1"));
        assert_eq!(named(""), None);
        assert_eq!(named("a:port"), None);
    }

    #[test]
    fn keys_need_an_unambiguous_text() {
        let utf8 = KeyText::Utf8 { max_bytes: 3 };
        assert!(key(Some(b"abc"), utf8).is_some());
        assert!(key(Some(b""), utf8).is_some());
        assert!(key(Some(b"abcd"), utf8).is_none());
        assert!(key(Some(b"\xff"), utf8).is_none());
        assert!(key(None, utf8).is_none());
        assert!(key(Some(b"abc"), KeyText::Off).is_none());
        let with = KeyText::With(|key| Some(key.len().to_string()));
        assert_eq!(key(Some(b"\xff\xff"), with).map(|kv| kv.value.to_string()).as_deref(), Some("2"));
    }
}
