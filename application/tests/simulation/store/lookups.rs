//! Balances, accounts, currencies, the layout.

use super::StoreClient;
use async_trait::async_trait;
use axs_application::port::account_directory::{AccountDirectory, FoundAccounts, OpenOutcome};
use axs_application::port::balance_store::{
    AccountBalances, BalanceStore, BalancesPage, BalancesSnapshot, LoadedBalances,
};
use axs_application::port::currency_registry::{CurrencyRegistry, RegisterOutcome};
use axs_application::port::layout_change::PartitionStart;
use axs_application::port::layout_store::{LayoutStore, StoredLayout};
use axs_application::port::store_error::StoreError;
use axs_application::testkit::INCARNATION;
use axs_domain::account::Account;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::currency::Currency;
use axs_domain::id::{AccountId, ShardId};
use axs_domain::incarnation::Incarnation;

#[async_trait]
impl BalanceStore for StoreClient {
    async fn load(&self, keys: Vec<(ShardId, BalanceKey)>) -> Result<LoadedBalances, StoreError> {
        self.statement("load", move |state, _| {
            let absent = VersionedBalance::ABSENT;
            let find = |key| state.balances.get(key).copied().unwrap_or(absent);
            LoadedBalances {
                incarnation: INCARNATION,
                balances: keys.iter().map(find).collect(),
            }
        })
        .await
    }

    async fn page_behind(
        &self,
        shard_id: ShardId,
        behind: Option<BalanceKey>,
        balances_max: u32,
    ) -> Result<BalancesPage, StoreError> {
        self.statement("page of balances", move |state, _| {
            let of_shard = state
                .balances
                .iter()
                .filter(|((shard, key), _)| {
                    *shard == shard_id && behind.is_none_or(|behind| *key > behind)
                })
                .map(|((_, key), stored)| (*key, *stored));
            let limit = usize::try_from(balances_max).unwrap_or(usize::MAX);
            BalancesPage {
                incarnation: INCARNATION,
                balances: of_shard.take(limit).collect(),
            }
        })
        .await
    }

    async fn load_accounts(
        &self,
        accounts: Vec<(ShardId, AccountId)>,
    ) -> Result<BalancesSnapshot, StoreError> {
        self.statement("load_accounts", move |state, _| {
            let of = |(shard_id, account_id): (ShardId, AccountId)| AccountBalances {
                shard_id,
                account_id,
                balances: state
                    .balances
                    .iter()
                    .filter(|((shard, key), _)| *shard == shard_id && key.account_id == account_id)
                    .map(|((_, key), stored)| (key.currency, *stored))
                    .collect(),
            };
            BalancesSnapshot {
                incarnation: INCARNATION,
                accounts: accounts.into_iter().map(of).collect(),
            }
        })
        .await
    }

    async fn incarnation(&self) -> Result<Incarnation, StoreError> {
        self.statement("incarnation", |_, _| INCARNATION).await
    }
}

#[async_trait]
impl AccountDirectory for StoreClient {
    async fn open(&self, accounts: Vec<Account>) -> Result<Vec<OpenOutcome>, StoreError> {
        self.statement("open accounts", move |state, _| {
            let mut outcomes = Vec::new();
            for account in accounts {
                outcomes.push(match state.accounts.get(&account.account_id) {
                    Some(known) => OpenOutcome::Existed(known.clone()),
                    None => {
                        state.accounts.insert(account.account_id, account.clone());
                        OpenOutcome::Opened(account)
                    }
                });
            }
            outcomes
        })
        .await
    }

    async fn find(&self, ids: Vec<AccountId>) -> Result<FoundAccounts, StoreError> {
        self.statement("find accounts", move |state, _| {
            let found = ids.iter().filter_map(|id| state.accounts.get(id));
            FoundAccounts {
                incarnation: INCARNATION,
                accounts: found.cloned().collect(),
            }
        })
        .await
    }

    async fn page_below(
        &self,
        below: Option<AccountId>,
        accounts_max: u32,
    ) -> Result<FoundAccounts, StoreError> {
        self.statement("page of accounts", move |state, _| {
            let mut accounts: Vec<Account> = state.accounts.values().cloned().collect();
            accounts.retain(|account| below.is_none_or(|below| account.account_id < below));
            accounts.sort_by_key(|account| std::cmp::Reverse(account.account_id));
            accounts.truncate(usize::try_from(accounts_max).unwrap_or(usize::MAX));
            FoundAccounts {
                incarnation: INCARNATION,
                accounts,
            }
        })
        .await
    }
}

#[async_trait]
impl CurrencyRegistry for StoreClient {
    async fn register(
        &self,
        currencies: Vec<Currency>,
    ) -> Result<Vec<RegisterOutcome>, StoreError> {
        self.statement("register currencies", move |state, _| {
            let mut outcomes = Vec::new();
            for currency in currencies {
                let known = state.currencies.get(&currency.code()).copied();
                outcomes.push(match known {
                    Some(known) if known.decimals() != currency.decimals() => {
                        RegisterOutcome::OtherDecimals(known)
                    }
                    _ => {
                        state.currencies.insert(currency.code(), currency);
                        RegisterOutcome::Registered {
                            currency,
                            was_active: known.map(|known| known.is_active()),
                        }
                    }
                });
            }
            outcomes
        })
        .await
    }

    async fn all(&self) -> Result<Vec<Currency>, StoreError> {
        self.statement("all currencies", |state, _| {
            state.currencies.values().copied().collect()
        })
        .await
    }
}

#[async_trait]
impl LayoutStore for StoreClient {
    async fn load(&self) -> Result<Option<StoredLayout>, StoreError> {
        self.statement("load layout", |state, _| Some(state.layout.clone()))
            .await
    }

    async fn keep_results_topic(&self, _topic: String) -> Result<bool, StoreError> {
        self.statement("keep results topic", |_, _| false).await
    }

    async fn create(
        &self,
        _layout: StoredLayout,
        _starts: Vec<PartitionStart>,
    ) -> Result<bool, StoreError> {
        self.statement("create layout", |_, _| false).await
    }
}
