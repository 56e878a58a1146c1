//! The relay: publishes again what never reached the topic.
//!
//! Runs inside the leader of a partition. INIT alone decides; a recorded position is a hint. Of
//! the rows still INIT past the grace time, the end of the topic, H, is read *after* they were
//! found, and only those still INIT once the stored offset has reached H are published: whatever
//! was on the topic before H is final by then, so a backlog is never mistaken for a loss.
//!
//! Two relays at once, of an old leader and a new one, do no harm: the store skips redeliveries.
//! The next scan waits for the delivery reports of this one, so that an outage of the broker does
//! not pile copies up.

use super::process_partition::{LeaseWatch, Progress};
use crate::port::change_log::ChangeLogRecord;
use crate::port::clock::Clock;
use crate::port::event_codec::{EnvelopeHeader, EventCodec};
use crate::port::event_publisher::{Delivery, EventPublisher, OutboundRecord, PublishError};
use crate::port::event_topic::{BrokerError, EventTopic};
use crate::port::relay_source::{RelayCursor, RelayPage, RelayScan, RelaySource};
use crate::port::store_error::StoreError;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{LogId, PartitionId};
use axs_domain::layout::Layout;
use axs_domain::time::Timestamp;
use metrics::counter;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often the low-water mark is forgotten and everything is scanned: a row may become INIT
/// again below it, when a parked event is redriven.
const FULL_SCAN_EVERY: Duration = Duration::from_secs(3_600);
/// How long to wait for room in the producer when none of this relay's records is on its way.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(50);
/// A log id before every other.
const LOG_ID_FIRST: &str = "00000000000000000000000000000000";

/// How a relay scans.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// The pause between scans.
    pub every: Duration,
    /// How old a row must be, by PostgreSQL's clock; longer than any log transaction.
    pub grace: Duration,
    /// The most rows of one scan.
    pub rows_max: u32,
}

/// What every relay of a process shares.
#[derive(Clone)]
pub(crate) struct RelayPorts {
    pub(crate) source: Arc<dyn RelaySource>,
    pub(crate) topic: Arc<dyn EventTopic>,
    pub(crate) publisher: Arc<dyn EventPublisher>,
    pub(crate) codec: Arc<dyn EventCodec>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: RelaySettings,
}

/// Why a round ended early. The next round begins anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the lease is not sure any more")]
    LeaseUnsure,
}

/// The relay of one led partition.
pub(crate) struct LostEventRelay {
    ports: RelayPorts,
    partition: PartitionId,
    layout: Arc<Layout>,
    lease: Arc<LeaseWatch>,
    progress: Arc<Progress>,
    /// Rows up to here are final.
    low_water: Option<RelayCursor>,
    scanned_all_at: Option<Instant>,
}

impl LostEventRelay {
    pub(crate) fn new(
        ports: RelayPorts,
        partition: PartitionId,
        layout: Arc<Layout>,
        lease: Arc<LeaseWatch>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            ports,
            partition,
            layout,
            lease,
            progress,
            low_water: None,
            scanned_all_at: None,
        }
    }

    /// Rounds for ever; the owner ends it by dropping it, which is safe at any point.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::time::sleep(self.ports.settings.every).await;
            if let Err(failure) = self.round().await {
                counter!("axs_relay_failures_total").increment(1);
                tracing::warn!(partition = %self.partition, %failure, "the relay tries again");
            }
        }
    }

    /// One round; gives how many events were published again. Waits for as long as the backlog
    /// takes.
    pub(crate) async fn round(&mut self) -> Result<usize, RelayError> {
        let page = self.scan().await?;
        if page.rows.is_empty() {
            return Ok(0);
        }
        // Not before the scan: a row found must either be on the topic before this end or lost.
        let end = self.ports.topic.bounds(self.partition).await?.end;
        self.progress.until_reached(end).await;
        let lost = self.ports.source.keep_init(page.rows).await?;
        self.publish(lost).await
    }

    async fn scan(&mut self) -> Result<RelayPage, RelayError> {
        if self
            .scanned_all_at
            .is_none_or(|at| at.elapsed() >= FULL_SCAN_EVERY)
        {
            self.low_water = None;
        }
        let began_at_the_oldest = self.low_water.is_none();
        let scan = RelayScan {
            shards: self.layout.shards_of(self.partition),
            after: self.low_water,
            grace: self.ports.settings.grace,
            limit: self.ports.settings.rows_max,
        };
        let page = self.ports.source.still_init(scan).await?;
        if began_at_the_oldest {
            self.scanned_all_at = Some(Instant::now());
        }
        // Nothing before the first row found is INIT; without one, nothing up to the scan's end.
        let passed = match page.rows.first() {
            Some(first) => Timestamp::from_unix_micros(first.logged_at.unix_micros() - 1),
            None => page.scanned_to,
        };
        self.low_water = self.low_water.max(cursor_at(passed));
        Ok(page)
    }

    async fn publish(&self, rows: Vec<ChangeLogRecord>) -> Result<usize, RelayError> {
        let mut on_their_way: VecDeque<Delivery> = VecDeque::new();
        let mut published = 0;
        for row in rows {
            let Some(record) = self.outbound(row) else {
                continue;
            };
            loop {
                if !self.lease.is_sure_at(self.ports.clock.monotonic()) {
                    return Err(RelayError::LeaseUnsure);
                }
                match self.ports.publisher.enqueue(record.clone()) {
                    Ok(delivery) => {
                        on_their_way.push_back(delivery);
                        break;
                    }
                    // Waits in place: a later row must not overtake this one.
                    Err(PublishError::QueueFull) => match on_their_way.pop_front() {
                        Some(delivery) => published += delivered(delivery).await?,
                        None => tokio::time::sleep(QUEUE_FULL_PAUSE).await,
                    },
                    Err(failure @ PublishError::Failed(_)) => return Err(failure.into()),
                }
            }
        }
        for delivery in on_their_way {
            published += delivered(delivery).await?;
        }
        Ok(published)
    }

    /// The row as a record, with its original header under the layout of today. `None` for a row
    /// whose payload is not what its fingerprint says: published, it would come back as a dead
    /// letter for ever.
    fn outbound(&self, row: ChangeLogRecord) -> Option<OutboundRecord> {
        let decoded = self.ports.codec.decode_payload(row.payload.clone());
        let sound = decoded.as_ref().is_ok_and(|event| {
            Fingerprint::of(event) == row.fingerprint
                && event.account_id() == row.key.account_id
                && self.layout.partition_of(row.key.shard_id) == Some(self.partition)
        });
        if !sound {
            counter!("axs_relay_unsound_rows_total").increment(1);
            tracing::error!(
                log_id = %row.log_id,
                "the log row's payload is not what its key and fingerprint say; it is not relayed"
            );
            return None;
        }
        let header = EnvelopeHeader {
            log_id: row.log_id,
            shard_id: row.key.shard_id,
            layout_epoch: self.layout.epoch(),
            logged_at: row.logged_at,
            // The request's trace ended long ago.
            traceparent: None,
        };
        Some(OutboundRecord {
            partition: self.partition,
            account_id: row.key.account_id,
            payload: self.ports.codec.encode_envelope(header, row.payload),
        })
    }
}

async fn delivered(delivery: Delivery) -> Result<usize, PublishError> {
    delivery.report().await?;
    counter!("axs_relayed_events_total").increment(1);
    Ok(1)
}

fn cursor_at(logged_at: Timestamp) -> Option<RelayCursor> {
    let log_id = LogId::parse(LOG_ID_FIRST).ok()?;
    Some(RelayCursor { logged_at, log_id })
}

#[cfg(test)]
mod tests;
