//! The fast read side: balances in a cache that is never ahead of the database.

use super::balance_store::AccountBalances;
use async_trait::async_trait;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::id::{AccountId, ShardId};
use shaku::Interface;

/// A committed balance for the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedBalance {
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
        accounts: Vec<(ShardId, AccountId)>,
    ) -> Result<Vec<Option<AccountBalances>>, CacheError>;

    /// Notes balances after a commit, all in one round trip.
    async fn write(&self, balances: Vec<CommittedBalance>) -> Result<(), CacheError>;

    /// Notes all balances of accounts, which makes them hits.
    async fn fill(&self, accounts: Vec<AccountBalances>) -> Result<(), CacheError>;
}
