//! Which errors of librdkafka end a runner.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

/// kafka.md K-13: a client that will never work again. All others heal, or are librdkafka's to heal.
pub(super) fn is_final(error: &KafkaError) -> bool {
    if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
        return true;
    }
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::FencedInstanceId
                | RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::Fenced
        )
    )
}

/// `max.poll.interval.ms` was exceeded: librdkafka has left the group and joins again (kafka.md K-12).
pub(super) fn is_poll_exceeded(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::PollExceeded)
}

/// The coordinator was not there when librdkafka asked for committed offsets. It asks once: partitions that it asked for
/// stay assigned, and nothing of them is fetched until they are assigned anew.
pub(super) fn is_offset_unknown(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        )
    )
}

/// A partition goes on at another offset than the one it was at.
pub(super) fn is_reset(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::LogTruncation
        )
    )
}

/// The topic of a reset that librdkafka has done and logged, as a warning.
pub(super) fn reset_in_log<'m>(facility: &str, message: &'m str) -> Option<&'m str> {
    if facility != "OFFSET" {
        return None;
    }
    let (place, _) = message.split_once("]: offset reset (")?;
    let (topic, _partition) = place.rsplit_once(" [")?;
    // Behind the name of the thread, unless `log.thread.name` is off.
    Some(topic.rsplit_once("]: ").map_or(topic, |(_thread, topic)| topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_never_heals_is_final() {
        use RDKafkaErrorCode as Code;
        for code in [
            Code::BrokerTransportFailure,
            Code::AllBrokersDown,
            Code::PollExceeded,
            Code::Resolve,
            Code::SSL,
            Code::UnknownTopicOrPartition,
            Code::TopicAuthorizationFailed,
            Code::NotCoordinator,
            Code::OffsetOutOfRange,
        ] {
            assert!(!is_final(&KafkaError::MessageConsumption(code)), "{code:?}");
            assert!(!is_final(&KafkaError::Global(code)), "{code:?}");
        }
        for code in
            [Code::Authentication, Code::SaslAuthenticationFailed, Code::FencedInstanceId, Code::Fatal]
        {
            assert!(is_final(&KafkaError::Global(code)), "{code:?}");
        }
        assert!(is_final(&KafkaError::MessageConsumptionFatal(Code::UnknownMemberId)));
    }

    #[test]
    fn resets_are_found_in_the_log() {
        let logged = "orders [3]: offset reset (at offset 5 (leader epoch 1), broker 1) to offset BEGINNING \
                      (leader epoch -1): fetch failed due to requested offset not available on the broker";
        assert_eq!(reset_in_log("OFFSET", logged), Some("orders"));
        assert_eq!(reset_in_log("OFFSET", &format!("[thrd:main]: {logged}")), Some("orders"));
        assert_eq!(reset_in_log("FETCH", logged), None);
        assert_eq!(reset_in_log("OFFSET", "orders [3]: offset 7 stored"), None);
    }
}
