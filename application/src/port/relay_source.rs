//! What the relay scans: rows that may never have reached the topic.

use super::change_log::ChangeLogRecord;
use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::id::{LogId, ShardId};
use axs_domain::time::Timestamp;
use shaku::Interface;
use std::time::Duration;

/// How far a scan has come: the row it ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelayCursor {
    /// PostgreSQL's time of writing.
    pub logged_at: Timestamp,
    /// The tie-breaker.
    pub log_id: LogId,
}

/// What one scan asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayScan {
    /// Rows of these shards only.
    pub shards: Vec<ShardId>,
    /// Rows after this one; `None` from the oldest.
    pub after: Option<RelayCursor>,
    /// Rows at least this old by PostgreSQL's clock, longer than any log transaction.
    pub grace: Duration,
    /// At most this many rows.
    pub limit: u32,
}

/// What one scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayPage {
    /// Rows still INIT, oldest first.
    pub rows: Vec<ChangeLogRecord>,
    /// PostgreSQL's clock at the scan, less the grace. With fewer rows than the limit, no other
    /// row of these shards after the cursor and up to this time was INIT: the next scan may begin
    /// here even when nothing was found.
    pub scanned_to: Timestamp,
}

/// Finds rows still INIT past a grace time.
///
/// # Contract
/// - Rows come in the order (`logged_at`, `log_id`), which is the order in which they are
///   published again.
///
/// # Errors
/// [`StoreError`]; scan again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait RelaySource: Interface {
    /// One page of rows still INIT.
    async fn still_init(&self, scan: RelayScan) -> Result<RelayPage, StoreError>;

    /// Those among `rows` that are still INIT now, in the same order.
    async fn keep_init(
        &self,
        rows: Vec<ChangeLogRecord>,
    ) -> Result<Vec<ChangeLogRecord>, StoreError>;
}
