//! Writing a decided batch: the heart of the promise.

use super::change_log::{ChangeLogKey, RecordedReason};
use async_trait::async_trait;
use axs_domain::balance::BalanceKey;
use axs_domain::decision::{BalanceWrite, LedgerEntry};
use axs_domain::fencing::Claim;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{BalanceVersion, LogId, Offset, PartitionId, ShardId};
use axs_domain::record_digest::RecordDigest;
use axs_domain::time::Timestamp;
use bytes::Bytes;
use shaku::Interface;
use std::sync::Arc;

/// How an event of a batch ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinalResult {
    /// Every change took effect.
    Applied(Vec<LedgerEntry>),
    /// No change took effect.
    Rejected(RecordedReason),
    /// It could not be decided.
    Parked(RecordedReason),
}

/// An event of a batch, and what is known of its log row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalisedEvent {
    /// The row's id.
    pub log_id: LogId,
    /// The row's key.
    pub key: ChangeLogKey,
    /// The fingerprint of the content that was decided; the row's must be the same.
    pub fingerprint: Fingerprint,
    /// The time the rules saw; the row's must be the same.
    pub logged_at: Timestamp,
    /// Its offset.
    pub offset: Offset,
    /// How it ends.
    pub result: FinalResult,
}

/// A record of the topic that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its offset.
    pub offset: Offset,
    /// The log id it carried, where one could be read.
    pub log_id: Option<LogId>,
    /// Why it has no effect.
    pub reason: DeadLetterReason,
    /// The reason for a person.
    pub message: String,
    /// The record's key.
    pub record_key: Bytes,
    /// The record's bytes as they were.
    pub payload: Bytes,
}

/// Why a record has no effect. Numbers and words are stable; they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadLetterReason {
    /// The bytes are no envelope.
    Undecodable,
    /// The event's shard does not live on this partition.
    WrongPartition,
    /// No log row has this account, key and log id.
    NoLogRow,
    /// The log row holds other content.
    DiffersFromLog,
}

impl DeadLetterReason {
    /// The word that is stored.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Undecodable => "UNDECODABLE",
            Self::WrongPartition => "WRONG_PARTITION",
            Self::NoLogRow => "NO_LOG_ROW",
            Self::DiffersFromLog => "DIFFERS_FROM_LOG",
        }
    }
}

/// A balance that the batch moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardedWrite {
    /// Where the account lives.
    pub shard_id: ShardId,
    /// Which balance.
    pub key: BalanceKey,
    /// The version it was decided on, and the balance after.
    pub write: BalanceWrite,
}

/// A balance that a rejection, or a fallback taken, rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardedRead {
    /// Where the account lives.
    pub shard_id: ShardId,
    /// Which balance.
    pub key: BalanceKey,
    /// The version it was decided on; 0 when there must be no row.
    pub version: BalanceVersion,
}

/// A batch as it is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedBatch {
    /// The partition.
    pub partition: PartitionId,
    /// The leader's claim.
    pub claim: Claim,
    /// The stored offset before the batch: another one in the store is somebody else's write.
    pub offset_before: Offset,
    /// The stored offset after the batch: the next one to read.
    pub offset_after: Offset,
    /// The last record below `offset_after`, by which the log is known again.
    pub last_record: RecordDigest,
    /// The events, in offset order. Two copies of one event never stand here.
    pub events: Vec<FinalisedEvent>,
    /// Balances that move, one row each.
    pub writes: Vec<GuardedWrite>,
    /// Balances that must not have moved.
    pub reads: Vec<GuardedRead>,
    /// Records without effect.
    pub dead_letters: Vec<DeadLetter>,
}

/// The commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteReceipt {
    /// PostgreSQL's time of the decision, as stored with every row of the batch.
    pub decided_at: Timestamp,
}

/// What is wrong with the log row of one event of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CulpritKind {
    /// The row is final or parked: a redelivery. Skip the record.
    NotInit,
    /// There is no such row. A dead letter.
    NoLogRow,
    /// The row holds other content. A dead letter.
    DiffersFromLog,
}

/// An event that must leave the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Culprit {
    /// The offset of its record.
    pub offset: Offset,
    /// What is wrong.
    pub kind: CulpritKind,
}

/// Why a batch was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The claim no longer stands: another leader holds the partition, or the database has another
    /// history. Stop; do not retry.
    #[error(
        "fenced: the claim no longer stands (another leader, or another history of the database)"
    )]
    Fenced,
    /// Some events are not what their log rows are. Nothing was written. Take them out and decide
    /// again. Never empty.
    #[error("{} events of the batch don't match their log rows", .0.len())]
    Culprits(Vec<Culprit>),
    /// A balance, or the stored offset, is not what the batch was decided on: somebody else wrote.
    /// Nothing was written. Drop the memory and read again; if it repeats, stop.
    #[error("somebody else wrote: {0}")]
    Moved(String),
    /// The database refuses the data (SQLSTATE classes 22 and 23). Nothing was written. Bisect.
    #[error("the database refuses the data ({sqlstate}): {message}")]
    RefusedData {
        /// Its code.
        sqlstate: String,
        /// Its words.
        message: String,
    },
    /// Nothing was written, and the same batch may be written again after a pause.
    #[error("not written, try again: {0}")]
    Retryable(String),
    /// The connection was lost at COMMIT. Settle it by [`BatchWriter::settle`] before anything
    /// else.
    #[error("it is unknown whether the batch was committed: {0}")]
    OutcomeUnknown(String),
}

/// Writes one decided batch, and the offset it reaches, as one fact.
///
/// # Contract
/// - Whole or absent: balances, change logs, ledger entries, dead letters and the offset commit
///   together.
/// - A writer whose claim is not the newest is refused, even if nobody holds the lease now. The
///   store is the last judge: clocks and leases may lie.
/// - Each event's row must be INIT with the same id, key, fingerprint and time; each balance must
///   stand at the version it was decided on; the stored offset at `offset_before`.
///
/// # Errors
/// See [`WriteError`]: each variant says what to do next.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait BatchWriter: Interface {
    /// Writes the batch in one transaction.
    async fn write(&self, batch: Arc<DecidedBatch>) -> Result<WriteReceipt, WriteError>;

    /// Reads the stored offset under the leader row's lock, once the claim's earlier transaction
    /// is known to be over: at `offset_after` the batch was committed, at `offset_before` it was
    /// not.
    ///
    /// Gives [`WriteError::Fenced`] or [`WriteError::Retryable`] otherwise.
    async fn settle(&self, partition: PartitionId, claim: Claim) -> Result<Offset, WriteError>;
}
