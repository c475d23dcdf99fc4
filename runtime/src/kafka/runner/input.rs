//! What the first parameter of a handler is made of.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::kafka::{DecodeError, KafkaMessage, Record, RecordValue};

/// The first parameter of a [`Handler`](super::Handler): [`Record<T>`](Record), `T:` [`KafkaMessage`], or
/// `Vec<Record<T>>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be what a handler is given",
    label = "take `Record<T>`, a `T: KafkaMessage` or `Vec<Record<T>>` first"
)]
pub trait Input: Sized + Send + 'static {
    /// Whether it holds many records.
    #[doc(hidden)]
    const IS_BATCH: bool;

    /// Whether the record can be part of the input.
    #[doc(hidden)]
    fn check(record: &Record) -> Result<(), DecodeError>;

    /// Makes the input of records: of exactly one, unless it is a batch.
    #[doc(hidden)]
    fn decode(records: &[Record]) -> Result<Self, DecodeError>;
}

impl<T: RecordValue + Send + 'static> Input for Record<T> {
    const IS_BATCH: bool = false;

    fn check(record: &Record) -> Result<(), DecodeError> {
        Record::<T>::read(record).map(drop)
    }

    fn decode(records: &[Record]) -> Result<Self, DecodeError> {
        records.first().ok_or(DecodeError::ValueGone).and_then(Record::read)
    }
}

impl<T: KafkaMessage + Send + 'static> Input for T {
    const IS_BATCH: bool = false;

    fn check(record: &Record) -> Result<(), DecodeError> {
        T::from_message(record).map(drop)
    }

    fn decode(records: &[Record]) -> Result<Self, DecodeError> {
        records.first().ok_or(DecodeError::ValueGone).and_then(T::from_message)
    }
}

impl<T: RecordValue + Send + 'static> Input for Vec<Record<T>> {
    const IS_BATCH: bool = true;

    fn check(record: &Record) -> Result<(), DecodeError> {
        Record::<T>::read(record).map(drop)
    }

    fn decode(records: &[Record]) -> Result<Self, DecodeError> {
        records.iter().map(Record::read).collect()
    }
}

/// Why a record is no input of the handler.
#[derive(Debug)]
pub(super) enum Undecodable {
    Refused(DecodeError),
    /// A codec of the user's panicked.
    Panicked,
}

impl Undecodable {
    /// Decodes; a panic of a codec is a decode error like others (kafka.md K-8).
    pub(super) fn or<T>(decode: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, Self> {
        match catch_unwind(AssertUnwindSafe(decode)) {
            Ok(decoded) => decoded.map_err(Undecodable::Refused),
            Err(_) => Err(Undecodable::Panicked),
        }
    }
}
