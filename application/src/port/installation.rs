//! The installation: the part of a database's incarnation that an operator can renew.

use super::store_error::StoreError;
use super::topic_claims::Claimant;
use async_trait::async_trait;
use axs_domain::incarnation::Incarnation;
use shaku::Interface;

/// What renewing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// The incarnation until then.
    pub before: Incarnation,
    /// The one that stands.
    pub now: Incarnation,
    /// Partitions whose leaders were fenced.
    pub fenced: usize,
}

/// Names the database that stands, and begins another incarnation of it.
///
/// # Contract
/// - `renew` is one commit: open batches are waited for, leaders are fenced and their leases ended,
///   and whoever leads from then on leads under the new incarnation. So no batch that the old one's
///   cache was told of can commit after a read under the new one.
///
/// # Errors
/// [`StoreError`]: whether it was done is unknown. Renewing once more is harmless.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait Installation: Interface {
    /// Renews the installation; `None` when there is no layout.
    async fn renew(&self) -> Result<Option<Renewal>, StoreError>;

    /// The database, as it lays claim to topics. Needs no layout, and renewing does not change it.
    async fn claimant(&self) -> Result<Claimant, StoreError>;
}
