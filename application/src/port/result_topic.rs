//! What the broker says of the result topic.

use super::event_topic::{BrokerError, LogBounds, TopicDescription};
use async_trait::async_trait;
use axs_domain::id::PartitionId;
use shaku::Interface;

/// Describes, makes and grows the result topic.
///
/// # Errors
/// [`BrokerError`]; see there what the caller does.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait ResultTopic: Interface {
    /// The topic's description.
    async fn describe(&self) -> Result<TopicDescription, BrokerError>;

    /// The bounds of a partition's log.
    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, BrokerError>;

    /// Makes the topic with this many partitions; `false` when it existed.
    async fn create(&self, partition_count: usize) -> Result<bool, BrokerError>;

    /// Gives the topic this many partitions, more than it has.
    async fn grow(&self, partition_count: usize) -> Result<(), BrokerError>;
}
