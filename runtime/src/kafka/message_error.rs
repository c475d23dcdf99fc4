//! What goes wrong between a message and its struct.

use std::borrow::Cow;
use std::error::Error;

use crate::span::ErrorType;

/// Any cause of an encoding or decoding error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a struct is not made into a record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The codec refused the value.
    #[error("the value of a record for `{topic}` cannot be encoded")]
    Value {
        /// The topic.
        topic: &'static str,
        /// What the codec said.
        source: BoxError,
    },
}

/// Why a message is not what it is read as.
///
/// The text names the header; it holds no bytes of the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A header that the struct needs is absent.
    #[error("the header `{header}` is missing; make the field an `Option` if it may be")]
    MissingHeader {
        /// The header's name.
        header: &'static str,
    },
    /// A header that the struct needs has a null value.
    #[error("the header `{header}` is null; make the field an `Option` if it may be")]
    NullHeader {
        /// The header's name.
        header: &'static str,
    },
    /// A header that is read as text has other bytes.
    #[error("the header `{header}` is not UTF-8")]
    HeaderNotUtf8 {
        /// The header's name.
        header: &'static str,
    },
    /// A header's value is not one of its field's type.
    #[error("the header `{header}` is not a value of its field's type")]
    Header {
        /// The header's name.
        header: &'static str,
        /// What the field's type said.
        source: BoxError,
    },
    /// The key is null.
    #[error("the key is null; make the field an `Option` if it may be")]
    NullKey,
    /// A key that is read as text has other bytes.
    #[error("the key is not UTF-8")]
    KeyNotUtf8,
    /// The key is not one of its field's type.
    #[error("the key is not a value of its field's type")]
    Key {
        /// What the field's type said.
        source: BoxError,
    },
    /// The message has no timestamp.
    #[error("the message has no timestamp; make the field an `Option` if it may have none")]
    MissingTimestamp,
    /// The timestamp is outside what its field's type can hold.
    #[error("the timestamp {timestamp_ms} ms is outside the range of its field's type")]
    Timestamp {
        /// Milliseconds since the Unix epoch.
        timestamp_ms: i64,
    },
    /// The message is another event than the struct.
    #[error("the message is another event; expected `{expected}`")]
    OtherEvent {
        /// The struct's `event`.
        expected: &'static str,
    },
    /// The value is null: the message is a tombstone.
    #[error("the value is null; read the message as an `Option` or a `Tombstone` if it may be")]
    NullValue,
    /// The value is not null, but the message is read as a [`Tombstone`](super::Tombstone).
    #[error("the value is not null, so the message is no tombstone")]
    NotNull,
    /// The codec refused the value.
    #[error("the value cannot be decoded")]
    Value {
        /// What the codec said.
        source: BoxError,
    },
    /// A [`Record`](super::Record) that is decoded already has no bytes to decode again.
    #[error("the record is decoded already; decode the raw record instead")]
    ValueGone,
}

impl EncodeError {
    /// A name of the kind of error, for `error.type` and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            EncodeError::Value { .. } => "EncodeError::Value",
        }
    }
}

impl DecodeError {
    /// A name of the kind of error, for `error.type` and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            DecodeError::MissingHeader { .. } => "DecodeError::MissingHeader",
            DecodeError::NullHeader { .. } => "DecodeError::NullHeader",
            DecodeError::HeaderNotUtf8 { .. } => "DecodeError::HeaderNotUtf8",
            DecodeError::Header { .. } => "DecodeError::Header",
            DecodeError::NullKey => "DecodeError::NullKey",
            DecodeError::KeyNotUtf8 => "DecodeError::KeyNotUtf8",
            DecodeError::Key { .. } => "DecodeError::Key",
            DecodeError::MissingTimestamp => "DecodeError::MissingTimestamp",
            DecodeError::Timestamp { .. } => "DecodeError::Timestamp",
            DecodeError::OtherEvent { .. } => "DecodeError::OtherEvent",
            DecodeError::NullValue => "DecodeError::NullValue",
            DecodeError::NotNull => "DecodeError::NotNull",
            DecodeError::Value { .. } => "DecodeError::Value",
            DecodeError::ValueGone => "DecodeError::ValueGone",
        }
    }
}

impl ErrorType for EncodeError {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.kind())
    }
}

impl ErrorType for DecodeError {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.kind())
    }
}
