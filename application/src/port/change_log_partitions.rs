//! The time partitions of the change log, by whose dropping old payloads will be retired.

use super::store_error::StoreError;
use async_trait::async_trait;
use shaku::Interface;

/// Makes the change log's daily partitions ahead of time.
///
/// # Contract
/// - Safe to run from many processes at once, and again.
/// - A row whose day has no partition is kept all the same, in the default partition.
///
/// # Errors
/// [`StoreError`]; nothing is lost, run again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait ChangeLogPartitions: Interface {
    /// Makes the partitions of today and of the next `days` days that don't exist yet; gives how
    /// many were made.
    async fn ensure_ahead(&self, days: u16) -> Result<u32, StoreError>;
}
