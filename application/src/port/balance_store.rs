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

/// Balances read as of one moment, and the history that the moment is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedBalances {
    /// Read with the balances: nothing of another history is among them.
    pub incarnation: Incarnation,
    /// In the order asked.
    pub balances: Vec<VersionedBalance>,
}

/// A page of the balances of a shard, and the history that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancesPage {
    /// Read with the balances: nothing of another history is among them.
    pub incarnation: Incarnation,
    /// In the order of the keys.
    pub balances: Vec<(BalanceKey, VersionedBalance)>,
}

/// Reads committed balances.
///
/// # Contract
/// - One round trip each, whatever the number of keys; answers of `load` and `load_accounts` stand
///   in the order asked.
/// - What has no row is [`VersionedBalance::ABSENT`] to `load`, and not in the answers of the
///   others.
///
/// # Errors
/// [`StoreError`].
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait BalanceStore: Interface {
    /// These balances.
    async fn load(&self, keys: Vec<(ShardId, BalanceKey)>) -> Result<LoadedBalances, StoreError>;

    /// A page of a shard's balances in the order of their keys: those after `behind`, or from the
    /// first on, at most `balances_max`; a shorter page is the last. It holds what was committed
    /// when it was called.
    async fn page_behind(
        &self,
        shard_id: ShardId,
        behind: Option<BalanceKey>,
        balances_max: u32,
    ) -> Result<BalancesPage, StoreError>;

    /// All balances of these accounts.
    async fn load_accounts(
        &self,
        accounts: Vec<(ShardId, AccountId)>,
    ) -> Result<BalancesSnapshot, StoreError>;

    /// The history that the database is in now. Never waits behind reads of balances.
    async fn incarnation(&self) -> Result<Incarnation, StoreError>;
}
