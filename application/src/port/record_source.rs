//! Where the leaders' records come from: the batch consumer.

use async_trait::async_trait;
use axs_domain::id::{Offset, PartitionId};
use bytes::Bytes;
use shaku::Interface;
use tokio::sync::mpsc;

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundRecord {
    /// Its offset.
    pub offset: Offset,
    /// Its key; empty when it has none.
    pub key: Bytes,
    /// Its bytes; empty when it has none.
    pub payload: Bytes,
}

/// What the source says of a partition.
#[derive(Debug)]
pub enum SourceEvent {
    /// Records in the order of their offsets. Never empty.
    Records(Vec<InboundRecord>),
    /// The partition can't be read on, e.g. its log ends before the offset asked for. Stop leading
    /// it; skip nothing.
    Broken(String),
}

/// The partition can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("partition {partition} can't be read: {reason}")]
pub struct SourceError {
    /// Which partition.
    pub partition: PartitionId,
    /// Why.
    pub reason: String,
}

/// Reads assigned partitions, each in order, into a bounded channel of its own.
///
/// # Contract
/// - Reading begins exactly at the offset given, and no offset that holds a record is left out.
/// - A full channel pauses its own partition and no other.
/// - After `unassign` the channel ends.
///
/// # Errors
/// [`SourceError`].
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait RecordSource: Interface {
    /// Begins to read a partition at an offset.
    async fn assign(
        &self,
        partition: PartitionId,
        from: Offset,
    ) -> Result<mpsc::Receiver<SourceEvent>, SourceError>;

    /// Stops reading a partition. Nothing happens when it is not assigned.
    async fn unassign(&self, partition: PartitionId) -> Result<(), SourceError>;
}
