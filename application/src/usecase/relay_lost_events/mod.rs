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
//!
//! # Order
//! Rows go out in log order, and of each account one at a time: the next is enqueued when the
//! delivery of the one before was reported. So no producer, whatever it does after a failure, can
//! let a later event of an account overtake an earlier one. A round ends at its first failure; the
//! next one begins anew with the oldest row that is still INIT.
//!
//! Beside a live API this keeps what an API process accepted in sequence, each call made after the
//! answer to the one before: that process publishes an account's events in the order of the log
//! too, and stops publishing a partition where it lost one, so whoever of the two comes first with
//! a later event, the earlier one is on the topic before it. What two API processes accepted has no
//! order before it is on the topic.
//!
//! # Unsound rows
//! A row whose payload is not what its key and fingerprint say would come back as a dead letter for
//! ever, so it is not published. It is passed over, whole pages of them too, so that it hides no
//! row behind it; it is counted and told. The mark stays below it: mended, it is found again.
//!
//! # Bounds
//! | what | bound |
//! |---|---|
//! | rows of a page, of a round, on their way at once | [`RelaySettings::rows_max`] |
//! | pages of a round, while what is found leaves room in it | [`PAGES_MAX`]; the next round goes on there |
//! | what a scan reads | rows written since the low-water mark; everything when there is none; a term's first scan [`low_water::TERM_MARGIN`] more |
//! | moves of the stored mark | forward one in [`low_water::MOVE_EVERY`]; back whenever the clock was |
//! | the wait for H | the backlog; what is behind it without a record is looked at each [`END_LOOK_EVERY`] |

mod low_water;
mod under_way;
mod unsound;

use low_water::{LowWater, ToStore};
use under_way::UnderWay;
use unsound::UnsoundRows;

use super::left_out;
use super::process_partition::{LeaseWatch, Progress};
use crate::port::change_log::ChangeLogRecord;
use crate::port::clock::Clock;
use crate::port::event_codec::{EnvelopeHeader, EventCodec};
use crate::port::event_publisher::{EventPublisher, OutboundRecord, PublishError};
use crate::port::event_topic::{BrokerError, EventTopic};
use crate::port::record_reader::RecordReader;
use crate::port::relay_source::{
    LogPlace, MarkMove, RelayHorizon, RelayPage, RelayScan, RelayScope, RelaySource,
};
use crate::port::store_error::StoreError;
use axs_domain::fencing::Claim;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{LogId, Offset, PartitionId};
use axs_domain::layout::Layout;
use axs_domain::time::Timestamp;
use metrics::counter;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long the stored offset may take to reach the end of the log until it is looked whether any
/// record is left before that end: its last offsets may hold none, as transaction markers do.
const END_LOOK_EVERY: Duration = Duration::from_secs(5);
/// The most pages that one round reads.
const PAGES_MAX: usize = 10;
/// How long to wait for room in the producer when none of this relay's records is on its way.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(50);

/// How a relay scans.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// The pause between scans.
    pub every: Duration,
    /// How old a row must be, by PostgreSQL's clock; longer than any statement may take
    /// (`database.statement_timeout_ms`).
    pub grace: Duration,
    /// The most rows of one page, and the most that one round publishes; 1 or more.
    pub rows_max: u32,
}

/// What every relay of a process shares.
#[derive(Clone)]
pub(crate) struct RelayPorts {
    pub(crate) source: Arc<dyn RelaySource>,
    pub(crate) topic: Arc<dyn EventTopic>,
    pub(crate) reader: Arc<dyn RecordReader>,
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

/// The term that a relay serves.
#[derive(Clone)]
pub(crate) struct RelayTerm {
    pub(crate) partition: PartitionId,
    pub(crate) claim: Claim,
    pub(crate) layout: Arc<Layout>,
    pub(crate) lease: Arc<LeaseWatch>,
    pub(crate) progress: Arc<Progress>,
}

/// The part of a scan that was not read yet. It keeps its end: by that of a later horizon, rows
/// would be published while one before them, whose commit hung, lies behind.
#[derive(Debug, Clone, Copy)]
struct Rest {
    behind: LogPlace,
    until: Timestamp,
}

/// What the scan of a round found.
#[derive(Debug, Default)]
struct Found {
    /// Sound rows, oldest first.
    rows: Vec<ChangeLogRecord>,
    /// Whether there may be more behind them.
    more: bool,
    /// What the pages of this round left: the next round goes on there.
    rest: Option<Rest>,
}

/// The relay of one led partition.
pub(crate) struct LostEventRelay {
    ports: RelayPorts,
    term: RelayTerm,
    low_water: LowWater,
    /// What the rounds before left of their scan.
    rest: Option<Rest>,
    /// Whether the last page was full.
    is_dense: bool,
    unsound: UnsoundRows,
    /// Up to where a cursor over ids alone would have come: for the deliberate break
    /// `break.relay_cursor`, without which nobody reads it.
    passed_by_ids: Option<Timestamp>,
    /// Whether the next round need not wait: there is more behind this round's page, and the page
    /// moves on.
    goes_on: bool,
}

impl LostEventRelay {
    pub(crate) fn new(ports: RelayPorts, term: RelayTerm) -> Self {
        Self {
            ports,
            term,
            low_water: LowWater::default(),
            rest: None,
            is_dense: false,
            unsound: UnsoundRows::default(),
            passed_by_ids: None,
            goes_on: false,
        }
    }

    /// Rounds for ever; the owner ends it by dropping it, which is safe at any point.
    pub(crate) async fn run(mut self) {
        loop {
            if !self.goes_on {
                tokio::time::sleep(self.ports.settings.every).await;
            }
            if let Err(failure) = self.round().await {
                counter!("axs_relay_failures_total").increment(1);
                tracing::warn!(partition = %self.term.partition, %failure, "the relay tries again");
            }
        }
    }

    /// One round; gives how many events were published again. Waits for as long as the backlog
    /// takes. After one that failed, the next begins at the mark.
    pub(crate) async fn round(&mut self) -> Result<usize, RelayError> {
        self.goes_on = false;
        let Found { rows, more, rest } = self.scan().await?;
        if rows.is_empty() {
            self.rest = rest;
            self.goes_on = rest.is_some();
            return Ok(0);
        }
        let found = rows.len();
        // Not before the scan: a row found must either be on the topic before this end or lost.
        let end = self.ports.topic.bounds(self.term.partition).await?.end;
        self.until_final_before(end).await?;
        let lost = self.ports.source.keep_init(rows).await?;
        let some_are_final = lost.len() < found;
        let published = self.publish(lost).await?;
        self.rest = rest;
        self.goes_on = rest.is_some() || (more && (some_are_final || published > 0));
        Ok(published)
    }

    /// The oldest sound rows, from the mark on or from where the round before has read to.
    async fn scan(&mut self) -> Result<Found, RelayError> {
        let grace = self.ports.settings.grace;
        let asked_at = Instant::now();
        let horizon = self
            .ports
            .source
            .horizon(RelayScope {
                partition: self.term.partition,
                layout_epoch: self.term.layout.epoch(),
                grace,
                incarnation: self.term.claim.incarnation,
            })
            .await?;
        let after = self.low_water.begin(&horizon, asked_at, Instant::now());
        // Not after the scan, which may fail again and again.
        self.store_mark(&horizon, self.low_water.to_lower()).await;
        let passed = left_out::relay_cursor()
            .then(|| self.passed_by_ids.replace(horizon.until))
            .flatten();
        let rows_max = usize::try_from(self.ports.settings.rows_max).unwrap_or(usize::MAX);
        // The mark may have come as far.
        let is_above = |rest: &Rest| after.is_none_or(|after| rest.behind.logged_at > after);
        let rest = self.rest.take().filter(is_above);
        let until = rest.map_or(horizon.until, |rest| rest.until.min(horizon.until));
        let mut behind = rest.map(|rest| rest.behind);
        // Whether nothing was found from the mark on.
        let mut is_clear = behind.is_none();
        let mut found = Found::default();
        for _ in 0..PAGES_MAX {
            let RelayPage { mut rows, read_to } = self.page(after, behind, until).await?;
            let is_full = rows.len() >= rows_max;
            self.is_dense = is_full;
            found.more = is_full || read_to < until;
            behind = if is_full {
                rows.last().map(LogPlace::of)
            } else {
                Some(LogPlace::end_of(read_to))
            };
            rows.retain(|row| passed.is_none_or(|passed| made_after(row.log_id, passed)));
            if is_clear {
                let first = rows.first().map(|row| row.logged_at);
                self.low_water.pass(&horizon, read_to, first);
                let mark = self.low_water.to_store(Instant::now());
                self.store_mark(&horizon, mark).await;
                is_clear = rows.is_empty();
            }
            for row in rows {
                if self.is_sound(&row) {
                    found.rows.push(row);
                } else {
                    self.unsound.note(row.log_id);
                }
            }
            if !found.more || found.rows.len() >= rows_max {
                break;
            }
        }
        self.unsound.say(self.term.partition, Instant::now());
        if found.more && found.rows.len() < rows_max {
            found.rest = behind.map(|behind| Rest { behind, until });
        }
        // The others come in the next round.
        found.rows.truncate(rows_max);
        Ok(found)
    }

    async fn page(
        &self,
        after: Option<Timestamp>,
        behind: Option<LogPlace>,
        until: Timestamp,
    ) -> Result<RelayPage, RelayError> {
        let scan = RelayScan {
            shards: self.term.layout.shards_of(self.term.partition),
            after,
            behind,
            until,
            limit: self.ports.settings.rows_max,
            is_dense: self.is_dense,
            incarnation: self.term.claim.incarnation,
        };
        Ok(self.ports.source.still_init(scan).await?)
    }

    /// Tells the store of the mark, if there is something to tell. A failure costs the next leader
    /// a longer scan.
    async fn store_mark(&mut self, horizon: &RelayHorizon, what: Option<ToStore>) {
        let Some(what) = what else {
            return;
        };
        let to = MarkMove {
            partition: self.term.partition,
            claim: self.term.claim,
            layout_epoch: self.term.layout.epoch(),
            generation: horizon.generation,
            low_water: what.mark(),
        };
        match self.ports.source.move_mark(to).await {
            Ok(true) => self.low_water.stored(what, Instant::now()),
            // Fenced, which the worker finds out, or a redrive came in between: the next scan
            // tells.
            Ok(false) => {}
            Err(failure) => {
                tracing::warn!(partition = %self.term.partition, %failure, "the relay's mark is not stored");
            }
        }
    }

    /// Waits until every record before `end` is final.
    async fn until_final_before(&self, end: Offset) -> Result<(), RelayError> {
        let RelayTerm {
            partition,
            ref progress,
            ..
        } = self.term;
        while timeout(END_LOOK_EVERY, progress.until_reached(end))
            .await
            .is_err()
        {
            let stored = progress.stored_offset();
            let left = self.ports.reader.read(partition, stored, end, 1).await?;
            if left.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Publishes them. However it ends, nothing is on its way any more: the next round begins anew.
    async fn publish(&self, rows: Vec<ChangeLogRecord>) -> Result<usize, RelayError> {
        let mut under_way = UnderWay::default();
        for row in rows {
            let record = self.outbound(row);
            if let Err(failure) = self.publish_one(record, &mut under_way).await {
                // What they say changes nothing: the round has failed.
                let _ = under_way.rest().await;
                return Err(failure);
            }
        }
        fail::fail_point!("relay.after_publish");
        under_way.rest().await?;
        Ok(under_way.delivered())
    }

    async fn publish_one(
        &self,
        record: OutboundRecord,
        under_way: &mut UnderWay,
    ) -> Result<(), RelayError> {
        while under_way.holds(record.account_id) {
            under_way.next().await?;
        }
        loop {
            if !self.term.lease.is_sure_at(self.ports.clock.monotonic()) {
                return Err(RelayError::LeaseUnsure);
            }
            fail::fail_point!("relay.before_publish");
            match self.ports.publisher.enqueue(record.clone()) {
                Ok(delivery) => {
                    under_way.add(record.account_id, delivery);
                    return Ok(());
                }
                // Waits in place: a later row must not overtake this one.
                Err(PublishError::QueueFull) => {
                    if !under_way.next().await? {
                        tokio::time::sleep(QUEUE_FULL_PAUSE).await;
                    }
                }
                Err(failure @ PublishError::Failed(_)) => return Err(failure.into()),
            }
        }
    }

    /// Whether the row's payload is what its key and fingerprint say.
    fn is_sound(&self, row: &ChangeLogRecord) -> bool {
        let decoded = self.ports.codec.decode_payload(row.payload.clone());
        decoded.is_ok_and(|event| {
            Fingerprint::of(&event) == row.fingerprint
                && event.account_id() == row.key.account_id
                && self.term.layout.partition_of(row.key.shard_id) == Some(self.term.partition)
        })
    }

    /// The row as a record, with its original header under the layout of today.
    fn outbound(&self, row: ChangeLogRecord) -> OutboundRecord {
        let header = EnvelopeHeader {
            log_id: row.log_id,
            shard_id: row.key.shard_id,
            layout_epoch: self.term.layout.epoch(),
            logged_at: row.logged_at,
            // The request's trace ended long ago.
            traceparent: None,
        };
        OutboundRecord {
            partition: self.term.partition,
            account_id: row.key.account_id,
            payload: self.ports.codec.encode_envelope(header, row.payload),
        }
    }
}

/// Whether the process that made the id says that it did so after this time: its wall clock alone.
fn made_after(log_id: LogId, at: Timestamp) -> bool {
    let millis = log_id.uuid().as_u128() >> 80;
    i64::try_from(millis).is_ok_and(|millis| millis > at.unix_micros() / 1_000)
}

#[cfg(test)]
mod tests;
