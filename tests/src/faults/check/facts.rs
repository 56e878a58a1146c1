//! What is so: the rows of PostgreSQL and the records of the topic, read from outside.

use crate::database::Database;
use crate::deployment::Deployment;
use crate::faults::scene::PARTITIONS;
use crate::model::{Key, parse};
use anyhow::{Context, Result};
use axs_proto::v1::{BalanceChangeEnvelope, BalanceChangeEvent};
use num_bigint::BigInt;
use prost::Message;
use std::collections::BTreeMap;
use uuid::Uuid;

/// PostgreSQL's number of a result that took effect.
pub const APPLIED: i16 = 1;
/// And of one that has none.
pub const REJECTED: i16 = 2;

/// A logged event's state.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Logged {
    /// Its id.
    pub log_id: Uuid,
    /// Whose it is.
    pub account_id: i64,
    /// Under which key.
    pub idempotency_key: String,
    /// 0 pending, 1 applied, 2 rejected, 3 parked.
    pub status: i16,
    /// Why it was rejected.
    pub reason_code: Option<i16>,
    /// Where it was decided.
    pub partition: Option<i32>,
    /// At which offset.
    pub record_offset: Option<i64>,
}

impl Logged {
    /// Account and key.
    #[must_use]
    pub fn key(&self) -> Key {
        (self.account_id, self.idempotency_key.clone())
    }
}

/// A ledger entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// Which change of the event.
    pub change_index: i16,
    /// Whether it was the second choice.
    pub fallback_taken: bool,
    /// What moved.
    pub currency: String,
    /// By how much, and what was left: available delta, frozen delta, available, frozen.
    pub amounts: [BigInt; 4],
    /// The balance's version after it.
    pub version: i64,
}

/// A balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceRow {
    /// Free to spend.
    pub available: BigInt,
    /// Under holds.
    pub frozen: BigInt,
    /// How many changes made it.
    pub version: i64,
}

/// A record of the topic that holds an event.
#[derive(Debug, Clone)]
pub struct TopicRecord {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The event in it.
    pub event: BalanceChangeEvent,
}

/// Everything that is so.
#[derive(Debug, Default)]
pub struct Facts {
    /// Logged events by account and key.
    pub logged: BTreeMap<Key, Logged>,
    /// Entries by log id, in the order of the changes.
    pub entries: BTreeMap<Uuid, Vec<EntryRow>>,
    /// Balances by account and currency.
    pub balances: BTreeMap<(i64, String), BalanceRow>,
    /// Records by log id, in the order of their offsets.
    pub records: BTreeMap<Uuid, Vec<TopicRecord>>,
    /// Records that had the log id of one before.
    pub copies: u64,
}

impl Facts {
    /// Reads them.
    ///
    /// # Errors
    /// A server is away, or a figure is no figure.
    pub async fn read(deployment: &Deployment) -> Result<Self> {
        let database = &deployment.database;
        let mut facts = Self {
            logged: logged(database).await?,
            entries: entries(database).await?,
            balances: balances(database).await?,
            ..Self::default()
        };
        for record in deployment.topic.records_of(PARTITIONS).await? {
            // What is no envelope is a poison record of the suite's own.
            let Ok(envelope) = BalanceChangeEnvelope::decode(record.payload.as_slice()) else {
                continue;
            };
            let (Ok(log_id), Some(event)) = (Uuid::from_slice(&envelope.log_id), envelope.event)
            else {
                continue;
            };
            let of_event = facts.records.entry(log_id).or_default();
            facts.copies += u64::from(!of_event.is_empty());
            of_event.push(TopicRecord {
                partition: record.partition,
                offset: record.offset,
                event,
            });
        }
        Ok(facts)
    }
}

async fn logged(database: &Database) -> Result<BTreeMap<Key, Logged>> {
    let rows: Vec<Logged> = sqlx::query_as(
        "SELECT log_id, account_id, idempotency_key, status, reason_code, partition, record_offset
           FROM balance_change_states",
    )
    .fetch_all(&database.pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.key(), row)).collect())
}

type EntryColumns = (Uuid, i16, i16, String, String, String, String, String, i64);

async fn entries(database: &Database) -> Result<BTreeMap<Uuid, Vec<EntryRow>>> {
    let rows: Vec<EntryColumns> = sqlx::query_as(
        "SELECT log_id, change_index, branch, currency_code, available_delta::text,
                frozen_delta::text, available_after::text, frozen_after::text, version
           FROM ledger_entries ORDER BY log_id, change_index",
    )
    .fetch_all(&database.pool)
    .await?;
    let mut entries: BTreeMap<Uuid, Vec<EntryRow>> = BTreeMap::new();
    for (log_id, change_index, branch, currency, a, f, available, frozen, version) in rows {
        entries.entry(log_id).or_default().push(EntryRow {
            change_index,
            fallback_taken: branch == 1,
            currency,
            amounts: [units(&a)?, units(&f)?, units(&available)?, units(&frozen)?],
            version,
        });
    }
    Ok(entries)
}

async fn balances(database: &Database) -> Result<BTreeMap<(i64, String), BalanceRow>> {
    let rows: Vec<(i64, String, String, String, i64)> = sqlx::query_as(
        "SELECT account_id, currency_code, available::text, frozen::text, version
           FROM account_balances",
    )
    .fetch_all(&database.pool)
    .await?;
    let mut balances = BTreeMap::new();
    for (account, currency, available, frozen, version) in rows {
        let row = BalanceRow {
            available: units(&available)?,
            frozen: units(&frozen)?,
            version,
        };
        balances.insert((account, currency), row);
    }
    Ok(balances)
}

fn units(text: &str) -> Result<BigInt> {
    parse(text).with_context(|| format!("{text:?} is no amount"))
}
