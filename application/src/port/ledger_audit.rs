//! What `verify` reads: everything, in pages, as of one moment.

use super::change_log::ChangeLogRecord;
use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::id::{
    AccountId, FencingToken, LayoutEpoch, LogId, Offset, OwnerId, PartitionId, ShardId,
};
use axs_domain::time::Timestamp;
use shaku::Interface;
use std::ops::RangeInclusive;

/// What stands before any row is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditGround {
    /// The epoch of the layout.
    pub epoch: LayoutEpoch,
    /// The shards, in order, and where their events go.
    pub shards: Vec<(ShardId, PartitionId)>,
    /// Every partition that has a leader row or a lease.
    pub partitions: Vec<AuditedPartition>,
    /// About how many events there are, by the planner's figures; for a person who waits.
    pub events_expected: u64,
}

/// The two rows of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditedPartition {
    /// Which.
    pub partition: PartitionId,
    /// The leader row.
    pub leader: Option<AuditedLeader>,
    /// The token and the owner of the lease row.
    pub lease: Option<(FencingToken, Option<OwnerId>)>,
}

/// A leader row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditedLeader {
    /// The newest token.
    pub token: FencingToken,
    /// Its owner.
    pub owner: Option<OwnerId>,
    /// How far the partition is written.
    pub stored_offset: Offset,
    /// How far results and cache writes are known to be out.
    pub results_offset: Offset,
    /// When a new log was adopted: positions from before are of another log.
    pub log_adopted_at: Option<Timestamp>,
}

/// What became of the payload of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadState {
    /// It is there.
    Kept,
    /// Its day was dropped by retention.
    Retired,
    /// It is gone though its day is kept.
    Gone,
}

/// A row of the change log, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedEvent {
    /// The row. Its payload is empty unless kept; its entries are all that carry its log id.
    pub record: ChangeLogRecord,
    /// What became of the payload.
    pub payload: PayloadState,
    /// The shard that its account lives on; `None` when nobody opened the account.
    pub home: Option<ShardId>,
    /// Of a row that is INIT and whose record was seen: whether it may rightly be INIT although the
    /// stored offset passed the record, since the event was redriven or the record is a dead
    /// letter. Of a row that is PARKED: whether it is listed for an operator.
    pub is_explained: bool,
}

/// A row that holds what can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRow {
    /// Which, for a person.
    pub row: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Where a page of events ended, as stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventCursor {
    /// The account.
    pub account_id: i64,
    /// The key.
    pub idempotency_key: String,
}

/// A page of a shard's events in the order of account and key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<AuditedEvent>,
    /// Rows that are no events.
    pub unreadable: Vec<UnreadableRow>,
    /// Entries that carry the log ids of the page's rows, unreadable ones included.
    pub entries: u64,
    /// Where to go on; `None` at the end of the shard.
    pub next: Option<EventCursor>,
}

/// A balance as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditedBalance {
    /// Which.
    pub key: BalanceKey,
    /// What stands.
    pub stored: VersionedBalance,
    /// The shard that its account lives on; `None` when nobody opened the account.
    pub home: Option<ShardId>,
}

/// Where a page of balances ended, as stored: account and currency.
pub type BalanceCursor = (i64, String);

/// A page of a shard's balances in the order of account and currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BalancePage {
    /// The balances.
    pub balances: Vec<AuditedBalance>,
    /// Rows that are no balances.
    pub unreadable: Vec<UnreadableRow>,
    /// Where to go on; `None` at the end of the range.
    pub next: Option<BalanceCursor>,
}

/// An entry that does not fit where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenEntry {
    /// The event it belongs to.
    pub log_id: LogId,
    /// Which change of the event.
    pub change_index: i16,
    /// What does not fit.
    pub problem: String,
}

/// A page of a shard's entries in the order of log id and change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryPage {
    /// How many.
    pub count: u64,
    /// Those whose event is known to be gone.
    pub orphans: Vec<BrokenEntry>,
    /// Where to go on: the last log id and change; `None` at the end of the shard.
    pub next: Option<(LogId, i16)>,
}

/// A page of payloads in the order of log ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PayloadPage {
    /// How many.
    pub count: u64,
    /// Those without a state of the same key and log id.
    pub stateless: Vec<LogId>,
    /// Where to go on; `None` at the end.
    pub next: Option<LogId>,
}

/// An open dead letter whose event still waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingDeadLetter {
    /// The event.
    pub log_id: LogId,
    /// Its account.
    pub account_id: AccountId,
    /// The dead letter's number, record and reason, in words.
    pub words: String,
}

/// A page of dead letters in the order of their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterPage {
    /// How many were looked at.
    pub count: u64,
    /// Those that are open and whose event is INIT.
    pub waiting: Vec<WaitingDeadLetter>,
    /// Where to go on; `None` at the end.
    pub next: Option<i64>,
}

/// Opens a view of the whole database as of one moment.
///
/// # Errors
/// [`StoreError`]; begin again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait LedgerAudit: Interface {
    /// A new snapshot. While it lives the server keeps row versions that it would clean up
    /// otherwise; it holds no lock between two pages.
    async fn open(&self) -> Result<Box<dyn AuditSnapshot>, StoreError>;
}

/// One moment of the database, a page at a time. Each page takes bounded memory and time, whatever
/// the size of the ledger.
///
/// # Errors
/// [`StoreError`]: the snapshot is lost; open a new one and begin again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait AuditSnapshot: Send + Sync {
    /// The layout and the partitions.
    async fn ground(&mut self) -> Result<AuditGround, StoreError>;

    /// At most `limit` events of a shard after the cursor.
    async fn events(
        &mut self,
        shard: ShardId,
        after: Option<EventCursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError>;

    /// At most `limit` balances of a shard whose accounts lie in the range, after the cursor.
    async fn balances(
        &mut self,
        shard: ShardId,
        accounts: RangeInclusive<i64>,
        after: Option<BalanceCursor>,
        limit: u32,
    ) -> Result<BalancePage, StoreError>;

    /// The entries of these accounts' events, followed balance by balance from version to version:
    /// each must make the next version, the balance after it must be the running sum, and its place
    /// on the topic must be that of its event and lie after that of the entry before it, and below
    /// the stored offset. Places on a log that was replaced since are not compared. Gives at most
    /// `named_max` that don't fit. `pages` says how many pages of events the accounts had: an
    /// account with many takes longer.
    async fn lines(
        &mut self,
        shard: ShardId,
        accounts: RangeInclusive<i64>,
        named_max: u32,
        pages: u32,
    ) -> Result<Vec<BrokenEntry>, StoreError>;

    /// At most `limit` entries of a shard after the cursor.
    async fn entries(
        &mut self,
        shard: ShardId,
        after: Option<(LogId, i16)>,
        limit: u32,
    ) -> Result<EntryPage, StoreError>;

    /// At most `limit` payloads after the cursor.
    async fn payloads(
        &mut self,
        after: Option<LogId>,
        limit: u32,
    ) -> Result<PayloadPage, StoreError>;

    /// At most `limit` dead letters after the cursor.
    async fn dead_letters(
        &mut self,
        after: Option<i64>,
        limit: u32,
    ) -> Result<DeadLetterPage, StoreError>;
}
