//! The bounds of a log, of partitions that came with a raise too.

use axs_domain::id::PartitionId;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use std::time::Duration;

/// The bounds of a partition's log. What the client library knows of the partition may be older than
/// a raise or a restart of the broker, and it looks seldom by itself: it looks, and is asked again.
pub(super) fn log_bounds<Context: ConsumerContext>(
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
