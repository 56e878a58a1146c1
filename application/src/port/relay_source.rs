//! What the relay scans: rows that may never have reached the topic.

use super::change_log::ChangeLogRecord;
use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::fencing::Claim;
use axs_domain::id::{LayoutEpoch, LogId, PartitionId, ShardId};
use axs_domain::incarnation::Incarnation;
use axs_domain::time::Timestamp;
use shaku::Interface;
use std::time::Duration;

/// For which partition, under which layout, a scan begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayScope {
    /// The partition.
    pub partition: PartitionId,
    /// The layout's generation: a mark of another one says nothing of these shards.
    pub layout_epoch: LayoutEpoch,
    /// How old a row must be, by PostgreSQL's clock; longer than any statement may take.
    pub grace: Duration,
    /// The history of the database in which the leader's claim was given.
    pub incarnation: Incarnation,
}

/// What a scan begins with, all read before its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayHorizon {
    /// The stored mark: no row written at or before it is INIT or can still come, unless
    /// PostgreSQL's clock was set back since it was stored. `None` when there is none for this
    /// layout.
    pub low_water: Option<Timestamp>,
    /// Raised whenever the mark was lowered from outside: a parked event became INIT again.
    pub generation: i64,
    /// PostgreSQL's clock, less the grace: no younger row is relayed.
    pub until: Timestamp,
    /// Every row written at or before this time that can ever be seen is seen by a scan that begins
    /// now; never later than `until`. `None` when it is not known, since the start of an open
    /// transaction is hidden.
    pub settled_to: Option<Timestamp>,
}

/// A row's place in the order of the log: by time, and among rows of one moment by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPlace {
    /// PostgreSQL's time of writing.
    pub logged_at: Timestamp,
    /// The row's id.
    pub log_id: LogId,
}

impl LogPlace {
    /// The place of this row.
    #[must_use]
    pub const fn of(row: &ChangeLogRecord) -> Self {
        Self {
            logged_at: row.logged_at,
            log_id: row.log_id,
        }
    }

    /// Behind every row written up to this time.
    #[must_use]
    pub const fn end_of(logged_at: Timestamp) -> Self {
        Self {
            logged_at,
            log_id: LogId::MAX,
        }
    }
}

/// What one scan asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayScan {
    /// Rows of these shards only.
    pub shards: Vec<ShardId>,
    /// Rows written after this time; `None` from the oldest.
    pub after: Option<Timestamp>,
    /// Of those, only rows behind this place: the page before ended there. `None` for the first
    /// page.
    pub behind: Option<LogPlace>,
    /// Rows written up to this time.
    pub until: Timestamp,
    /// At most this many rows.
    pub limit: u32,
    /// Whether the page before it was full. Then a shorter part of a long log is read, since what
    /// is read behind the page's end is read again by the next one.
    pub is_dense: bool,
    /// The history of the database in which the leader's claim was given.
    pub incarnation: Incarnation,
}

/// One page of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayPage {
    /// Rows still INIT, oldest first.
    pub rows: Vec<ChangeLogRecord>,
    /// A page that did not reach its limit shows all rows written up to this time: the scan's end,
    /// or a time before it, since a long log is read in parts. Always later than where the page
    /// began.
    pub read_to: Timestamp,
}

/// Where the mark is to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkMove {
    /// The partition.
    pub partition: PartitionId,
    /// The leader's claim.
    pub claim: Claim,
    /// The layout that the mark was found under.
    pub layout_epoch: LayoutEpoch,
    /// The generation of the horizon that it rests on.
    pub generation: i64,
    /// The mark; `None` forgets the stored one, so that a term that finds none scans everything.
    pub low_water: Option<Timestamp>,
}

/// Finds rows still INIT past a grace time.
///
/// # Contract
/// - `horizon` is read wholly before the scan that it begins. A row written at or before
///   [`RelayHorizon::settled_to`] that the scan does not show never comes, even when COMMITs hang.
/// - A row whose payload is gone comes with an empty one: it hides no neighbour.
/// - Rows come in the order (`logged_at`, `log_id`), in which they are published again. A page that
///   begins behind the last row of the one before, or behind what that one read to, leaves none
///   out.
/// - What is read in another history of the database than the claim's is an error: a primary that
///   was replaced may still answer, and a mark must not pass what it does not show.
/// - `move_mark` changes nothing when the claim no longer stands, was given in another history of
///   the database, or the generation is another one.
///
/// # Errors
/// [`StoreError`]; begin again with the horizon.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait RelaySource: Interface {
    /// The mark and the clock, before a scan.
    async fn horizon(&self, scope: RelayScope) -> Result<RelayHorizon, StoreError>;

    /// One page of rows still INIT.
    async fn still_init(&self, scan: RelayScan) -> Result<RelayPage, StoreError>;

    /// Those among `rows` that are still INIT now, in the same order.
    async fn keep_init(
        &self,
        rows: Vec<ChangeLogRecord>,
    ) -> Result<Vec<ChangeLogRecord>, StoreError>;

    /// Keeps the mark for later terms; `false` when it may not be moved.
    async fn move_mark(&self, to: MarkMove) -> Result<bool, StoreError>;
}
