//! Results as bytes: the record on the result topic.

use super::change_log::RecordedReason;
use axs_domain::decision::LedgerEntry;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::id::{LogId, Offset, PartitionId, ShardId};
use axs_domain::time::Timestamp;
use bytes::Bytes;
use shaku::Interface;

/// An event with its result, which never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedEvent {
    /// The id of its log row.
    pub log_id: LogId,
    /// The shard of its account.
    pub shard_id: ShardId,
    /// What the client asked for.
    pub event: BalanceChangeEvent,
    /// The partition of the record that was decided, and of the result.
    pub partition: PartitionId,
    /// The offset of the record that was decided.
    pub offset: Offset,
    /// How it ended.
    pub outcome: FinishedOutcome,
    /// PostgreSQL's time of writing the log row.
    pub logged_at: Timestamp,
    /// PostgreSQL's time of the decision.
    pub decided_at: Timestamp,
}

/// How an event ended. Parking is no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishedOutcome {
    /// Every change took effect: one entry for each, in order.
    Applied(Vec<LedgerEntry>),
    /// No change took effect: decided so, or discarded by an operator.
    Rejected(RecordedReason),
}

/// Turns results into the records of the result topic.
///
/// # Contract
/// - The same result gives the same bytes.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
pub trait ResultCodec: Interface {
    /// The record of a result.
    fn encode(&self, finished: &FinishedEvent) -> Bytes;
}
