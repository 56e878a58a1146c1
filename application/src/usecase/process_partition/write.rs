//! One batch to its end: written, or known not to be.

use super::lease_watch::LeaseWatch;
use super::meter;
use super::stop::StopReason;
use crate::port::batch_writer::{BatchWriter, Culprit, DecidedBatch, WriteError};
use crate::port::clock::Clock;
use crate::usecase::backoff::Backoff;
use axs_domain::time::Timestamp;
use std::sync::Arc;

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WriteEnd {
    /// Committed exactly as decided. The time is unknown when the commit was found out later.
    Committed { decided_at: Option<Timestamp> },
    /// Not written: these are not what their log rows are.
    Culprits(Vec<Culprit>),
    /// Not written: somebody else wrote.
    Moved(String),
    /// Not written: the database refuses the data.
    RefusedData(String),
    /// Not written, or unknown and no more ours to find out. The worker ends.
    Stopped(StopReason),
}

/// What writing needs.
#[derive(Clone)]
pub(super) struct WriteTools {
    pub(super) writer: Arc<dyn BatchWriter>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lease: Arc<LeaseWatch>,
    pub(super) retries_max: u32,
}

/// Writes the batch until its outcome is known. Nothing is begun once the lease is not sure.
///
/// Runs as a task of its own: a worker that is stopped must not tear a transaction apart.
pub(super) async fn write_to_the_end(tools: WriteTools, batch: Arc<DecidedBatch>) -> WriteEnd {
    let mut backoff = Backoff::new();
    // Whether the last try may have been committed, so that a look must come before the next.
    let mut in_doubt = false;
    loop {
        if !tools.lease.is_sure_at(tools.clock.monotonic()) {
            return WriteEnd::Stopped(StopReason::LeaseUnsure);
        }
        let failure = if in_doubt {
            match tools.writer.settle(batch.partition, batch.claim).await {
                Ok(stored) if stored == batch.offset_after => {
                    return WriteEnd::Committed { decided_at: None };
                }
                Ok(stored) if stored == batch.offset_before => {
                    in_doubt = false;
                    continue;
                }
                Ok(stored) => {
                    // Under our own claim, by nobody else: guess nothing.
                    return WriteEnd::Stopped(StopReason::Moved(format!(
                        "the stored offset is {stored}, expected {} or {}",
                        batch.offset_before, batch.offset_after
                    )));
                }
                Err(failure) => failure,
            }
        } else {
            match tools.writer.write(Arc::clone(&batch)).await {
                Ok(receipt) => {
                    return WriteEnd::Committed {
                        decided_at: Some(receipt.decided_at),
                    };
                }
                Err(failure) => failure,
            }
        };
        meter::write_failed(&failure);
        let words = failure.to_string();
        match failure {
            WriteError::Fenced => return WriteEnd::Stopped(StopReason::Fenced),
            WriteError::Culprits(culprits) if !in_doubt => return WriteEnd::Culprits(culprits),
            WriteError::Moved(what) if !in_doubt => return WriteEnd::Moved(what),
            WriteError::RefusedData { sqlstate, message } if !in_doubt => {
                return WriteEnd::RefusedData(format!("{sqlstate}: {message}"));
            }
            // While in doubt only the settling can clear it, whatever else it answers.
            WriteError::OutcomeUnknown(_) => in_doubt = true,
            WriteError::Retryable(_)
            | WriteError::Culprits(_)
            | WriteError::Moved(_)
            | WriteError::RefusedData { .. } => {}
        }
        if backoff.tries() >= tools.retries_max {
            return WriteEnd::Stopped(StopReason::Store(format!(
                "gave up after {} tries, {}: {words}",
                backoff.tries() + 1,
                if in_doubt {
                    "not knowing whether the batch was committed"
                } else {
                    "nothing of the batch being written"
                }
            )));
        }
        tracing::warn!(partition = %batch.partition, failure = words, "the batch is tried again");
        backoff.pause().await;
    }
}
