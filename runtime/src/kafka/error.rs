//! `error.type` of Kafka's errors.

use std::borrow::Cow;

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::native;
use crate::span::ErrorType;

/// The protocol's constant, librdkafka's name for its local errors (`_QUEUE_FULL`), or `_OTHER`.
pub(super) fn error_type(error: &KafkaError) -> &'static str {
    error.rdkafka_error_code().map_or("_OTHER", code_name)
}

impl ErrorType for KafkaError {
    /// The protocol's constant, librdkafka's name for its local errors (`_QUEUE_FULL`), or `_OTHER`.
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(error_type(self))
    }
}

fn code_name(code: RDKafkaErrorCode) -> &'static str {
    match native::error_name(code) {
        None => "_OTHER",
        // librdkafka spells some of the protocol's constants its own way.
        Some("UNKNOWN_TOPIC_OR_PART") => "UNKNOWN_TOPIC_OR_PARTITION",
        Some("MSG_SIZE_TOO_LARGE") => "MESSAGE_TOO_LARGE",
        Some("NOT_LEADER_FOR_PARTITION") => "NOT_LEADER_OR_FOLLOWER",
        Some("INVALID_MSG") => "CORRUPT_MESSAGE",
        Some("INVALID_MSG_SIZE") => "INVALID_FETCH_SIZE",
        Some("TOPIC_EXCEPTION") => "INVALID_TOPIC_EXCEPTION",
        Some(name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_types_are_the_constants_of_the_protocol() {
        for (code, expected) in [
            (RDKafkaErrorCode::MessageTimedOut, "_MSG_TIMED_OUT"),
            (RDKafkaErrorCode::QueueFull, "_QUEUE_FULL"),
            (RDKafkaErrorCode::PurgeQueue, "_PURGE_QUEUE"),
            (RDKafkaErrorCode::UnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PARTITION"),
            (RDKafkaErrorCode::MessageSizeTooLarge, "MESSAGE_TOO_LARGE"),
            (RDKafkaErrorCode::NotLeaderForPartition, "NOT_LEADER_OR_FOLLOWER"),
            (RDKafkaErrorCode::InvalidMessage, "CORRUPT_MESSAGE"),
            (RDKafkaErrorCode::InvalidMessageSize, "INVALID_FETCH_SIZE"),
            (RDKafkaErrorCode::InvalidTopic, "INVALID_TOPIC_EXCEPTION"),
            (RDKafkaErrorCode::NotEnoughReplicas, "NOT_ENOUGH_REPLICAS"),
        ] {
            assert_eq!(error_type(&KafkaError::MessageProduction(code)), expected);
        }
        assert_eq!(error_type(&KafkaError::Canceled), "_OTHER");
    }
}
