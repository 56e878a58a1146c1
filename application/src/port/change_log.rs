//! The change log: the durable record of every request, and the outbox.

use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::decision::LedgerEntry;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{AccountId, LayoutEpoch, LogId, Offset, PartitionId, ShardId};
use axs_domain::incarnation::Incarnation;
use axs_domain::log_status::LogStatus;
use axs_domain::text::IdempotencyKey;
use axs_domain::time::Timestamp;
use bytes::Bytes;
use shaku::Interface;

/// Names one row of the change log by its idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChangeLogKey {
    /// The shard of the account.
    pub shard_id: ShardId,
    /// The account.
    pub account_id: AccountId,
    /// The key, unique for the account.
    pub idempotency_key: IdempotencyKey,
}

/// A row to be written, status INIT.
#[derive(Debug, Clone)]
pub struct NewChangeLog {
    /// Its id.
    pub log_id: LogId,
    /// Its key.
    pub key: ChangeLogKey,
    /// The fingerprint of the event's content.
    pub fingerprint: Fingerprint,
    /// The event, encoded as it is kept: the row's immutable part.
    pub payload: Bytes,
}

/// What the shards and partitions of rows were looked up in. Rows are logged only while both stand:
/// by another map an event would be published to a partition that does not carry its shard, and in
/// another history its account may live on another shard, so that its key would be new there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placing {
    /// The generation of the layout.
    pub layout_epoch: LayoutEpoch,
    /// The history of the database.
    pub incarnation: Incarnation,
}

/// What became of a row that was to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendOutcome {
    /// The row is committed.
    Logged {
        /// When it was written, by PostgreSQL's clock; later, where that clock was set back (see
        /// [`ChangeLog`]).
        logged_at: Timestamp,
    },
    /// The account has a row with this key. Whether it is the same request is told by the
    /// fingerprint.
    Known(Box<ChangeLogRecord>),
    /// The account has a row with this key, which could not be read now: the outcome is unknown,
    /// and the same key sent again settles it.
    Unreadable(String),
}

/// The reason that a row was rejected or parked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedReason {
    /// The stable number; see `RejectionCode` and [`PARKED_REASON_CODE`].
    pub code: i16,
    /// The reason for a person, with the figures.
    pub message: String,
}

/// The reason code of a parked row.
pub const PARKED_REASON_CODE: i16 = 100;

/// The longest reason that is stored, in bytes.
pub const REASON_LENGTH_MAX: usize = 500;

/// A row of the change log, payload and state together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeLogRecord {
    /// Its id.
    pub log_id: LogId,
    /// Its key.
    pub key: ChangeLogKey,
    /// The fingerprint of the event's content.
    pub fingerprint: Fingerprint,
    /// The encoded event.
    pub payload: Bytes,
    /// Where it stands.
    pub status: LogStatus,
    /// Why, when rejected or parked.
    pub reason: Option<RecordedReason>,
    /// When it was written, by PostgreSQL's clock; later, where that clock was set back (see
    /// [`ChangeLog`]).
    pub logged_at: Timestamp,
    /// PostgreSQL's time of the decision.
    pub decided_at: Option<Timestamp>,
    /// Where the event was seen on the topic: a hint while INIT, the fact when final.
    pub position: Option<(PartitionId, Offset)>,
    /// What the event left when applied, in the order of its changes; empty otherwise.
    pub entries: Vec<LedgerEntry>,
}

/// Where a published event landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPosition {
    /// The row.
    pub key: ChangeLogKey,
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset.
    pub offset: Offset,
}

/// Why rows were not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The outcome is unknown when the store is unavailable; the same keys sent again settle it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing was written: the layout is being changed. Try again after a pause.
    #[error("nothing is logged while the layout is changed")]
    LayoutPaused,
    /// Nothing was written: the layout has another epoch. Map the rows by it and try again.
    #[error("the layout is at epoch {current} now")]
    LayoutMoved {
        /// The epoch that stands.
        current: LayoutEpoch,
    },
    /// Nothing was written: the database has another history. Look the accounts up again.
    #[error("the database has another history (incarnation {current})")]
    HistoryMoved {
        /// The one that it has.
        current: Incarnation,
    },
}

/// Keeps change log rows.
///
/// # Contract
/// - `append` is one commit: after `Ok` every `Logged` row survives a crash. Outcomes stand in
///   the order of the arguments. Of rows with one key inside a call, one is `Logged` and the
///   others are `Known`.
/// - One row that can't be read never hides what became of the others.
/// - A row's payload never changes.
/// - `append` writes only by the placing that stands: rows that were placed by another layout or in
///   another history, and all rows while a change of the layout pauses writing, are refused whole.
/// - A row that is logged after an earlier `append` was answered has a later `logged_at` than that
///   answer, even if the store's clock was set back in between, by five minutes at most. Rows of
///   other processes are not compared.
///
/// # Errors
/// [`AppendError`], and [`StoreError`] of the others.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait ChangeLog: Interface {
    /// Writes rows in one transaction. `placed_by` is the placing by which the caller will publish
    /// them.
    async fn append(
        &self,
        rows: Vec<NewChangeLog>,
        placed_by: Placing,
    ) -> Result<Vec<AppendOutcome>, AppendError>;

    /// The row with this id.
    async fn find_by_log_id(&self, log_id: LogId) -> Result<Option<ChangeLogRecord>, StoreError>;

    /// The row with this key.
    async fn find_by_key(&self, key: ChangeLogKey) -> Result<Option<ChangeLogRecord>, StoreError>;

    /// Notes where events landed, on rows that are still INIT; a hint, so nothing depends on it.
    /// Positions that their partition's stored offset has passed may be left out. Gives the number
    /// of rows noted.
    async fn note_positions(&self, positions: Vec<PublishedPosition>) -> Result<u64, StoreError>;
}
