//! Balances, read where they are exact.

use super::error::StoreName;
use super::pool::Database;
use super::stored::shard_bounds;
use async_trait::async_trait;
use axs_application::port::balance_store::{AccountBalances, BalanceStore, BalancesSnapshot};
use axs_application::port::store_error::StoreError;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::id::{AccountId, ShardId};
use axs_domain::incarnation::Incarnation;
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
struct PagedRow {
    account_id: i64,
    currency_code: String,
    available: String,
    frozen: String,
    version: i64,
}

/// A balance beside the incarnation; only the latter, when there is no balance at all.
#[derive(FromRow)]
struct AccountBalanceRow {
    incarnation: i64,
    position: Option<i64>,
    currency_code: Option<String>,
    available: Option<String>,
    frozen: Option<String>,
    version: Option<i64>,
}

impl AccountBalanceRow {
    fn into_balance(self) -> Option<(String, BalanceRow)> {
        let balance = BalanceRow {
            position: self.position?,
            available: self.available?,
            frozen: self.frozen?,
            version: self.version?,
        };
        Some((self.currency_code?, balance))
    }
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

    async fn page_behind(
        &self,
        shard_id: ShardId,
        behind: Option<BalanceKey>,
        balances_max: u32,
    ) -> Result<Vec<(BalanceKey, VersionedBalance)>, StoreError> {
        let name = self.name();
        let account = behind.map_or(0, |key| key.account_id.value());
        let currency = behind.as_ref().map_or("", |key| key.currency.as_str());
        let rows: Vec<PagedRow> = sqlx::query_as(include_str!("sql/balance/page_behind.sql"))
            .bind(shard_id.value())
            .bind(account)
            .bind(currency)
            .bind(i64::from(balances_max))
            .fetch_all(self.database.queries())
            .await
            .map_err(|error| name.sqlx(&error))?;
        let balances = rows.into_iter().map(|row| {
            let key = BalanceKey {
                account_id: name.account_id(row.account_id)?,
                currency: name.currency(&row.currency_code)?,
            };
            Ok((key, name.balance(&row.available, &row.frozen, row.version)?))
        });
        balances.collect()
    }

    async fn load_accounts(
        &self,
        accounts: Vec<(ShardId, AccountId)>,
    ) -> Result<BalancesSnapshot, StoreError> {
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
            let incarnation = self.incarnation().await?;
            return Ok(BalancesSnapshot {
                incarnation,
                accounts: found,
            });
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
        let incarnation = rows.first().map(|row| Incarnation::new(row.incarnation));
        let incarnation = incarnation.ok_or_else(|| name.corrupt("no incarnation"))?;
        for (code, row) in rows.into_iter().filter_map(AccountBalanceRow::into_balance) {
            let place = name.place(row.position, found.len())?;
            if let Some(account) = found.get_mut(place) {
                let currency = name.currency(&code)?;
                account.balances.push((currency, row.stored(name)?));
            }
        }
        Ok(BalancesSnapshot {
            incarnation,
            accounts: found,
        })
    }

    async fn incarnation(&self) -> Result<Incarnation, StoreError> {
        // The operations pool: a rush of reads must not make it unknown which cache is whose.
        sqlx::query_scalar(include_str!("sql/balance/incarnation.sql"))
            .fetch_one(self.database.operations())
            .await
            .map(Incarnation::new)
            .map_err(|error| self.name().sqlx(&error))
    }
}
