//! What an error of librdkafka means for the partitions that are read.
//!
//! The errors that a poll gives name no partition. Those that librdkafka settles by itself are
//! let pass. An offset that the log does not have is traced to its partition by asking for the
//! bounds. Any other error breaks every partition: reading on could leave records out.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Brokers are away or busy; librdkafka goes on by itself.
    Passing,
    /// Some partition's log does not have the offset that was to be read.
    OutOfRange,
    /// Records may be left out, or never come.
    Breaking,
}

/// Judges an error that a poll gave.
pub(super) fn judge(error: &KafkaError) -> Fault {
    use RDKafkaErrorCode as Code;
    let KafkaError::MessageConsumption(code) = error else {
        return Fault::Breaking;
    };
    match code {
        Code::AutoOffsetReset | Code::OffsetOutOfRange => Fault::OutOfRange,
        Code::AllBrokersDown
        | Code::Authentication
        | Code::BrokerNotAvailable
        | Code::BrokerTransportFailure
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::FencedLeaderEpoch
        | Code::GroupAuthorizationFailed
        | Code::KafkaStorageError
        | Code::LeaderNotAvailable
        | Code::MessageTimedOut
        | Code::NetworkException
        | Code::NodeUpdate
        | Code::NotCoordinator
        | Code::NotLeaderForPartition
        | Code::OffsetNotAvailable
        | Code::OperationTimedOut
        | Code::ReplicaNotAvailable
        | Code::RequestTimedOut
        | Code::Resolve
        | Code::SaslAuthenticationFailed
        | Code::SSL
        | Code::TimedOutQueue
        | Code::UnknownLeaderEpoch
        | Code::WaitingForCoordinator => Fault::Passing,
        _ => Fault::Breaking,
    }
}

/// Why an offset can't be read from a log with these bounds, and what to do; `None` when it can.
pub(super) fn outside(next: i64, start: i64, end: i64) -> Option<String> {
    if next < start {
        Some(format!(
            "the log begins at offset {start}, after offset {next}, which is to be read next: \
             records were dropped before they were processed. `bootstrap layout adopt-topic \
             --partition` lets the relay publish them again from the change log"
        ))
    } else if next > end {
        Some(format!(
            "the log ends at offset {end}, before offset {next}, which is to be read next: the \
             topic was made anew, or lost records, or the database belongs to another topic. \
             Check that the brokers and the topic are the ones of this database; when the topic \
             is lost for good, run `bootstrap layout adopt-topic`"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_librdkafka_settles_by_itself_passes() {
        use RDKafkaErrorCode as Code;
        let rows = [
            (Code::BrokerTransportFailure, Fault::Passing),
            (Code::AllBrokersDown, Fault::Passing),
            (Code::NotLeaderForPartition, Fault::Passing),
            (Code::AutoOffsetReset, Fault::OutOfRange),
            (Code::OffsetOutOfRange, Fault::OutOfRange),
            // A batch with a wrong checksum is left out by librdkafka.
            (Code::BadMessage, Fault::Breaking),
            (Code::UnknownTopicOrPartition, Fault::Breaking),
            (Code::TopicAuthorizationFailed, Fault::Breaking),
            (Code::MessageSizeTooLarge, Fault::Breaking),
            (Code::Unknown, Fault::Breaking),
        ];
        for (code, fault) in rows {
            assert_eq!(
                judge(&KafkaError::MessageConsumption(code)),
                fault,
                "{code}"
            );
        }
        let fatal = KafkaError::MessageConsumptionFatal(Code::AllBrokersDown);
        assert_eq!(judge(&fatal), Fault::Breaking);
    }

    #[test]
    fn an_offset_is_inside_from_the_first_record_to_the_next_one() {
        for (next, inside) in [(2, false), (3, true), (4, true), (7, true), (8, false)] {
            assert_eq!(outside(next, 3, 7).is_none(), inside, "{next}");
        }
    }
}
