//! Reading balances from where they are exact.

use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::currency::CurrencyCode;
use axs_domain::id::{AccountId, ShardId};
use axs_domain::incarnation::Incarnation;
use shaku::Interface;

/// Every balance of one account, in the order of the currency codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountBalances {
    /// Where the account lives.
    pub shard_id: ShardId,
    /// Whose balances.
    pub account_id: AccountId,
    /// The balances it ever had.
    pub balances: Vec<(CurrencyCode, VersionedBalance)>,
}

/// Accounts read as of one moment, and the history that the moment is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancesSnapshot {
    /// Read with the balances: nothing of another history is among them.
    pub incarnation: Incarnation,
    /// In the order asked.
    pub accounts: Vec<AccountBalances>,
}

/// Reads committed balances.
///
/// # Contract
/// - One round trip each, whatever the number of keys; answers stand in the order asked.
/// - What has no row is [`VersionedBalance::ABSENT`].
///
/// # Errors
/// [`StoreError`].
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait BalanceStore: Interface {
    /// These balances.
    async fn load(
        &self,
        keys: Vec<(ShardId, BalanceKey)>,
    ) -> Result<Vec<VersionedBalance>, StoreError>;

    /// The balances of a shard behind this key, or from its first on: at most `balances_max`, in the order of
    /// the keys. What is committed when it is called is among them.
    async fn page_behind(
        &self,
        shard_id: ShardId,
        behind: Option<BalanceKey>,
        balances_max: u32,
    ) -> Result<Vec<(BalanceKey, VersionedBalance)>, StoreError>;

    /// All balances of these accounts.
    async fn load_accounts(
        &self,
        accounts: Vec<(ShardId, AccountId)>,
    ) -> Result<BalancesSnapshot, StoreError>;

    /// The history that the database is in now. Never waits behind reads of balances.
    async fn incarnation(&self) -> Result<Incarnation, StoreError>;
}
