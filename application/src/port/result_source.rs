//! Results as the store keeps them, to be published again.

use super::change_log::ChangeLogKey;
use super::result_codec::{FinishedEvent, FinishedOutcome};
use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::id::{LogId, Offset, PartitionId};
use axs_domain::time::Timestamp;
use shaku::Interface;

/// The result that a log row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResult {
    /// The row's id.
    pub log_id: LogId,
    /// The row's key.
    pub key: ChangeLogKey,
    /// The partition of the record that was decided.
    pub partition: PartitionId,
    /// The offset of the record that was decided: copies of it stand at others.
    pub offset: Offset,
    /// How the event ended.
    pub outcome: FinishedOutcome,
    /// PostgreSQL's time of writing the row.
    pub logged_at: Timestamp,
    /// PostgreSQL's time of the decision.
    pub decided_at: Timestamp,
}

impl StoredResult {
    /// The result together with the row's event, which the caller has read.
    #[must_use]
    pub fn of(self, event: BalanceChangeEvent) -> FinishedEvent {
        FinishedEvent {
            log_id: self.log_id,
            shard_id: self.key.shard_id,
            event,
            partition: self.partition,
            offset: self.offset,
            outcome: self.outcome,
            logged_at: self.logged_at,
            decided_at: self.decided_at,
        }
    }
}

/// Finds the results of rows.
///
/// # Contract
/// - Answers stand in the order asked. A row that is not final (INIT or PARKED), and a key without
///   a row, give `None`.
/// - A bounded number of round trips, whatever the number of keys.
///
/// # Errors
/// [`StoreError`]; ask again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait ResultSource: Interface {
    /// The results of the rows with these keys.
    async fn find(&self, keys: Vec<ChangeLogKey>) -> Result<Vec<Option<StoredResult>>, StoreError>;
}
