//! Who leads a partition, as PostgreSQL decides it.

use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::fencing::Claim;
use axs_domain::id::{LayoutEpoch, Offset, OwnerId, PartitionId};
use axs_domain::record_digest::RecordDigest;
use shaku::Interface;
use std::time::Duration;

/// What an attempt to lead came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeOver {
    /// The partition is led under this claim.
    Taken {
        /// What to show with every write.
        claim: Claim,
        /// Where to read on.
        stored_offset: Offset,
        /// The last record below it; `None` when none was stored.
        stored_record: Option<RecordDigest>,
        /// The epoch of the layout that the partition is led under. With a map of another epoch
        /// nobody may lead.
        layout_epoch: LayoutEpoch,
        /// Up to where results and cache writes are known to be out.
        results_offset: Offset,
    },
    /// Somebody's lease stands.
    Held,
}

/// The leader and lease of one partition, as anybody may see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderView {
    /// Which partition.
    pub partition: PartitionId,
    /// Who holds its lease, if it has not ended.
    pub held_by: Option<OwnerId>,
    /// The stored offset.
    pub stored_offset: Offset,
}

/// Gives and takes leadership.
///
/// # Contract
/// - `take_over` succeeds only when the lease is free, ended or already the caller's. It raises
///   the token in one UPDATE that waits for the old leader's open transaction, so that its last
///   commit is seen; a backend of the old leader that does not end is ended.
/// - The lease is a row of its own: a renewal never waits behind a batch.
/// - All times are by PostgreSQL's clock.
///
/// # Errors
/// [`StoreError`]: nothing is known; count the lease as not renewed.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait PartitionLeadership: Interface {
    /// Tries to lead a partition.
    async fn take_over(
        &self,
        partition: PartitionId,
        owner: OwnerId,
        ttl: Duration,
    ) -> Result<TakeOver, StoreError>;

    /// Renews leases; gives the partitions whose lease is still the claim's, in the history of the
    /// database in which the claim was given.
    async fn renew(
        &self,
        claims: Vec<(PartitionId, Claim)>,
        ttl: Duration,
    ) -> Result<Vec<PartitionId>, StoreError>;

    /// Gives a lease up at once. Nothing happens when the claim no longer stands.
    async fn release(&self, partition: PartitionId, claim: Claim) -> Result<(), StoreError>;

    /// Notes that results and cache writes are out up to this offset, which is at most the stored
    /// one. `false` when nothing changed: the claim no longer stands, or as much was noted before.
    async fn results_out(
        &self,
        partition: PartitionId,
        claim: Claim,
        offset: Offset,
    ) -> Result<bool, StoreError>;

    /// Every partition's leader, in the order of the partitions.
    async fn leaders(&self) -> Result<Vec<LeaderView>, StoreError>;
}
