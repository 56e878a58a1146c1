//! Reading balances from where they are exact.

use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::currency::CurrencyCode;
use axs_domain::id::{AccountId, ShardId};
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

    /// All balances of these accounts.
    async fn load_accounts(
        &self,
        accounts: Vec<(ShardId, AccountId)>,
    ) -> Result<Vec<AccountBalances>, StoreError>;
}
