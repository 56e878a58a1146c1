//! What `verify` reads: everything, in pages, as of one moment.

use super::change_log::ChangeLogRecord;
use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::amount::Amount;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::currency::CurrencyCode;
use axs_domain::id::{AccountId, LogId, ShardId};
use axs_domain::text::IdempotencyKey;
use shaku::Interface;

/// A balance that is not what its ledger entries make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceDifference {
    /// Which balance.
    pub key: BalanceKey,
    /// What stands in the balances; `None` without a row.
    pub stored: Option<VersionedBalance>,
    /// What the entries add up to; `None` without an entry.
    pub folded: Option<VersionedBalance>,
}

/// An entry that does not continue the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenEntry {
    /// The event it belongs to.
    pub log_id: LogId,
    /// Which change of the event.
    pub change_index: i16,
    /// What does not fit.
    pub problem: String,
}

/// What one shard's balances and entries say of each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardFold {
    /// Balances compared.
    pub balances: u64,
    /// Entries folded.
    pub entries: u64,
    /// Balances that differ, at most as many as asked for.
    pub differences: Vec<BalanceDifference>,
    /// Entries out of line: versions with gaps, sums that differ from the balance after, an order
    /// other than that of the topic, no log row or one of another account or position, an offset
    /// at or past the stored one. At most as many as asked for.
    pub broken: Vec<BrokenEntry>,
    /// Balances that were ever below zero, and how far below at the deepest: right only where a
    /// rule grants credit. At most as many as asked for.
    pub overdrawn: Vec<(BalanceKey, Amount)>,
}

/// The sums of one currency, as decimal texts: a sum may leave the range of an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrencyTotal {
    /// The currency.
    pub currency: CurrencyCode,
    /// Sum of all available and frozen parts.
    pub balances: String,
    /// Sum of all applied deltas.
    pub entries: String,
}

/// Where a page of events ended.
pub type EventCursor = (AccountId, IdempotencyKey);

/// Opens a view of the whole database as of one moment.
///
/// # Errors
/// [`StoreError`]; begin again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait LedgerAudit: Interface {
    /// A new snapshot. It holds a transaction open: read on without long pauses.
    async fn open(&self) -> Result<Box<dyn AuditSnapshot>, StoreError>;
}

/// One moment of the database.
///
/// # Errors
/// [`StoreError`]: the snapshot is lost; open a new one and begin again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait AuditSnapshot: Send + Sync {
    /// The shards of the layout, in order.
    async fn shards(&mut self) -> Result<Vec<ShardId>, StoreError>;

    /// Folds the entries of a shard and compares them with its balances.
    async fn fold(&mut self, shard: ShardId, findings_max: u32) -> Result<ShardFold, StoreError>;

    /// A page of a shard's events with payload, state and entries, in the order of account and
    /// key. A row whose payload is gone comes with an empty one.
    async fn events(
        &mut self,
        shard: ShardId,
        after: Option<EventCursor>,
        limit: u32,
    ) -> Result<Vec<ChangeLogRecord>, StoreError>;

    /// What tables say against each other, one sentence each: events still INIT although their
    /// known offset lies below the stored one, payloads without a state, accounts whose balances or
    /// events stand on another shard than their own.
    async fn contradictions(&mut self, findings_max: u32) -> Result<Vec<String>, StoreError>;

    /// The sums of every currency.
    async fn totals(&mut self) -> Result<Vec<CurrencyTotal>, StoreError>;
}
