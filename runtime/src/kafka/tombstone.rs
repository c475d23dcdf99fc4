//! Records with a null value.

use std::fmt;
use std::marker::PhantomData;

use super::kafka_message::KafkaMessage;
use super::message::ConsumedMessage;
use super::message_error::{DecodeError, EncodeError};
use super::record::Record;
use super::record_headers::Headers;
use crate::trace_context::CreationContext;

/// The record that deletes what a `T` with the same key said: its value is null.
///
/// In a compacted topic the broker removes the older records of the key, later the tombstone itself. To read a topic
/// that holds both, use `Option<T>`, and `Record<Option<T>>` for the key.
///
/// ```
/// use throughline::kafka::{KafkaMessage, Tombstone};
///
/// #[derive(KafkaMessage)]
/// #[kafka(topic = "orders")]
/// struct Order {
///     #[kafka(key)]
///     id: u64,
///     amount: u64,
/// }
///
/// let record = Tombstone::<Order>::new("17").to_record()?;
/// assert_eq!((record.topic(), record.key(), record.value()), ("orders", Some(&b"17"[..]), &None));
/// # Ok::<(), throughline::kafka::EncodeError>(())
/// ```
pub struct Tombstone<T> {
    /// The key; null keys delete nothing.
    pub key: Option<Vec<u8>>,
    /// All headers but those of the trace.
    pub headers: Headers,
    /// The span that wrote the tombstone, or is to be written into it.
    pub trace: CreationContext,
    of: PhantomData<fn() -> T>,
}

impl<T: KafkaMessage> Tombstone<T> {
    /// A tombstone for the records with this key.
    pub fn new(key: impl Into<Vec<u8>>) -> Self {
        Tombstone {
            key: Some(key.into()),
            headers: Headers::new(),
            trace: CreationContext::none(),
            of: PhantomData,
        }
    }

    /// The tombstone of a message: with its key, without its value and headers.
    ///
    /// # Errors
    ///
    /// Those of [`KafkaMessage::to_record`].
    pub fn of(message: &T) -> Result<Self, EncodeError> {
        let record = message.to_record()?;
        Ok(Tombstone {
            key: record.key().map(<[u8]>::to_vec),
            headers: Headers::new(),
            trace: CreationContext::none(),
            of: PhantomData,
        })
    }
}

impl<T: KafkaMessage> KafkaMessage for Tombstone<T> {
    const TOPIC: &'static str = T::TOPIC;

    fn to_record(&self) -> Result<Record, EncodeError> {
        let mut record =
            Record::to(T::TOPIC).with_headers(self.headers.clone()).with_creation(self.trace.clone());
        record.set_key(self.key.clone());
        Ok(record)
    }

    fn from_message<M: ConsumedMessage + ?Sized>(message: &M) -> Result<Self, DecodeError> {
        if message.value_bytes().is_some() {
            return Err(DecodeError::NotNull);
        }
        let record = Record::copy_of(message);
        Ok(Tombstone {
            key: record.key().map(<[u8]>::to_vec),
            headers: record.headers().clone(),
            trace: record.creation().clone(),
            of: PhantomData,
        })
    }
}

// By hand: `T` is only a name here, nothing is asked of it.
impl<T> Clone for Tombstone<T> {
    fn clone(&self) -> Self {
        Tombstone {
            key: self.key.clone(),
            headers: self.headers.clone(),
            trace: self.trace.clone(),
            of: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Tombstone<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tombstone")
            .field("key", &self.key)
            .field("headers", &self.headers)
            .field("trace", &self.trace)
            .finish()
    }
}

impl<T> PartialEq for Tombstone<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.headers == other.headers && self.trace == other.trace
    }
}
