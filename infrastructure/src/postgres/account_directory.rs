//! Accounts.

use super::entity::account;
use super::error::StoreName;
use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::account_directory::{AccountDirectory, FoundAccounts, OpenOutcome};
use axs_application::port::store_error::StoreError;
use axs_domain::account::Account;
use axs_domain::id::{AccountId, UserId};
use axs_domain::incarnation::Incarnation;
use axs_domain::text::PoolName;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, EntityTrait};
use shaku::Component;
use sqlx::FromRow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// The most accounts that one statement opens: with four values each, well below the 65,535 that
/// PostgreSQL takes.
const ACCOUNTS_PER_STATEMENT: usize = 5_000;

/// [`AccountDirectory`] in the table `accounts`.
#[derive(Component)]
#[shaku(interface = AccountDirectory)]
pub struct PgAccountDirectory {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgAccountDirectory {
    /// The accounts of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    fn name(&self) -> StoreName<'_> {
        StoreName::of(&*self.database)
    }

    /// Inserts what isn't there, and gives the ids of what was inserted.
    async fn insert(&self, accounts: &[Account]) -> Result<HashSet<i64>, StoreError> {
        let mut inserted = HashSet::new();
        // In the order of the ids, since two callers with the same accounts in two orders would
        // deadlock; of an id given twice the first account counts.
        let mut rows = BTreeMap::new();
        for account in accounts {
            rows.entry(account.account_id).or_insert(account);
        }
        let rows: Vec<account::ActiveModel> = rows.into_values().map(active_model).collect();
        for some in rows.chunks(ACCOUNTS_PER_STATEMENT) {
            let models = account::Entity::insert_many(some.to_vec())
                .on_conflict(
                    OnConflict::column(account::Column::AccountId)
                        .do_nothing()
                        .to_owned(),
                )
                .exec_with_returning(self.database.orm())
                .await
                .map_err(|error| self.name().orm(&error))?;
            inserted.extend(models.into_iter().map(|model| model.account_id));
        }
        Ok(inserted)
    }

    /// What rows that bear the incarnation tell.
    fn found(&self, rows: Vec<FoundRow>) -> Result<FoundAccounts, StoreError> {
        let first = rows.first();
        let incarnation = first
            .map(|row| Incarnation::new(row.incarnation))
            .ok_or_else(|| self.name().corrupt("no incarnation was told"))?;
        let found = rows.into_iter().filter_map(FoundRow::account);
        let accounts = found.map(|row| row.account(self.name()));
        Ok(FoundAccounts {
            incarnation,
            accounts: accounts.collect::<Result<_, _>>()?,
        })
    }
}

#[async_trait]
impl AccountDirectory for PgAccountDirectory {
    async fn open(&self, accounts: Vec<Account>) -> Result<Vec<OpenOutcome>, StoreError> {
        let mut opened = self.insert(&accounts).await?;
        // What was in the way is read afterwards: the insert's snapshot can't see what it waited
        // for. An account that was opened here and stands twice in the call is read too.
        let mut seen = HashSet::new();
        let met: Vec<AccountId> = accounts
            .iter()
            .map(|account| account.account_id)
            .filter(|id| !seen.insert(*id) || !opened.contains(&id.value()))
            .collect();
        let existing: HashMap<AccountId, Account> = self
            .find(met)
            .await?
            .accounts
            .into_iter()
            .map(|account| (account.account_id, account))
            .collect();
        accounts
            .into_iter()
            .map(|account| {
                if opened.remove(&account.account_id.value()) {
                    return Ok(OpenOutcome::Opened(account));
                }
                existing
                    .get(&account.account_id)
                    .cloned()
                    .map(OpenOutcome::Existed)
                    .ok_or_else(|| {
                        self.name()
                            .corrupt("an account that was in the way is gone: none is ever closed")
                    })
            })
            .collect()
    }

    async fn find(&self, ids: Vec<AccountId>) -> Result<FoundAccounts, StoreError> {
        let ids: Vec<i64> = ids.into_iter().map(AccountId::value).collect();
        let rows = sqlx::query_as(include_str!("sql/account/find.sql"))
            .bind(ids)
            .fetch_all(self.database.queries())
            .await;
        self.found(rows.map_err(|error| self.name().sqlx(&error))?)
    }

    async fn page_below(
        &self,
        below: Option<AccountId>,
        accounts_max: u32,
    ) -> Result<FoundAccounts, StoreError> {
        let rows = sqlx::query_as(include_str!("sql/account/page_below.sql"))
            .bind(below.map(AccountId::value))
            .bind(i64::from(accounts_max))
            .fetch_all(self.database.queries())
            .await;
        self.found(rows.map_err(|error| self.name().sqlx(&error))?)
    }
}

fn active_model(account: &Account) -> account::ActiveModel {
    account::ActiveModel {
        account_id: ActiveValue::Set(account.account_id.value()),
        user_id: ActiveValue::Set(account.user_id.value()),
        pool: ActiveValue::Set(account.pool.as_str().to_owned()),
        shard_id: ActiveValue::Set(account.shard_id.value()),
    }
}

/// An account, and what stands in every row.
#[derive(FromRow)]
struct FoundRow {
    incarnation: i64,
    account_id: Option<i64>,
    user_id: Option<i64>,
    pool: Option<String>,
    shard_id: Option<i32>,
}

impl FoundRow {
    /// Its account; `None` in the one row that tells that there is none.
    fn account(self) -> Option<AccountRow> {
        Some(AccountRow {
            account_id: self.account_id?,
            user_id: self.user_id?,
            pool: self.pool?,
            shard_id: self.shard_id?,
        })
    }
}

struct AccountRow {
    account_id: i64,
    user_id: i64,
    pool: String,
    shard_id: i32,
}

impl AccountRow {
    fn account(self, name: StoreName<'_>) -> Result<Account, StoreError> {
        Ok(Account {
            account_id: name.account_id(self.account_id)?,
            user_id: UserId::try_new(self.user_id)
                .map_err(|error| name.invalid("user_id", self.user_id, error))?,
            pool: PoolName::parse(&self.pool)
                .map_err(|error| name.invalid("pool", &self.pool, error))?,
            shard_id: name.shard_id(self.shard_id)?,
        })
    }
}
