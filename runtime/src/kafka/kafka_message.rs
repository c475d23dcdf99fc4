//! Types that are Kafka messages.

use super::message::ConsumedMessage;
use super::message_error::{DecodeError, EncodeError};
use super::record::Record;

/// A type that is read from and written to records of one topic; derive it with `#[derive(KafkaMessage)]`.
///
/// `Option<T>` is one where `T` is: `None` is a null value, as in a compacted topic; see also
/// [`Tombstone`](super::Tombstone).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no Kafka message",
    label = "derive `KafkaMessage` for it, or use `Option<Vec<u8>>` for the raw value"
)]
pub trait KafkaMessage: Sized {
    /// The topic that [`to_record`](Self::to_record) writes to. Reading does not check it: the same message may come
    /// from a retry or dead-letter topic.
    const TOPIC: &'static str;

    /// The message as a record.
    ///
    /// # Errors
    ///
    /// [`EncodeError`], if the codec refuses the value.
    fn to_record(&self) -> Result<Record, EncodeError>;

    /// Reads a message.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], which names the header that is missing or wrong.
    fn from_message<M: ConsumedMessage + ?Sized>(message: &M) -> Result<Self, DecodeError>;
}

impl<T: KafkaMessage> KafkaMessage for Option<T> {
    const TOPIC: &'static str = T::TOPIC;

    /// `None` is a record with a null value and a null key; a [`Tombstone`](super::Tombstone) has a key.
    fn to_record(&self) -> Result<Record, EncodeError> {
        match self {
            Some(message) => message.to_record(),
            None => Ok(Record::to(T::TOPIC)),
        }
    }

    fn from_message<M: ConsumedMessage + ?Sized>(message: &M) -> Result<Self, DecodeError> {
        match message.value_bytes() {
            Some(_) => T::from_message(message).map(Some),
            None => Ok(None),
        }
    }
}
