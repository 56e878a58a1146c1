//! What a worker counts and times.

use super::draft::Draft;
use super::item::Verdict;
use super::stop::StopReason;
use crate::port::batch_writer::{DecidedBatch, FinalResult, WriteError};
use axs_domain::id::PartitionId;
use metrics::{counter, histogram};
use std::time::Duration;

/// A stage of a batch's life.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    /// From its first record until its write begins.
    Collect,
    /// Reading the balances that the memory lacks.
    Load,
    /// From bytes to decisions.
    Decide,
    /// From the first try until the outcome is known.
    Write,
}

impl Stage {
    const fn word(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Load => "load",
            Self::Decide => "decide",
            Self::Write => "write",
        }
    }
}

pub(super) fn stage(stage: Stage, took: Duration) {
    histogram!("axs_batch_seconds", "stage" => stage.word()).record(took.as_secs_f64());
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a batch has far fewer records than 2^53"
)]
pub(super) fn committed(draft: &Draft, batch: &DecidedBatch) {
    histogram!("axs_batch_events").record(draft.len() as f64);
    let (mut applied, mut rejected, mut parked) = (0, 0, 0);
    for event in &batch.events {
        match event.result {
            FinalResult::Applied(_) => applied += 1,
            FinalResult::Rejected(_) => rejected += 1,
            FinalResult::Parked(_) => parked += 1,
        }
    }
    for (outcome, events) in [
        ("applied", applied),
        ("rejected", rejected),
        ("parked", parked),
    ] {
        if events > 0 {
            counter!("axs_events_decided_total", "outcome" => outcome).increment(events);
        }
    }
    let mut redeliveries = draft.copies();
    for item in draft.items() {
        match &item.verdict {
            Verdict::Dead { reason, .. } => {
                counter!("axs_dead_letters_total", "reason" => reason.word()).increment(1);
            }
            Verdict::Redelivered => redeliveries += 1,
            Verdict::Event(_) | Verdict::Parked(..) => {}
        }
    }
    counter!("axs_redeliveries_total").increment(redeliveries);
}

pub(super) fn decided_again(records: usize) {
    counter!("axs_records_decided_again_total")
        .increment(u64::try_from(records).unwrap_or(u64::MAX));
}

pub(super) fn write_failed(failure: &WriteError) {
    let kind = match failure {
        WriteError::Fenced => "fenced",
        WriteError::Culprits(_) => "culprits",
        WriteError::Moved(_) => "moved",
        WriteError::RefusedData { .. } => "refused_data",
        WriteError::Retryable(_) => "retryable",
        WriteError::OutcomeUnknown(_) => "outcome_unknown",
    };
    counter!("axs_batch_write_failures_total", "kind" => kind).increment(1);
}

pub(super) fn stopped(partition: PartitionId, reason: &StopReason) {
    counter!("axs_partition_stops_total", "reason" => reason.word()).increment(1);
    if reason.is_ordinary() {
        tracing::info!(%partition, %reason, "worker ended");
    } else {
        tracing::error!(%partition, %reason, "worker stopped");
    }
}
