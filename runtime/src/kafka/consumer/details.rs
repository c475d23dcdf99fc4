//! The attributes of a process span beyond those that its handler and topic fix.

use opentelemetry::KeyValue;

use crate::kafka::known::First;
use crate::kafka::message::ConsumedMessage;
use crate::kafka::options::{KeyText, ProcessOptions};
use crate::kafka::{attributes, headers};
use crate::span::message::{Details, KEY_BYTES, Message, Wording};

/// How a record's details become attributes.
pub(in crate::kafka) const WORDING: Wording = Wording { at_start: add_partition, later: add_place };

fn add_partition(details: &Details, to: &mut Vec<KeyValue>) {
    to.extend(attributes::partition(details.partition()));
}

/// kafka.md, section 3.5.
fn add_place(details: &Details, to: &mut Vec<KeyValue>) {
    to.extend(attributes::offset(details.offset()));
    to.extend(details.key().map(|key| KeyValue::new(attributes::KEY, key)));
    if details.is_tombstone() {
        to.push(KeyValue::new(attributes::TOMBSTONE, true));
    }
    to.extend(details.waited_ms().map(queue_time_of));
    if details.attempt() > 0 {
        to.push(delivery_attempt(details.attempt()));
    }
}

pub(super) fn delivery_attempt(attempt: u64) -> KeyValue {
    KeyValue::new(attributes::DELIVERY_ATTEMPT, i64::try_from(attempt).unwrap_or(i64::MAX))
}

/// Who asks for the span of a message.
#[derive(Clone, Copy)]
pub(super) enum Asker {
    /// A handler of its own. `first`: its options are the same the next time, and this is known of them.
    Handler { first: Option<&'static First> },
    /// The runner, for this attempt. What a handler may have other words for is not told yet.
    Runner { attempt: u32 },
}

/// What is told of a message in place.
pub(super) fn in_place<'m, M: ConsumedMessage + ?Sized>(
    message: &'m M,
    options: &ProcessOptions,
    now_ms: i64,
    asker: Asker,
) -> Message<'m> {
    let waited_ms = if options.queue_time { queue_ms(message.timestamp_ms(), now_ms) } else { None };
    let (key, attempt) = match asker {
        Asker::Handler { .. } => (attributes::short_key(message.key(), options.key), 0),
        Asker::Runner { attempt } => (None, attempt),
    };
    Message {
        partition: message.partition(),
        offset: message.offset(),
        waited_ms,
        key,
        is_tombstone: message.value_bytes().is_none(),
        attempt,
    }
}

/// What the user's words ask for beyond what is told in place (kafka.md ).
pub(super) fn asked_for<M: ConsumedMessage + ?Sized>(
    message: &M,
    options: &ProcessOptions,
) -> impl Iterator<Item = KeyValue> {
    let key = match options.key {
        KeyText::Utf8 { .. } => message.key().filter(|key| key.len() > KEY_BYTES),
        _ => message.key(),
    };
    attributes::key(key, options.key).into_iter().chain(others(message, options))
}

/// The same, with any key.
pub(super) fn chosen<M: ConsumedMessage + ?Sized>(
    message: &M,
    options: &ProcessOptions,
) -> impl Iterator<Item = KeyValue> {
    attributes::key(message.key(), options.key).into_iter().chain(others(message, options))
}

fn others<M: ConsumedMessage + ?Sized>(
    message: &M,
    options: &ProcessOptions,
) -> impl Iterator<Item = KeyValue> {
    let size = message.value_bytes().filter(|_| options.sizes).map(attributes::body_size);
    let ProcessOptions { message_id, conversation_id, headers, .. } = options;
    let headers = headers::all_captured(message.header_view(), *message_id, *conversation_id, headers);
    size.into_iter().chain(headers)
}

/// Whether [`asked_for`] may give anything.
pub(super) fn asks_for_more<M: ConsumedMessage + ?Sized>(message: &M, options: &ProcessOptions) -> bool {
    let more_of_key = match options.key {
        KeyText::Off => false,
        KeyText::Utf8 { max_bytes } => {
            max_bytes > KEY_BYTES && message.key().is_some_and(|key| key.len() > KEY_BYTES)
        }
        KeyText::With(_) => true,
    };
    more_of_key
        || options.sizes
        || options.message_id.is_some()
        || options.conversation_id.is_some()
        || !options.headers.is_empty()
}

/// Time from the record's timestamp to now in milliseconds; absent for a timestamp that says nothing, zero for one in
/// the future.
pub(super) fn queue_time(timestamp_ms: Option<i64>, now_ms: i64) -> Option<KeyValue> {
    queue_ms(timestamp_ms, now_ms).map(queue_time_of)
}

fn queue_time_of(waited_ms: u64) -> KeyValue {
    KeyValue::new(attributes::QUEUE_TIME, i64::try_from(waited_ms).unwrap_or(i64::MAX))
}

pub(super) fn queue_ms(timestamp_ms: Option<i64>, now_ms: i64) -> Option<u64> {
    let waited = now_ms.saturating_sub(timestamp_ms.filter(|ms| *ms > 0)?);
    Some(u64::try_from(waited).unwrap_or(0))
}
