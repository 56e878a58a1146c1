//! Balances, read where they are exact.

use super::error::StoreName;
use super::pool::Database;
use super::stored::shard_bounds;
use async_trait::async_trait;
use axs_application::port::balance_store::{AccountBalances, BalanceStore};
use axs_application::port::store_error::StoreError;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::id::{AccountId, ShardId};
use shaku::Component;
use sqlx::FromRow;
use std::sync::Arc;

/// [`BalanceStore`] in the table `account_balances`.
#[derive(Component)]
#[shaku(interface = BalanceStore)]
pub struct PgBalanceStore {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgBalanceStore {
    /// The balances of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    fn name(&self) -> StoreName<'_> {
        StoreName::of(&*self.database)
    }
}

#[derive(FromRow)]
struct BalanceRow {
    position: i64,
    available: String,
    frozen: String,
    version: i64,
}

#[derive(FromRow)]
struct AccountBalanceRow {
    currency_code: String,
    #[sqlx(flatten)]
    balance: BalanceRow,
}

impl BalanceRow {
    fn stored(&self, name: StoreName<'_>) -> Result<VersionedBalance, StoreError> {
        name.balance(&self.available, &self.frozen, self.version)
    }
}

#[async_trait]
impl BalanceStore for PgBalanceStore {
    async fn load(
        &self,
        keys: Vec<(ShardId, BalanceKey)>,
    ) -> Result<Vec<VersionedBalance>, StoreError> {
        let name = self.name();
        let mut balances = vec![VersionedBalance::ABSENT; keys.len()];
        let shards: Vec<i32> = keys.iter().map(|(shard, _)| shard.value()).collect();
        let Some((lowest, highest)) = shard_bounds(&shards) else {
            return Ok(balances);
        };
        let accounts: Vec<i64> = keys.iter().map(|(_, key)| key.account_id.value()).collect();
        let currencies: Vec<&str> = keys.iter().map(|(_, key)| key.currency.as_str()).collect();
        let rows: Vec<BalanceRow> = sqlx::query_as(include_str!("sql/balance/load.sql"))
            .bind(shards)
            .bind(accounts)
            .bind(currencies)
            .bind(lowest)
            .bind(highest)
            .fetch_all(self.database.queries())
            .await
            .map_err(|error| name.sqlx(&error))?;
        for row in rows {
            let place = name.place(row.position, balances.len())?;
            if let Some(balance) = balances.get_mut(place) {
                *balance = row.stored(name)?;
            }
        }
        Ok(balances)
    }

    async fn load_accounts(
        &self,
        accounts: Vec<(ShardId, AccountId)>,
    ) -> Result<Vec<AccountBalances>, StoreError> {
        let name = self.name();
        let shards: Vec<i32> = accounts.iter().map(|(shard, _)| shard.value()).collect();
        let ids: Vec<i64> = accounts.iter().map(|(_, id)| id.value()).collect();
        let mut found: Vec<AccountBalances> = accounts
            .into_iter()
            .map(|(shard_id, account_id)| AccountBalances {
                shard_id,
                account_id,
                balances: Vec::new(),
            })
            .collect();
        let Some((lowest, highest)) = shard_bounds(&shards) else {
            return Ok(found);
        };
        let rows: Vec<AccountBalanceRow> =
            sqlx::query_as(include_str!("sql/balance/load_accounts.sql"))
                .bind(shards)
                .bind(ids)
                .bind(lowest)
                .bind(highest)
                .fetch_all(self.database.queries())
                .await
                .map_err(|error| name.sqlx(&error))?;
        for row in rows {
            let place = name.place(row.balance.position, found.len())?;
            if let Some(account) = found.get_mut(place) {
                let currency = name.currency(&row.currency_code)?;
                account.balances.push((currency, row.balance.stored(name)?));
            }
        }
        Ok(found)
    }
}
