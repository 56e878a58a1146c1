//! What the broker says of the events topic.

use async_trait::async_trait;
use axs_domain::id::{Offset, PartitionId};
use shaku::Interface;

/// The topic as the broker describes it. Compared with the layout, never trusted instead of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// The topic that was asked for: the one in the settings.
    pub topic: String,
    /// The cluster's id; `None` when the broker gives none.
    pub cluster_id: Option<String>,
    /// Its partitions; `None` when there is no such topic.
    pub partition_count: Option<usize>,
}

/// The log of a partition, from its first record that is kept to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBounds {
    /// The offset of the oldest record kept.
    pub start: Offset,
    /// The offset that the next record will get.
    pub end: Offset,
}

/// What was asked of the brokers was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// They are away or did not answer in time. Ask again.
    #[error("Kafka at {brokers} is unavailable: {reason}")]
    Unavailable {
        /// The bootstrap addresses.
        brokers: String,
        /// What the client library said.
        reason: String,
    },
    /// They refuse it, and will again: a person has to change a setting or grant a right.
    #[error("Kafka at {brokers} refuses: {reason}")]
    Refused {
        /// The bootstrap addresses.
        brokers: String,
        /// What is refused and why, with the settings by which it was asked.
        reason: String,
    },
}

/// Describes, makes and grows the events topic.
///
/// # Errors
/// [`BrokerError`]; see there what the caller does.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait EventTopic: Interface {
    /// The topic's description.
    async fn describe(&self) -> Result<TopicDescription, BrokerError>;

    /// The bounds of a partition's log.
    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, BrokerError>;

    /// Makes the topic with this many partitions; `false` when it existed.
    async fn create(&self, partition_count: usize) -> Result<bool, BrokerError>;

    /// Gives the topic this many partitions, more than it has, and waits until the brokers say so.
    async fn grow(&self, partition_count: usize) -> Result<(), BrokerError>;
}
