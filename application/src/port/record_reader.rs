//! Reading a stretch of the events topic again.

use super::event_topic::BrokerError;
use super::record_source::InboundRecord;
use async_trait::async_trait;
use axs_domain::id::{Offset, PartitionId};
use shaku::Interface;

/// Reads records of the events topic again, apart from the leaders' own reading: what a leader
/// published to, or took from, the topic before.
///
/// # Contract
/// - Gives records whose offsets lie in `from..until`, in their order, at most `records_max`. An
///   answer may be shorter than that: bytes and time are bounded too. Go on behind its last record.
/// - No record is left out between `from` and the last one given. Offsets without a record are
///   legal; an answer without records means that none of these offsets holds one now: they were
///   dropped by retention, never written, or not written yet.
/// - Joins no group and moves nobody's position.
///
/// # Errors
/// [`BrokerError`]: nothing is known; ask again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait RecordReader: Interface {
    /// Reads records of a partition.
    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        until: Offset,
        records_max: usize,
    ) -> Result<Vec<InboundRecord>, BrokerError>;
}
