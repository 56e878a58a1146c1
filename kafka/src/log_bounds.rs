//! The bounds of a log, whatever the client library remembers of its partition.
//!
//! librdkafka 2.3 finds the partition's leader in the metadata that it has cached, and gives two
//! errors to its caller that another question settles:
//! - `UnknownPartition`, told from the cache alone: the metadata is older than a raise, or from a
//!   moment at which the partition had no leader, as while a broker restarts. It would be told
//!   until the metadata is too old, minutes later, so the metadata is asked for anew.
//! - `NotLeaderForPartition`, told by a broker that leads it no more. librdkafka forgets the
//!   metadata then, but does not ask again by itself.
//!
//! Without the second question, a take-over in such a moment would make the partition rest.

use axs_domain::id::PartitionId;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use std::time::Duration;

/// The bounds of a partition's log; asked a second time, within the same time each, when the first
/// answer may be from what was remembered.
///
/// # Errors
/// What librdkafka said.
pub fn log_bounds<Context: ConsumerContext>(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    partition: PartitionId,
    timeout: Duration,
) -> KafkaResult<(i64, i64)> {
    let ask = || consumer.fetch_watermarks(topic, partition.value(), timeout);
    match ask() {
        Err(KafkaError::MetadataFetch(
            RDKafkaErrorCode::UnknownPartition | RDKafkaErrorCode::NotLeaderForPartition,
        )) => {
            consumer.fetch_metadata(Some(topic), timeout)?;
            ask()
        }
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::ClientConfig;
    use rdkafka::mocking::MockCluster;

    const TOPIC: &str = "events";
    const PATIENCE: Duration = Duration::from_secs(10);

    fn client(brokers: &str) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).create().unwrap()
    }

    /// What librdkafka says by itself, which is why there is more than one question.
    fn once(consumer: &BaseConsumer) -> KafkaResult<(i64, i64)> {
        consumer.fetch_watermarks(TOPIC, 0, PATIENCE)
    }

    fn bounds(consumer: &BaseConsumer) -> KafkaResult<(i64, i64)> {
        log_bounds(consumer, TOPIC, PartitionId::MIN, PATIENCE)
    }

    fn failed_with(answer: KafkaResult<(i64, i64)>, code: RDKafkaErrorCode) -> bool {
        answer == Err(KafkaError::MetadataFetch(code))
    }

    #[test]
    fn a_partition_that_another_broker_leads_now_is_asked_for_there() {
        let cluster = MockCluster::new(2).unwrap();
        cluster.create_topic(TOPIC, 1, 1).unwrap();
        cluster.partition_leader(TOPIC, 0, Some(1)).unwrap();
        let consumer = client(&cluster.bootstrap_servers());
        assert_eq!(bounds(&consumer), Ok((0, 0)));
        cluster.partition_leader(TOPIC, 0, Some(2)).unwrap();
        assert!(failed_with(
            once(&consumer),
            RDKafkaErrorCode::NotLeaderForPartition
        ));
        assert_eq!(bounds(&consumer), Ok((0, 0)));
        cluster.partition_leader(TOPIC, 0, Some(1)).unwrap();
        assert_eq!(bounds(&consumer), Ok((0, 0)));
    }

    #[test]
    fn a_partition_that_had_no_leader_for_a_moment_is_not_taken_for_unknown_for_long() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, 1, 1).unwrap();
        cluster.partition_leader(TOPIC, 0, None).unwrap();
        let consumer = client(&cluster.bootstrap_servers());
        consumer.fetch_metadata(Some(TOPIC), PATIENCE).unwrap();
        cluster.partition_leader(TOPIC, 0, Some(1)).unwrap();
        assert!(failed_with(
            once(&consumer),
            RDKafkaErrorCode::UnknownPartition
        ));
        assert_eq!(bounds(&consumer), Ok((0, 0)));
    }
}
