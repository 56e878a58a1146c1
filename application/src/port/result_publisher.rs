//! Publishing to the result topic, in order.

use super::event_publisher::{Delivery, PublishError};
use super::result_codec::FinishedEvent;
use async_trait::async_trait;
use shaku::Interface;
use std::time::Duration;

/// Publishes results, each to the partition of its event.
///
/// # Contract
/// - Results of a partition land in the order in which they were enqueued, through retries and
///   outages.
/// - After a delivery that failed, later ones may have been delivered: enqueue again from the one
///   that failed on, in order. A result that is published twice is no harm.
/// - `enqueue` never blocks, and never waits for brokers that are away.
///
/// # Errors
/// [`PublishError::QueueFull`]: wait for deliveries. [`PublishError::Failed`]: enqueue it again
/// after a pause.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait ResultPublisher: Interface {
    /// Hands a result to the producer.
    fn enqueue(&self, finished: &FinishedEvent) -> Result<Delivery, PublishError>;

    /// Waits until everything enqueued is delivered; `false` when the time ends first.
    async fn flush(&self, timeout: Duration) -> bool;
}
