//! What `verify` reads, in one REPEATABLE READ transaction: every page is of the same moment,
//! whatever is written meanwhile.

use super::change_log_record::{EntryRow, StateRow};
use super::error::StoreName;
use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::change_log::ChangeLogRecord;
use axs_application::port::ledger_audit::{
    AuditSnapshot, BalanceDifference, BrokenEntry, CurrencyTotal, EventCursor, LedgerAudit,
    ShardFold,
};
use axs_application::port::store_error::StoreError;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::decision::LedgerEntry;
use axs_domain::id::{LogId, ShardId};
use bytes::Bytes;
use shaku::Component;
use sqlx::{Executor, FromRow, Postgres, Transaction};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// The first statements of a snapshot. The fold of a large shard may take longer than any
/// statement of the running system, and a person who reads a finding in between is not idle.
const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL statement_timeout = '10min';
    SET LOCAL idle_in_transaction_session_timeout = '10min'";

/// [`LedgerAudit`] over the tables.
#[derive(Component)]
#[shaku(interface = LedgerAudit)]
pub struct PgLedgerAudit {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgLedgerAudit {
    /// The ledger of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl LedgerAudit for PgLedgerAudit {
    async fn open(&self) -> Result<Box<dyn AuditSnapshot>, StoreError> {
        let begun = async {
            let mut transaction = self.database.queries().begin().await?;
            transaction.execute(BEGIN).await?;
            Ok(transaction)
        };
        let transaction = begun
            .await
            .map_err(|error| StoreName::of(&*self.database).sqlx(&error))?;
        Ok(Box::new(PgAuditSnapshot {
            transaction,
            address: self.database.address().to_owned(),
        }))
    }
}

struct PgAuditSnapshot {
    transaction: Transaction<'static, Postgres>,
    address: String,
}

#[derive(FromRow)]
struct DifferenceRow {
    account_id: i64,
    currency_code: String,
    stored_available: Option<String>,
    stored_frozen: Option<String>,
    stored_version: Option<i64>,
    folded_available: Option<String>,
    folded_frozen: Option<String>,
    folded_version: Option<i64>,
}

impl DifferenceRow {
    fn difference(self, name: StoreName<'_>) -> Result<BalanceDifference, StoreError> {
        let side = |available: Option<String>, frozen: Option<String>, version: Option<i64>| match (
            available, frozen, version,
        ) {
            (Some(available), Some(frozen), Some(version)) => {
                name.balance(&available, &frozen, version).map(Some)
            }
            _ => Ok::<Option<VersionedBalance>, StoreError>(None),
        };
        Ok(BalanceDifference {
            key: BalanceKey {
                account_id: name.account_id(self.account_id)?,
                currency: name.currency(&self.currency_code)?,
            },
            stored: side(
                self.stored_available,
                self.stored_frozen,
                self.stored_version,
            )?,
            folded: side(
                self.folded_available,
                self.folded_frozen,
                self.folded_version,
            )?,
        })
    }
}

#[derive(FromRow)]
struct EventRow {
    #[sqlx(flatten)]
    state: StateRow,
    payload: Vec<u8>,
}

impl PgAuditSnapshot {
    async fn entries_of(
        &mut self,
        shard: ShardId,
        ids: Vec<Uuid>,
    ) -> Result<HashMap<Uuid, Vec<LedgerEntry>>, StoreError> {
        let Self {
            transaction,
            address,
        } = self;
        let name = StoreName { address };
        let rows: Vec<EntryRow> = sqlx::query_as(include_str!("sql/audit/entries.sql"))
            .bind(shard.value())
            .bind(ids)
            .fetch_all(&mut **transaction)
            .await
            .map_err(|error| name.sqlx(&error))?;
        let mut entries: HashMap<Uuid, Vec<LedgerEntry>> = HashMap::new();
        for row in rows {
            entries
                .entry(row.log_id)
                .or_default()
                .push(row.entry(name)?);
        }
        Ok(entries)
    }
}

#[async_trait]
impl AuditSnapshot for PgAuditSnapshot {
    async fn shards(&mut self) -> Result<Vec<ShardId>, StoreError> {
        let Self {
            transaction,
            address,
        } = self;
        let name = StoreName { address };
        let shards: Vec<i32> = sqlx::query_scalar("SELECT shard_id FROM shards ORDER BY shard_id")
            .fetch_all(&mut **transaction)
            .await
            .map_err(|error| name.sqlx(&error))?;
        shards
            .into_iter()
            .map(|shard| name.shard_id(shard))
            .collect()
    }

    async fn fold(&mut self, shard: ShardId, findings_max: u32) -> Result<ShardFold, StoreError> {
        let Self {
            transaction,
            address,
        } = self;
        let name = StoreName { address };
        let failed = |error: sqlx::Error| name.sqlx(&error);
        let (balances, entries): (i64, i64) =
            sqlx::query_as(include_str!("sql/audit/shard_counts.sql"))
                .bind(shard.value())
                .fetch_one(&mut **transaction)
                .await
                .map_err(failed)?;
        let differences: Vec<DifferenceRow> =
            sqlx::query_as(include_str!("sql/audit/balance_differences.sql"))
                .bind(shard.value())
                .bind(i64::from(findings_max))
                .fetch_all(&mut **transaction)
                .await
                .map_err(failed)?;
        let broken: Vec<(Uuid, i16, String)> =
            sqlx::query_as(include_str!("sql/audit/broken_entries.sql"))
                .bind(shard.value())
                .bind(i64::from(findings_max))
                .fetch_all(&mut **transaction)
                .await
                .map_err(failed)?;
        let overdrawn: Vec<(i64, String, String)> =
            sqlx::query_as(include_str!("sql/audit/overdrawn.sql"))
                .bind(shard.value())
                .bind(i64::from(findings_max))
                .fetch_all(&mut **transaction)
                .await
                .map_err(failed)?;
        Ok(ShardFold {
            balances: balances.unsigned_abs(),
            entries: entries.unsigned_abs(),
            differences: differences
                .into_iter()
                .map(|row| row.difference(name))
                .collect::<Result<_, _>>()?,
            broken: broken
                .into_iter()
                .map(|(log_id, change_index, problem)| BrokenEntry {
                    log_id: LogId::new(log_id),
                    change_index,
                    problem,
                })
                .collect(),
            overdrawn: overdrawn
                .into_iter()
                .map(|(account, currency, deepest)| {
                    let key = BalanceKey {
                        account_id: name.account_id(account)?,
                        currency: name.currency(&currency)?,
                    };
                    Ok((key, name.amount("available_after", &deepest)?))
                })
                .collect::<Result<_, StoreError>>()?,
        })
    }

    async fn events(
        &mut self,
        shard: ShardId,
        after: Option<EventCursor>,
        limit: u32,
    ) -> Result<Vec<ChangeLogRecord>, StoreError> {
        let (account, key) = match &after {
            Some((account, key)) => (account.value(), key.as_str()),
            None => (0, ""),
        };
        let rows: Vec<EventRow> = {
            let Self {
                transaction,
                address,
            } = self;
            let name = StoreName { address };
            sqlx::query_as(include_str!("sql/audit/events_page.sql"))
                .bind(shard.value())
                .bind(account)
                .bind(key)
                .bind(i64::from(limit))
                .fetch_all(&mut **transaction)
                .await
                .map_err(|error| name.sqlx(&error))?
        };
        let ids = rows.iter().map(|row| row.state.log_id).collect();
        let mut entries = self.entries_of(shard, ids).await?;
        let name = StoreName {
            address: &self.address,
        };
        rows.into_iter()
            .map(|EventRow { state, payload }| {
                let entries = entries.remove(&state.log_id).unwrap_or_default();
                state.record(name, Bytes::from(payload), entries)
            })
            .collect()
    }

    async fn contradictions(&mut self, findings_max: u32) -> Result<Vec<String>, StoreError> {
        let Self {
            transaction,
            address,
        } = self;
        let name = StoreName { address };
        sqlx::query_scalar(include_str!("sql/audit/contradictions.sql"))
            .bind(i64::from(findings_max))
            .fetch_all(&mut **transaction)
            .await
            .map_err(|error| name.sqlx(&error))
    }

    async fn totals(&mut self) -> Result<Vec<CurrencyTotal>, StoreError> {
        let Self {
            transaction,
            address,
        } = self;
        let name = StoreName { address };
        let rows: Vec<(String, String, String)> =
            sqlx::query_as(include_str!("sql/audit/totals.sql"))
                .fetch_all(&mut **transaction)
                .await
                .map_err(|error| name.sqlx(&error))?;
        rows.into_iter()
            .map(|(currency, balances, entries)| {
                Ok(CurrencyTotal {
                    currency: name.currency(&currency)?,
                    balances,
                    entries,
                })
            })
            .collect()
    }
}
