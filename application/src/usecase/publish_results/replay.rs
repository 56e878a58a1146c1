//! Results read again: records from the events topic, what became of them from the log rows.

use super::task::{ResultPorts, Trouble};
use crate::port::balance_cache::CommittedBalance;
use crate::port::change_log::ChangeLogKey;
use crate::port::event_codec::{Envelope, EnvelopeError};
use crate::port::record_source::InboundRecord;
use crate::port::result_codec::{FinishedEvent, FinishedOutcome};
use axs_domain::balance::BalanceKey;
use axs_domain::decision::LedgerEntry;
use axs_domain::id::{Offset, PartitionId};
use axs_domain::incarnation::Incarnation;
use metrics::counter;

/// Records of one page.
pub(super) const PAGE_RECORDS_MAX: usize = 2_000;

/// A page of results.
#[derive(Debug)]
pub(super) struct Page {
    /// Behind its last record.
    pub(super) to: Offset,
    pub(super) results: Vec<FinishedEvent>,
}

/// Reads the next page of `from..until`, all of which is committed.
pub(super) async fn read_page(
    ports: &ResultPorts,
    partition: PartitionId,
    from: Offset,
    until: Offset,
) -> Result<Page, Trouble> {
    let records = ports
        .reader
        .read(partition, from, until, PAGE_RECORDS_MAX)
        .await
        .map_err(|error| Trouble::new("read", error))?;
    let first = records.first().map_or(until, |record| record.offset);
    if first > from {
        let log = ports.topic.bounds(partition).await;
        let log = log.map_err(|error| Trouble::new("read", error))?;
        // What is committed stood on the topic: a log that ends before it has lost its tail, or
        // does not tell of it yet.
        if records.is_empty() && log.end < until {
            let end = log.end;
            let what = format!("the events topic ends at {end}, before offset {until}");
            return Err(Trouble::new("read", what));
        }
        note_lost(partition, from, log.start.min(first));
    }
    page_of(ports, partition, records, until).await
}

/// Offsets without a record are legal; those before the begin of the log were dropped.
fn note_lost(partition: PartitionId, from: Offset, begin: Offset) {
    if let Ok(lost @ 1..) = u64::try_from(begin.value() - from.value()) {
        counter!("axs_results_lost_total").increment(lost);
        tracing::error!(
            %partition, %from, %begin, lost,
            "records were dropped from the events topic before their results were sent; their \
             results stand in the log. Raise the topic's retention"
        );
    }
}

async fn page_of(
    ports: &ResultPorts,
    partition: PartitionId,
    records: Vec<InboundRecord>,
    until: Offset,
) -> Result<Page, Trouble> {
    let mut envelopes = Vec::with_capacity(records.len());
    let first = records.first().map(|record| record.offset);
    let mut to = records.last().map_or(until, |last| last.offset.next());
    for record in records {
        match ports.codec.decode_envelope(record.payload) {
            Ok(envelope) => envelopes.push((record.offset, envelope)),
            // A dead letter.
            Err(EnvelopeError::Undecodable { .. }) => {}
            // A newer release has decided it, and must send its result. What comes before is sent.
            Err(error @ EnvelopeError::NewerVersion { .. }) if first == Some(record.offset) => {
                return Err(Trouble::new("decode", error));
            }
            Err(EnvelopeError::NewerVersion { .. }) => {
                to = record.offset;
                break;
            }
        }
    }
    if envelopes.is_empty() {
        let results = Vec::new();
        return Ok(Page { to, results });
    }
    let keys = envelopes.iter().map(|(_, envelope)| key_of(envelope));
    let found = ports
        .source
        .find(keys.collect())
        .await
        .map_err(|error| Trouble::new("look_up", error))?;
    let results = envelopes.into_iter().zip(found).filter_map(
        |((offset, Envelope { header, event }), stored)| {
            let decided_here = |at: (PartitionId, Offset)| at == (partition, offset);
            stored
                .filter(|row| row.log_id == header.log_id)
                .filter(|row| decided_here((row.partition, row.offset)))
                .map(|row| row.of(event))
        },
    );
    let results = results.collect();
    Ok(Page { to, results })
}

fn key_of(envelope: &Envelope) -> ChangeLogKey {
    ChangeLogKey {
        shard_id: envelope.header.shard_id,
        account_id: envelope.event.account_id(),
        idempotency_key: envelope.event.idempotency_key().clone(),
    }
}

/// The balances that results left, the newest of each last.
pub(super) fn balances_after(
    results: &[FinishedEvent],
    incarnation: Incarnation,
) -> Vec<CommittedBalance> {
    let after = move |finished: &FinishedEvent| match &finished.outcome {
        FinishedOutcome::Applied(entries) => {
            let (shard_id, account_id) = (finished.shard_id, finished.event.account_id());
            let balance = move |entry: &LedgerEntry| CommittedBalance {
                incarnation,
                shard_id,
                key: BalanceKey {
                    account_id,
                    currency: entry.applied.currency,
                },
                stored: entry.after,
            };
            entries.iter().map(balance).collect()
        }
        FinishedOutcome::Rejected(_) => Vec::new(),
    };
    results.iter().flat_map(after).collect()
}
