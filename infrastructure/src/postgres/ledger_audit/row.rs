//! Rows as the audit reads them.

use crate::postgres::change_log_record::{EntryRow, StateRow};
use crate::postgres::error::StoreName;
use crate::postgres::stored::timestamp;
use axs_application::port::ledger_audit::{
    AuditedBalance, AuditedEvent, AuditedLeader, AuditedPartition, BalanceCursor, EventCursor,
    PayloadState,
};
use axs_application::port::store_error::StoreError;
use axs_domain::balance::BalanceKey;
use axs_domain::decision::LedgerEntry;
use axs_domain::id::{FencingToken, OwnerId, ShardId};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// The table of the day that a log id is of, as `ensure_change_log_days` names it.
pub(super) fn day_table(log_id: Uuid) -> String {
    // The first 48 bits are milliseconds since the Unix epoch (RFC 9562): years up to 10,889.
    let milliseconds = i64::try_from(log_id.as_u128() >> 80).unwrap_or(i64::MAX);
    let day = DateTime::<Utc>::from_timestamp_millis(milliseconds).unwrap_or_default();
    format!("balance_change_logs_{}", day.format("%Y%m%d"))
}

/// Whether a page may have a successor.
pub(super) fn is_full(rows: usize, limit: u32) -> bool {
    rows_of(rows) >= u64::from(limit)
}

/// A number of rows; no machine has more than fit.
pub(super) fn rows_of(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

#[derive(FromRow)]
pub(super) struct PartitionRow {
    partition: i32,
    fencing_token: Option<i64>,
    owner: Option<Uuid>,
    stored_offset: Option<i64>,
    results_offset: Option<i64>,
    log_adopted_at: Option<DateTime<Utc>>,
    lease_token: Option<i64>,
    lease_owner: Option<Uuid>,
}

impl PartitionRow {
    pub(super) fn partition(self, name: StoreName<'_>) -> Result<AuditedPartition, StoreError> {
        let token = |value: i64| {
            FencingToken::try_new(value)
                .map_err(|error| name.invalid("fencing_token", value, error))
        };
        let leader = match (self.fencing_token, self.stored_offset, self.results_offset) {
            (Some(newest), Some(stored), Some(results)) => Some(AuditedLeader {
                token: token(newest)?,
                owner: self.owner.map(OwnerId::new),
                stored_offset: name.offset(stored)?,
                results_offset: name.offset(results)?,
                log_adopted_at: self.log_adopted_at.map(timestamp),
            }),
            _ => None,
        };
        let lease = match self.lease_token {
            Some(leased) => Some((token(leased)?, self.lease_owner.map(OwnerId::new))),
            None => None,
        };
        Ok(AuditedPartition {
            partition: name.partition(self.partition)?,
            leader,
            lease,
        })
    }
}

#[derive(FromRow)]
pub(super) struct EventRow {
    #[sqlx(flatten)]
    pub(super) state: StateRow,
    pub(super) payload: Option<Vec<u8>>,
    home: Option<i32>,
}

impl EventRow {
    pub(super) fn cursor(&self) -> EventCursor {
        let (account_id, idempotency_key) = self.state.account_and_key();
        EventCursor {
            account_id,
            idempotency_key: idempotency_key.to_owned(),
        }
    }

    pub(super) fn event(
        self,
        name: StoreName<'_>,
        payload: PayloadState,
        entries: &[EntryRow],
        is_explained: bool,
    ) -> Result<AuditedEvent, StoreError> {
        let entries: Vec<LedgerEntry> = entries
            .iter()
            .map(|entry| entry.entry(name))
            .collect::<Result<_, _>>()?;
        let bytes = Bytes::from(self.payload.unwrap_or_default());
        Ok(AuditedEvent {
            home: home(name, self.home)?,
            record: self.state.record(name, bytes, entries)?,
            payload,
            is_explained,
        })
    }
}

#[derive(FromRow)]
pub(super) struct BalanceRow {
    account_id: i64,
    currency_code: String,
    available: String,
    frozen: String,
    version: i64,
    home: Option<i32>,
}

impl BalanceRow {
    pub(super) fn cursor(&self) -> BalanceCursor {
        (self.account_id, self.currency_code.clone())
    }

    pub(super) fn balance(&self, name: StoreName<'_>) -> Result<AuditedBalance, StoreError> {
        Ok(AuditedBalance {
            key: BalanceKey {
                account_id: name.account_id(self.account_id)?,
                currency: name.currency(&self.currency_code)?,
            },
            stored: name.balance(&self.available, &self.frozen, self.version)?,
            home: home(name, self.home)?,
        })
    }
}

fn home(name: StoreName<'_>, shard: Option<i32>) -> Result<Option<ShardId>, StoreError> {
    shard.map(|shard| name.shard_id(shard)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_id_names_the_table_of_its_day() {
        // 2021-01-08T23:59:59.999Z and a millisecond later.
        let last = 1_610_150_399_999_u128;
        for (milliseconds, table) in [
            (last, "balance_change_logs_20210108"),
            (last + 1, "balance_change_logs_20210109"),
        ] {
            assert_eq!(day_table(Uuid::from_u128(milliseconds << 80)), table);
        }
    }
}
