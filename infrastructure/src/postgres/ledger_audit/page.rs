//! The pages, each in a transaction of its own.

use super::PgAuditSnapshot;
use super::row::{BalanceRow, EventRow, PartitionRow, day_table, is_full, rows_of};
use crate::postgres::change_log_record::{EntryRow, StateRow};
use axs_application::port::ledger_audit::{
    AuditGround, BalanceCursor, BalancePage, BrokenEntry, DeadLetterPage, EntryPage, EventCursor,
    EventPage, PayloadPage, PayloadState, UnreadableRow, WaitingDeadLetter,
};
use axs_application::port::store_error::StoreError;
use axs_domain::id::{LayoutEpoch, LogId, ShardId};
use sqlx::{Postgres, Transaction};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use uuid::Uuid;

type Page = Transaction<'static, Postgres>;

pub(super) async fn ground(snapshot: &PgAuditSnapshot) -> Result<AuditGround, StoreError> {
    let name = snapshot.name();
    let read = async {
        let mut page = snapshot.page(1).await?;
        let shards: Vec<(i32, i32, i32)> = sqlx::query_as(include_str!("../sql/audit/shards.sql"))
            .fetch_all(&mut *page)
            .await?;
        let partitions: Vec<PartitionRow> =
            sqlx::query_as(include_str!("../sql/audit/partitions.sql"))
                .fetch_all(&mut *page)
                .await?;
        let expected: i64 = sqlx::query_scalar(include_str!("../sql/audit/events_expected.sql"))
            .fetch_one(&mut *page)
            .await?;
        page.commit().await?;
        Ok((shards, partitions, expected))
    };
    let (shards, partitions, expected) = read.await.map_err(|error| name.sqlx(&error))?;
    let epoch = shards
        .first()
        .map_or(LayoutEpoch::MIN.value(), |shard| shard.2);
    Ok(AuditGround {
        epoch: LayoutEpoch::try_new(epoch).map_err(|error| name.invalid("epoch", epoch, error))?,
        shards: shards
            .into_iter()
            .map(|(shard, partition, _)| Ok((name.shard_id(shard)?, name.partition(partition)?)))
            .collect::<Result<_, StoreError>>()?,
        partitions: partitions
            .into_iter()
            .map(|row| row.partition(name))
            .collect::<Result<_, _>>()?,
        events_expected: expected.unsigned_abs(),
    })
}

pub(super) async fn events(
    snapshot: &PgAuditSnapshot,
    shard: ShardId,
    after: Option<EventCursor>,
    limit: u32,
) -> Result<EventPage, StoreError> {
    let name = snapshot.name();
    let (account, key) = match &after {
        Some(cursor) => (cursor.account_id, cursor.idempotency_key.as_str()),
        None => (0, ""),
    };
    let read = async {
        let mut page = snapshot.page(1).await?;
        let rows: Vec<EventRow> = sqlx::query_as(include_str!("../sql/audit/events_page.sql"))
            .bind(shard.value())
            .bind(account)
            .bind(key)
            .bind(i64::from(limit))
            .fetch_all(&mut *page)
            .await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.state.log_id).collect();
        let entries: Vec<EntryRow> = sqlx::query_as(include_str!("../sql/audit/entries_of.sql"))
            .bind(shard.value())
            .bind(ids)
            .fetch_all(&mut *page)
            .await?;
        let explained = explained(&mut page, &rows).await?;
        let retired = retired_days(&mut page, &rows).await?;
        page.commit().await?;
        Ok((rows, entries, explained, retired))
    };
    let (rows, entries, explained, retired) = read.await.map_err(|error| name.sqlx(&error))?;

    let mut page = EventPage {
        entries: rows_of(entries.len()),
        next: is_full(rows.len(), limit)
            .then(|| rows.last().map(EventRow::cursor))
            .flatten(),
        ..EventPage::default()
    };
    let mut entries_by_id: HashMap<Uuid, Vec<EntryRow>> = HashMap::new();
    for entry in entries {
        entries_by_id.entry(entry.log_id).or_default().push(entry);
    }
    for row in rows {
        let log_id = row.state.log_id;
        let payload = match &row.payload {
            Some(_) => PayloadState::Kept,
            None if retired.contains(&day_table(log_id)) => PayloadState::Retired,
            None => PayloadState::Gone,
        };
        let entries = entries_by_id.remove(&log_id).unwrap_or_default();
        match row.event(name, payload, &entries, explained.contains(&log_id)) {
            Ok(event) => page.events.push(event),
            Err(StoreError::Corrupt { reason, .. }) => page.unreadable.push(UnreadableRow {
                row: format!("event {log_id}"),
                problem: reason,
            }),
            Err(unavailable) => return Err(unavailable),
        }
    }
    Ok(page)
}

/// Asked only for what needs it: events that are INIT though their record was seen, and parked
/// ones.
async fn explained(page: &mut Page, rows: &[EventRow]) -> Result<HashSet<Uuid>, sqlx::Error> {
    let ids = |which: fn(&StateRow) -> bool| -> Vec<Uuid> {
        let found = rows.iter().filter(|row| which(&row.state));
        found.map(|row| row.state.log_id).collect()
    };
    let waiting = ids(StateRow::waits_after_it_was_seen);
    let parked = ids(StateRow::is_parked);
    if waiting.is_empty() && parked.is_empty() {
        return Ok(HashSet::new());
    }
    let explained: Vec<Uuid> = sqlx::query_scalar(include_str!("../sql/audit/explained.sql"))
        .bind(waiting)
        .bind(parked)
        .fetch_all(&mut **page)
        .await?;
    Ok(explained.into_iter().collect())
}

async fn retired_days(page: &mut Page, rows: &[EventRow]) -> Result<HashSet<String>, sqlx::Error> {
    let missing: BTreeSet<String> = rows
        .iter()
        .filter(|row| row.payload.is_none())
        .map(|row| day_table(row.state.log_id))
        .collect();
    if missing.is_empty() {
        return Ok(HashSet::new());
    }
    let retired: Vec<String> = sqlx::query_scalar(include_str!("../sql/audit/retired_days.sql"))
        .bind(missing.into_iter().collect::<Vec<_>>())
        .fetch_all(&mut **page)
        .await?;
    Ok(retired.into_iter().collect())
}

pub(super) async fn balances(
    snapshot: &PgAuditSnapshot,
    shard: ShardId,
    accounts: RangeInclusive<i64>,
    after: Option<BalanceCursor>,
    limit: u32,
) -> Result<BalancePage, StoreError> {
    let name = snapshot.name();
    let (account, currency) = after.unwrap_or_else(|| (*accounts.start(), String::new()));
    let read = async {
        let mut page = snapshot.page(1).await?;
        let rows: Vec<BalanceRow> = sqlx::query_as(include_str!("../sql/audit/balances_page.sql"))
            .bind(shard.value())
            .bind(account)
            .bind(currency)
            .bind(*accounts.end())
            .bind(i64::from(limit))
            .fetch_all(&mut *page)
            .await?;
        page.commit().await?;
        Ok(rows)
    };
    let rows = read.await.map_err(|error| name.sqlx(&error))?;
    let mut page = BalancePage {
        next: is_full(rows.len(), limit)
            .then(|| rows.last().map(BalanceRow::cursor))
            .flatten(),
        ..BalancePage::default()
    };
    for row in rows {
        let (account, currency) = row.cursor();
        match row.balance(name) {
            Ok(balance) => page.balances.push(balance),
            Err(StoreError::Corrupt { reason, .. }) => page.unreadable.push(UnreadableRow {
                row: format!("shard {shard}: balance of account {account} in {currency}"),
                problem: reason,
            }),
            Err(unavailable) => return Err(unavailable),
        }
    }
    Ok(page)
}

pub(super) async fn lines(
    snapshot: &PgAuditSnapshot,
    shard: ShardId,
    accounts: RangeInclusive<i64>,
    named_max: u32,
    pages: u32,
) -> Result<Vec<BrokenEntry>, StoreError> {
    let read = async {
        let mut page = snapshot.page(pages).await?;
        let rows: Vec<(Uuid, i16, String)> = sqlx::query_as(include_str!("../sql/audit/lines.sql"))
            .bind(shard.value())
            .bind(*accounts.start())
            .bind(*accounts.end())
            .bind(i64::from(named_max))
            .fetch_all(&mut *page)
            .await?;
        page.commit().await?;
        Ok(rows)
    };
    let rows = read.await.map_err(|error| snapshot.name().sqlx(&error))?;
    Ok(rows.into_iter().map(broken).collect())
}

fn broken((log_id, change_index, problem): (Uuid, i16, String)) -> BrokenEntry {
    BrokenEntry {
        log_id: LogId::new(log_id),
        change_index,
        problem,
    }
}

pub(super) async fn entries(
    snapshot: &PgAuditSnapshot,
    shard: ShardId,
    after: Option<(LogId, i16)>,
    limit: u32,
) -> Result<EntryPage, StoreError> {
    let (first_id, first_index) = after.map_or((Uuid::nil(), -1), |(id, i)| (id.uuid(), i));
    let read = async {
        let mut page = snapshot.page(1).await?;
        let end: Option<(Uuid, i16, i64)> =
            sqlx::query_as(include_str!("../sql/audit/entries_page.sql"))
                .bind(shard.value())
                .bind(first_id)
                .bind(first_index)
                .bind(i64::from(limit))
                .fetch_optional(&mut *page)
                .await?;
        let Some((last_id, last_index, rows)) = end else {
            page.commit().await?;
            return Ok(EntryPage::default());
        };
        let orphans: Vec<(Uuid, i16, String)> =
            sqlx::query_as(include_str!("../sql/audit/orphan_entries.sql"))
                .bind(shard.value())
                .bind(first_id)
                .bind(first_index)
                .bind(last_id)
                .bind(last_index)
                .fetch_all(&mut *page)
                .await?;
        page.commit().await?;
        Ok(EntryPage {
            count: rows.unsigned_abs(),
            orphans: orphans.into_iter().map(broken).collect(),
            next: Some((LogId::new(last_id), last_index)),
        })
    };
    read.await
        .map_err(|error: sqlx::Error| snapshot.name().sqlx(&error))
}

pub(super) async fn payloads(
    snapshot: &PgAuditSnapshot,
    after: Option<LogId>,
    limit: u32,
) -> Result<PayloadPage, StoreError> {
    let read = async {
        let mut page = snapshot.page(1).await?;
        let rows: Vec<(Uuid, bool)> =
            sqlx::query_as(include_str!("../sql/audit/payloads_page.sql"))
                .bind(after.map_or(Uuid::nil(), LogId::uuid))
                .bind(i64::from(limit))
                .fetch_all(&mut *page)
                .await?;
        page.commit().await?;
        Ok(rows)
    };
    let rows = read
        .await
        .map_err(|error: sqlx::Error| snapshot.name().sqlx(&error))?;
    Ok(PayloadPage {
        count: rows_of(rows.len()),
        next: is_full(rows.len(), limit)
            .then(|| rows.last().map(|row| LogId::new(row.0)))
            .flatten(),
        stateless: rows
            .into_iter()
            .filter(|(_, has_state)| !has_state)
            .map(|(log_id, _)| LogId::new(log_id))
            .collect(),
    })
}

pub(super) async fn dead_letters(
    snapshot: &PgAuditSnapshot,
    after: Option<i64>,
    limit: u32,
) -> Result<DeadLetterPage, StoreError> {
    let name = snapshot.name();
    let read = async {
        let mut page = snapshot.page(1).await?;
        let rows: Vec<(i64, Option<Uuid>, Option<i64>, String)> =
            sqlx::query_as(include_str!("../sql/audit/dead_letters_page.sql"))
                .bind(after.unwrap_or(0))
                .bind(i64::from(limit))
                .fetch_all(&mut *page)
                .await?;
        page.commit().await?;
        Ok(rows)
    };
    let rows = read.await.map_err(|error: sqlx::Error| name.sqlx(&error))?;
    let mut page = DeadLetterPage {
        count: rows_of(rows.len()),
        next: is_full(rows.len(), limit)
            .then(|| rows.last().map(|row| row.0))
            .flatten(),
        ..DeadLetterPage::default()
    };
    for (_, log_id, account, words) in rows {
        if let (Some(log_id), Some(account)) = (log_id, account) {
            page.waiting.push(WaitingDeadLetter {
                log_id: LogId::new(log_id),
                account_id: name.account_id(account)?,
                words,
            });
        }
    }
    Ok(page)
}
