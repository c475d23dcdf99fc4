//! Types of the fields for timestamp and partition.

use std::time::SystemTime;

use crate::kafka::message_error::DecodeError;
use crate::kafka::timestamp;

/// The type of a `#[kafka(timestamp)]` field.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no timestamp of a record",
    label = "use `SystemTime`, `i64` (milliseconds since the Unix epoch) or an `Option` of these"
)]
pub trait TimestampValue: Sized {
    fn to_ms(&self) -> Option<i64>;
    fn from_ms(timestamp_ms: Option<i64>) -> Result<Self, DecodeError>;
}

impl TimestampValue for i64 {
    fn to_ms(&self) -> Option<i64> {
        Some(*self)
    }

    fn from_ms(timestamp_ms: Option<i64>) -> Result<Self, DecodeError> {
        timestamp_ms.ok_or(DecodeError::MissingTimestamp)
    }
}

impl TimestampValue for SystemTime {
    fn to_ms(&self) -> Option<i64> {
        Some(timestamp::to_ms(*self))
    }

    fn from_ms(timestamp_ms: Option<i64>) -> Result<Self, DecodeError> {
        let timestamp_ms = timestamp_ms.ok_or(DecodeError::MissingTimestamp)?;
        timestamp::from_ms(timestamp_ms).ok_or(DecodeError::Timestamp { timestamp_ms })
    }
}

impl<T: TimestampValue> TimestampValue for Option<T> {
    fn to_ms(&self) -> Option<i64> {
        self.as_ref().and_then(T::to_ms)
    }

    fn from_ms(timestamp_ms: Option<i64>) -> Result<Self, DecodeError> {
        timestamp_ms.map(|timestamp_ms| T::from_ms(Some(timestamp_ms))).transpose()
    }
}

/// The type of a `#[kafka(partition)]` field.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no partition of a record",
    label = "use `Option<i32>`, or `i32`"
)]
pub trait PartitionValue {
    fn to_partition(&self) -> Option<i32>;
    fn from_partition(partition: Option<i32>) -> Self;
}

impl PartitionValue for Option<i32> {
    fn to_partition(&self) -> Option<i32> {
        self.filter(|partition| *partition >= 0)
    }

    fn from_partition(partition: Option<i32>) -> Self {
        partition
    }
}

impl PartitionValue for i32 {
    fn to_partition(&self) -> Option<i32> {
        Some(*self).to_partition()
    }

    /// -1 where there is none, as in Kafka's protocol.
    fn from_partition(partition: Option<i32>) -> Self {
        partition.unwrap_or(-1)
    }
}
