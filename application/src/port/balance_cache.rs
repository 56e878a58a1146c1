//! The fast read side: balances in a cache that is never ahead of the database, and never
//! another's.

use super::balance_store::{AccountBalances, BalancesSnapshot};
use async_trait::async_trait;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::id::{AccountId, ShardId};
use axs_domain::incarnation::Incarnation;
use shaku::Interface;

/// A committed balance for the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedBalance {
    /// In which history of the database it was committed.
    pub incarnation: Incarnation,
    /// Where the account lives.
    pub shard_id: ShardId,
    /// Which balance.
    pub key: BalanceKey,
    /// The balance and its version.
    pub stored: VersionedBalance,
}

/// The cache did not do what was asked. Never a reason to stop: read the database, and let a
/// later write or fill make the cache right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the cache at {address} failed: {reason}")]
pub struct CacheError {
    /// Where it is, without its password.
    pub address: String,
    /// What the client library said.
    pub reason: String,
}

/// Caches balances.
///
/// # Contract
/// - Callers write only what is committed. A balance is replaced by a newer version only, in
///   whatever order writes arrive.
/// - What was written or filled under one incarnation is seen under that one alone; versions of two
///   are never compared.
/// - An account is a hit only after a `fill` with all its balances, until the fill expires.
///
/// # Errors
/// [`CacheError`]: the write may or may not have happened, which versions make harmless.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait BalanceCache: Interface {
    /// The accounts' balances in the order asked, in one round trip; `None` is a miss.
    async fn read(
        &self,
        incarnation: Incarnation,
        accounts: Vec<(ShardId, AccountId)>,
    ) -> Result<Vec<Option<AccountBalances>>, CacheError>;

    /// Notes balances after a commit, all in one round trip.
    async fn write(&self, balances: Vec<CommittedBalance>) -> Result<(), CacheError>;

    /// Notes all balances of accounts, as read together, which makes them hits.
    async fn fill(&self, snapshot: BalancesSnapshot) -> Result<(), CacheError>;
}
