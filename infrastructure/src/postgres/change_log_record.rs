//! Reading rows of the change log whole: state, payload and entries, in one round trip each.
//!
//! | # | statement | when |
//! |---|---|---|
//! | 1 | `states.sql` | always |
//! | 2 | `payloads.sql` | always; by log id, so that only the days asked for are touched |
//! | 3 | `entries.sql` | when one of the rows is applied |
//!
//! The three may see three moments. That is harmless: payloads never change, and the entries of a
//! row that statement 1 saw applied are there for good.

use super::error::StoreName;
use super::stored::{shard_bounds, timestamp};
use axs_application::port::change_log::{ChangeLogKey, ChangeLogRecord, RecordedReason};
use axs_application::port::result_codec::FinishedOutcome;
use axs_application::port::result_source::StoredResult;
use axs_application::port::store_error::StoreError;
use axs_domain::balance::Delta;
use axs_domain::change::{Branch, CurrencyDelta};
use axs_domain::decision::LedgerEntry;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::LogId;
use axs_domain::log_status::LogStatus;
use axs_domain::text::IdempotencyKey;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgExecutor, PgPool};
use std::collections::HashMap;
use uuid::Uuid;

/// Keys as the arrays that statements take.
pub(crate) struct KeyColumns<'k> {
    pub(crate) shards: Vec<i32>,
    pub(crate) accounts: Vec<i64>,
    pub(crate) keys: Vec<&'k str>,
}

impl<'k> KeyColumns<'k> {
    pub(crate) fn of(keys: impl IntoIterator<Item = &'k ChangeLogKey>) -> Self {
        let mut columns = Self {
            shards: Vec::new(),
            accounts: Vec::new(),
            keys: Vec::new(),
        };
        for key in keys {
            columns.shards.push(key.shard_id.value());
            columns.accounts.push(key.account_id.value());
            columns.keys.push(key.idempotency_key.as_str());
        }
        columns
    }
}

/// A row of `balance_change_states`.
#[derive(FromRow)]
pub(crate) struct StateRow {
    pub(crate) log_id: Uuid,
    account_id: i64,
    logged_at: DateTime<Utc>,
    record_offset: Option<i64>,
    decided_at: Option<DateTime<Utc>>,
    shard_id: i32,
    partition: Option<i32>,
    status: i16,
    reason_code: Option<i16>,
    fingerprint: Vec<u8>,
    idempotency_key: String,
    reason: Option<String>,
}

impl StateRow {
    /// Account and key as stored.
    pub(crate) fn account_and_key(&self) -> (i64, &str) {
        (self.account_id, &self.idempotency_key)
    }

    /// Whether the row is INIT although its record was seen on the topic.
    pub(crate) fn waits_after_it_was_seen(&self) -> bool {
        self.record_offset.is_some() && self.status == LogStatus::Init.number()
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.status == LogStatus::Parked.number()
    }

    /// The record, with what the other statements gave.
    pub(crate) fn record(
        self,
        name: StoreName<'_>,
        payload: Bytes,
        entries: Vec<LedgerEntry>,
    ) -> Result<ChangeLogRecord, StoreError> {
        let status = LogStatus::from_number(self.status)
            .ok_or_else(|| name.invalid("status", self.status, "is none"))?;
        let fingerprint = Fingerprint::restore(&self.fingerprint).ok_or_else(|| {
            name.invalid(
                "fingerprint of",
                self.log_id,
                "is of a version that this build doesn't know",
            )
        })?;
        let position = match (self.partition, self.record_offset) {
            (Some(partition), Some(offset)) => {
                Some((name.partition(partition)?, name.offset(offset)?))
            }
            _ => None,
        };
        let reason = match (status, self.reason_code) {
            (LogStatus::Rejected | LogStatus::Parked, Some(code)) => Some(RecordedReason {
                code,
                message: self.reason.unwrap_or_default(),
            }),
            _ => None,
        };
        Ok(ChangeLogRecord {
            log_id: LogId::new(self.log_id),
            key: ChangeLogKey {
                shard_id: name.shard_id(self.shard_id)?,
                account_id: name.account_id(self.account_id)?,
                idempotency_key: IdempotencyKey::parse(&self.idempotency_key).map_err(|error| {
                    name.invalid("idempotency_key", &self.idempotency_key, error)
                })?,
            },
            fingerprint,
            payload,
            status,
            reason,
            logged_at: timestamp(self.logged_at),
            // A row that was parked and is INIT again has no decision.
            decided_at: self
                .decided_at
                .filter(|_| status != LogStatus::Init)
                .map(timestamp),
            position,
            entries,
        })
    }
}

#[derive(FromRow)]
struct FoundState {
    position: i64,
    #[sqlx(flatten)]
    state: StateRow,
}

#[derive(FromRow)]
pub(crate) struct EntryRow {
    pub(crate) log_id: Uuid,
    change_index: i16,
    branch: i16,
    currency_code: String,
    version: i64,
    available_delta: String,
    frozen_delta: String,
    available_after: String,
    frozen_after: String,
}

impl EntryRow {
    pub(crate) fn entry(&self, name: StoreName<'_>) -> Result<LedgerEntry, StoreError> {
        Ok(LedgerEntry {
            change_index: usize::try_from(self.change_index)
                .map_err(|error| name.invalid("change_index", self.change_index, error))?,
            branch: Branch::from_number(self.branch)
                .ok_or_else(|| name.invalid("branch", self.branch, "is none"))?,
            applied: CurrencyDelta {
                currency: name.currency(&self.currency_code)?,
                delta: Delta {
                    available: name.amount("available_delta", &self.available_delta)?,
                    frozen: name.amount("frozen_delta", &self.frozen_delta)?,
                },
            },
            after: name.balance(&self.available_after, &self.frozen_after, self.version)?,
        })
    }
}

/// The results of the rows with these keys, in the order asked; `None` where there is none, or none
/// yet. Reads no payloads.
pub(crate) async fn read_results(
    pool: &PgPool,
    name: StoreName<'_>,
    keys: &[ChangeLogKey],
) -> Result<Vec<Option<StoredResult>>, StoreError> {
    let mut results = vec![None; keys.len()];
    let mut found = read_states(pool, name, keys).await?;
    found.retain(|found| is_final(found.state.status));
    let mut entries = read_entries(pool, name, &found).await?;
    for FoundState { position, state } in found {
        let place = name.place(position, keys.len())?;
        let entries = entries.entry(state.log_id).or_default().clone();
        let record = state.record(name, Bytes::new(), entries)?;
        if let Some(result) = results.get_mut(place) {
            *result = Some(result_of(name, record)?);
        }
    }
    Ok(results)
}

const fn is_final(status: i16) -> bool {
    status == LogStatus::Applied.number() || status == LogStatus::Rejected.number()
}

fn result_of(name: StoreName<'_>, record: ChangeLogRecord) -> Result<StoredResult, StoreError> {
    let lacks = |what| name.invalid("the row", record.log_id, what);
    let outcome = match record.status {
        LogStatus::Applied => FinishedOutcome::Applied(record.entries),
        _ => FinishedOutcome::Rejected(record.reason.ok_or_else(|| lacks("has no reason"))?),
    };
    let (partition, offset) = record
        .position
        .ok_or_else(|| lacks("is final without a position"))?;
    Ok(StoredResult {
        log_id: record.log_id,
        key: record.key,
        partition,
        offset,
        outcome,
        logged_at: record.logged_at,
        decided_at: record
            .decided_at
            .ok_or_else(|| lacks("is final without a time"))?,
    })
}

/// The rows with these keys, in the order asked; `None` where there is none. A row whose payload's
/// day was retired has an empty payload.
pub(crate) async fn read_records(
    pool: &PgPool,
    name: StoreName<'_>,
    keys: &[ChangeLogKey],
) -> Result<Vec<Option<ChangeLogRecord>>, StoreError> {
    let mut records = vec![None; keys.len()];
    let found = read_states(pool, name, keys).await?;
    let ids: Vec<Uuid> = found.iter().map(|found| found.state.log_id).collect();
    let payloads = read_payloads(pool, &ids).await;
    let mut payloads = payloads.map_err(|error| name.sqlx(&error))?;
    let mut entries = read_entries(pool, name, &found).await?;
    for FoundState { position, state } in found {
        let place = name.place(position, keys.len())?;
        // Cloned, not removed: a key may be asked for twice.
        let payload = payloads.entry(state.log_id).or_default().clone();
        let entries = entries.entry(state.log_id).or_default().clone();
        if let Some(record) = records.get_mut(place) {
            *record = Some(state.record(name, payload, entries)?);
        }
    }
    Ok(records)
}

async fn read_states(
    pool: &PgPool,
    name: StoreName<'_>,
    keys: &[ChangeLogKey],
) -> Result<Vec<FoundState>, StoreError> {
    let columns = KeyColumns::of(keys);
    let Some((lowest, highest)) = shard_bounds(&columns.shards) else {
        return Ok(Vec::new());
    };
    sqlx::query_as(include_str!("sql/change_log/states.sql"))
        .bind(columns.shards)
        .bind(columns.accounts)
        .bind(columns.keys)
        .bind(lowest)
        .bind(highest)
        .fetch_all(pool)
        .await
        .map_err(|error| name.sqlx(&error))
}

/// The payloads of these rows, by log id; those of retired days are missing.
pub(crate) async fn read_payloads(
    database: impl PgExecutor<'_>,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Bytes>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(include_str!("sql/change_log/payloads.sql"))
        .bind(ids)
        .fetch_all(database)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(log_id, payload)| (log_id, Bytes::from(payload)))
        .collect())
}

async fn read_entries(
    pool: &PgPool,
    name: StoreName<'_>,
    found: &[FoundState],
) -> Result<HashMap<Uuid, Vec<LedgerEntry>>, StoreError> {
    let applied = found
        .iter()
        .map(|found| &found.state)
        .filter(|state| state.status == LogStatus::Applied.number())
        // A key asked for twice must not have its entries twice.
        .map(|state| (state.log_id, state.shard_id))
        .collect::<HashMap<_, _>>();
    let (ids, shards): (Vec<Uuid>, Vec<i32>) = applied.into_iter().unzip();
    let Some((lowest, highest)) = shard_bounds(&shards) else {
        return Ok(HashMap::new());
    };
    let rows: Vec<EntryRow> = sqlx::query_as(include_str!("sql/change_log/entries.sql"))
        .bind(shards)
        .bind(ids)
        .bind(lowest)
        .bind(highest)
        .fetch_all(pool)
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
