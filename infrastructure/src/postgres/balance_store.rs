//! Balances, read where they are exact.

use super::error::StoreName;
use super::pool::Database;
use super::stored::shard_bounds;
use async_trait::async_trait;
use axs_application::port::balance_store::{
    AccountBalances, BalanceStore, BalancesPage, BalancesSnapshot, LoadedBalances,
};
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

/// A balance beside the incarnation; only the latter, when there is no balance at all.
#[derive(FromRow)]
struct LoadedRow {
    incarnation: i64,
    position: Option<i64>,
    #[sqlx(flatten)]
    stored: StoredColumns,
}

/// The same, of an account asked for.
#[derive(FromRow)]
struct AccountBalanceRow {
    incarnation: i64,
    position: Option<i64>,
    currency_code: Option<String>,
    #[sqlx(flatten)]
    stored: StoredColumns,
}

/// The same, of a page.
#[derive(FromRow)]
struct PagedRow {
    incarnation: i64,
    account_id: Option<i64>,
    currency_code: Option<String>,
    #[sqlx(flatten)]
    stored: StoredColumns,
}

/// What stands of a balance; nothing in the row that tells that there is none.
#[derive(FromRow)]
struct StoredColumns {
    available: Option<String>,
    frozen: Option<String>,
    version: Option<i64>,
}

impl StoredColumns {
    /// `None` in the row that tells that there is none.
    fn balance(&self, name: StoreName<'_>) -> Option<Result<VersionedBalance, StoreError>> {
        let (available, frozen) = (self.available.as_deref()?, self.frozen.as_deref()?);
        Some(name.balance(available, frozen, self.version?))
    }
}

/// The incarnation that stands in every row.
fn incarnation_of(name: StoreName<'_>, first: Option<i64>) -> Result<Incarnation, StoreError> {
    first
        .map(Incarnation::new)
        .ok_or_else(|| name.corrupt("no incarnation was told"))
}

#[async_trait]
impl BalanceStore for PgBalanceStore {
    async fn load(&self, keys: Vec<(ShardId, BalanceKey)>) -> Result<LoadedBalances, StoreError> {
        let name = self.name();
        let mut balances = vec![VersionedBalance::ABSENT; keys.len()];
        let shards: Vec<i32> = keys.iter().map(|(shard, _)| shard.value()).collect();
        let Some((lowest, highest)) = shard_bounds(&shards) else {
            let incarnation = self.incarnation().await?;
            return Ok(LoadedBalances {
                incarnation,
                balances,
            });
        };
        let accounts: Vec<i64> = keys.iter().map(|(_, key)| key.account_id.value()).collect();
        let currencies: Vec<&str> = keys.iter().map(|(_, key)| key.currency.as_str()).collect();
        let rows: Vec<LoadedRow> = sqlx::query_as(include_str!("sql/balance/load.sql"))
            .bind(shards)
            .bind(accounts)
            .bind(currencies)
            .bind(lowest)
            .bind(highest)
            .fetch_all(self.database.queries())
            .await
            .map_err(|error| name.sqlx(&error))?;
        let incarnation = incarnation_of(name, rows.first().map(|row| row.incarnation))?;
        for row in rows {
            let (Some(position), Some(stored)) = (row.position, row.stored.balance(name)) else {
                continue;
            };
            let place = name.place(position, balances.len())?;
            if let Some(balance) = balances.get_mut(place) {
                *balance = stored?;
            }
        }
        Ok(LoadedBalances {
            incarnation,
            balances,
        })
    }

    async fn page_behind(
        &self,
        shard_id: ShardId,
        behind: Option<BalanceKey>,
        balances_max: u32,
    ) -> Result<BalancesPage, StoreError> {
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
        let incarnation = incarnation_of(name, rows.first().map(|row| row.incarnation))?;
        let balances = rows.into_iter().filter_map(|row| {
            let stored = row.stored.balance(name)?;
            Some((row.account_id?, row.currency_code?, stored))
        });
        let balances = balances.map(|(account_id, code, stored)| {
            let key = BalanceKey {
                account_id: name.account_id(account_id)?,
                currency: name.currency(&code)?,
            };
            Ok((key, stored?))
        });
        Ok(BalancesPage {
            incarnation,
            balances: balances.collect::<Result<_, _>>()?,
        })
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
        let incarnation = incarnation_of(name, rows.first().map(|row| row.incarnation))?;
        for row in rows {
            let (Some(position), Some(code), Some(stored)) =
                (row.position, row.currency_code, row.stored.balance(name))
            else {
                continue;
            };
            let place = name.place(position, found.len())?;
            if let Some(account) = found.get_mut(place) {
                account.balances.push((name.currency(&code)?, stored?));
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
