//! The batch that is being written.

use super::draft::Draft;
use super::stop::StopReason;
use super::write::WriteEnd;
use crate::port::batch_writer::DecidedBatch;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A batch that is being written.
pub(super) struct InFlight {
    pub(super) draft: Draft,
    pub(super) batch: Arc<DecidedBatch>,
    pub(super) writing: JoinHandle<WriteEnd>,
    pub(super) began: Instant,
    pub(super) poison_run: usize,
}

/// The end of the write in flight. Cancel-safe.
pub(super) async fn write_end(in_flight: &mut Option<InFlight>) -> WriteEnd {
    match in_flight {
        Some(flight) => (&mut flight.writing).await.unwrap_or_else(|failure| {
            WriteEnd::Stopped(StopReason::Fault(format!("the write task died: {failure}")))
        }),
        None => std::future::pending().await,
    }
}
