//! Telling of what was set aside: events that were parked and records that became dead letters.

use crate::port::batch_writer::{DecidedBatch, FinalResult};
use axs_domain::id::PartitionId;
use std::time::Duration;
use tokio::time::Instant;

/// Log lines of one partition in one period. The first ones tell what is wrong; of a flood the rest
/// is told by its number, and stands in the tables whole.
pub(super) const LINES_MAX: u64 = 10;
/// The period.
pub(super) const PERIOD: Duration = Duration::from_secs(60);

/// Says, within bounds, what the committed batches of one term set aside.
#[derive(Debug)]
pub(super) struct SetAside {
    partition: PartitionId,
    period: Option<Period>,
}

#[derive(Debug)]
struct Period {
    began: Instant,
    /// Set aside in it, said or not.
    seen: u64,
}

impl SetAside {
    pub(super) const fn new(partition: PartitionId) -> Self {
        Self {
            partition,
            period: None,
        }
    }

    /// Says what a batch that is committed set aside.
    pub(super) fn tell(&mut self, batch: &DecidedBatch, now: Instant) {
        let is_over = |period: &Period| now.duration_since(period.began) >= PERIOD;
        if self.period.as_ref().is_some_and(is_over) {
            self.tell_rest();
        }
        let partition = self.partition;
        for event in &batch.events {
            if let FinalResult::Parked(reason) = &event.result
                && self.count_one(now)
            {
                tracing::warn!(
                    %partition,
                    shard = %event.key.shard_id,
                    log_id = %event.log_id,
                    offset = %event.offset,
                    reason = reason.message,
                    "an event is parked: `bootstrap dead-letters list` shows it"
                );
            }
        }
        for dead in &batch.dead_letters {
            if self.count_one(now) {
                tracing::warn!(
                    %partition,
                    log_id = dead.log_id.map(tracing::field::display),
                    offset = %dead.offset,
                    reason = dead.reason.word(),
                    why = dead.message,
                    "a record is dead: `bootstrap dead-letters list` shows it"
                );
            }
        }
    }

    /// Says how many of the period were not said, and ends it.
    pub(super) fn tell_rest(&mut self) {
        let seen = self.period.take().map_or(0, |period| period.seen);
        let more = seen.saturating_sub(LINES_MAX);
        if more > 0 {
            tracing::warn!(partition = %self.partition, more, "more events and records were set aside");
        }
    }

    /// Counts one more; whether it may still be told by itself.
    fn count_one(&mut self, now: Instant) -> bool {
        let period = self.period.get_or_insert(Period {
            began: now,
            seen: 0,
        });
        period.seen += 1;
        period.seen <= LINES_MAX
    }
}
