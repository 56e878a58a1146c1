//! What the broker says of the result topic.

use super::event_topic::{BrokerError, TopicDescription};
use async_trait::async_trait;
use shaku::Interface;

/// Describes, makes and grows the result topic.
///
/// # Errors
/// [`BrokerError`]; ask again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait ResultTopic: Interface {
    /// The topic's description.
    async fn describe(&self) -> Result<TopicDescription, BrokerError>;

    /// Makes the topic with this many partitions; `false` when it existed.
    async fn create(&self, partition_count: usize) -> Result<bool, BrokerError>;

    /// Gives the topic this many partitions, more than it has.
    async fn grow(&self, partition_count: usize) -> Result<(), BrokerError>;
}
