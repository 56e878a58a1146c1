//! From bytes to verdicts: decoding and validating records. Pure.

use super::item::{AdmittedEvent, EventIdentity, Item, Verdict};
use super::reason::storable;
use super::stop::StopReason;
use crate::port::batch_writer::DeadLetterReason;
use crate::port::change_log::ChangeLogKey;
use crate::port::event_codec::{Envelope, EnvelopeError, EventCodec};
use crate::port::record_source::InboundRecord;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::PartitionId;
use axs_domain::layout::Layout;

/// Finds what a record is.
///
/// # Errors
/// [`StopReason::NewerVersion`]: an upgrade in the wrong order is no poison.
pub(super) fn admit(
    record: InboundRecord,
    partition: PartitionId,
    layout: &Layout,
    codec: &dyn EventCodec,
) -> Result<Item, StopReason> {
    let verdict = match codec.decode_envelope(record.payload.clone()) {
        Ok(envelope) => verdict_of(envelope, partition, layout),
        Err(EnvelopeError::NewerVersion { found, known }) => {
            return Err(StopReason::NewerVersion {
                offset: record.offset,
                found,
                known,
            });
        }
        Err(EnvelopeError::Undecodable { reason, log_id }) => Verdict::Dead {
            reason: DeadLetterReason::Undecodable,
            log_id,
            message: storable(&reason),
        },
    };
    Ok(Item { record, verdict })
}

fn verdict_of(envelope: Envelope, partition: PartitionId, layout: &Layout) -> Verdict {
    let Envelope { header, event } = envelope;
    // The map is asked first, not the epoch: an event published under an older layout is right
    // where its shard still lives.
    let home = layout.partition_of(header.shard_id);
    // Logged and placed before a raise, and so final or parked before it: everything was. A copy of
    // it that comes late to the partition of then is a redelivery. A parked event that is redriven
    // travels under the epoch of its day.
    if home.is_some() && home != Some(partition) && header.layout_epoch < layout.epoch() {
        return Verdict::Redelivered;
    }
    if home != Some(partition) {
        let message = match home {
            Some(home) => format!(
                "shard {} lives on partition {home}, not on {partition}",
                header.shard_id
            ),
            None => format!("shard {} is not laid out", header.shard_id),
        };
        return Verdict::Dead {
            reason: DeadLetterReason::WrongPartition,
            log_id: Some(header.log_id),
            message,
        };
    }
    Verdict::Event(Box::new(AdmittedEvent {
        identity: EventIdentity {
            log_id: header.log_id,
            key: ChangeLogKey {
                shard_id: header.shard_id,
                account_id: event.account_id(),
                idempotency_key: event.idempotency_key().clone(),
            },
            fingerprint: Fingerprint::of(&event),
            logged_at: header.logged_at,
        },
        event,
    }))
}

/// Where a run of poison has become too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PoisonCut {
    /// How many of the items may go on.
    pub(super) keep: usize,
    /// How many records in a row came to nothing, the last kept item included.
    pub(super) run: usize,
    /// Whether the items were cut.
    pub(super) too_many: bool,
}

/// Counts the run of poison on through `items`, and cuts them before the record that makes it
/// longer than `in_a_row_max`.
pub(super) fn cut_at_poison(items: &[Item], run_before: usize, in_a_row_max: usize) -> PoisonCut {
    let mut run = run_before;
    for (keep, item) in items.iter().enumerate() {
        if !item.is_poison() {
            run = 0;
        } else if run < in_a_row_max {
            run += 1;
        } else {
            return PoisonCut {
                keep,
                run,
                too_many: true,
            };
        }
    }
    PoisonCut {
        keep: items.len(),
        run,
        too_many: false,
    }
}
