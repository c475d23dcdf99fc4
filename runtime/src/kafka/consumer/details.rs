//! The attributes of a process span beyond those that samplers see.

use std::time::SystemTime;

use opentelemetry::KeyValue;

use crate::kafka::message::ConsumedMessage;
use crate::kafka::options::ProcessOptions;
use crate::kafka::{attributes, headers, timestamp};

/// What is recorded beyond what samplers see; built only if the span records.
pub(super) struct Details<'m, M: ConsumedMessage + ?Sized> {
    pub(super) message: &'m M,
    pub(super) options: &'m ProcessOptions,
    pub(super) now_ms: i64,
}

impl<M: ConsumedMessage + ?Sized> Details<'_, M> {
    /// Everything.
    pub(super) fn all(&self) -> impl Iterator<Item = KeyValue> {
        self.place().chain(self.chosen())
    }

    /// kafka.md, section 3.5: what does not depend on the user's words.
    pub(super) fn place(&self) -> impl Iterator<Item = KeyValue> {
        let tombstone = self.message.value_bytes().is_none();
        let waited =
            self.options.queue_time.then(|| queue_time(self.message.timestamp_ms(), self.now_ms)).flatten();
        let offset = attributes::offset(self.message.offset()).into_iter();
        offset.chain(tombstone.then(|| KeyValue::new(attributes::TOMBSTONE, true))).chain(waited)
    }

    /// kafka.md.
    pub(super) fn chosen(&self) -> impl Iterator<Item = KeyValue> {
        let key = attributes::key(self.message.key(), self.options.key).into_iter();
        let size = self.message.value_bytes().filter(|_| self.options.sizes).map(attributes::body_size);
        let ProcessOptions { message_id, conversation_id, headers, .. } = self.options;
        let headers =
            headers::all_captured(self.message.header_view(), *message_id, *conversation_id, headers);
        key.chain(size).chain(headers)
    }
}

/// Time from the record's timestamp to now in milliseconds; absent for a timestamp that says nothing, zero for one in
/// the future.
pub(super) fn queue_time(timestamp_ms: Option<i64>, now_ms: i64) -> Option<KeyValue> {
    let waited = i64::try_from(queue_ms(timestamp_ms, now_ms)?).unwrap_or(i64::MAX);
    Some(KeyValue::new(attributes::QUEUE_TIME, waited))
}

pub(super) fn queue_ms(timestamp_ms: Option<i64>, now_ms: i64) -> Option<u64> {
    let waited = now_ms.saturating_sub(timestamp_ms.filter(|ms| *ms > 0)?);
    Some(u64::try_from(waited).unwrap_or(0))
}

pub(super) fn now_ms() -> i64 {
    timestamp::to_ms(SystemTime::now())
}
