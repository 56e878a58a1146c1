//! The frequent beat that standbys watch. It starts a look at the lease and decides nothing.

use super::balance_cache::CacheError;
use async_trait::async_trait;
use axs_domain::id::{OwnerId, PartitionId};
use shaku::Interface;
use std::time::Duration;

/// Carries the leaders' beats.
///
/// # Contract
/// - Losing it stops nobody and lets nobody in: without it standbys look at the lease at their
///   slow pace.
///
/// # Errors
/// [`CacheError`]: as if no beat were carried.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait LeaderBeat: Interface {
    /// Beats for partitions; the beat is heard for `ttl`.
    async fn beat(
        &self,
        owner: OwnerId,
        partitions: Vec<PartitionId>,
        ttl: Duration,
    ) -> Result<(), CacheError>;

    /// Those among `partitions` whose beat is not heard any more.
    async fn silent(&self, partitions: Vec<PartitionId>) -> Result<Vec<PartitionId>, CacheError>;
}
