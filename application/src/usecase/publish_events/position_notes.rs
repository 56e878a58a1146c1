//! Noting in the log where events landed, in batches, beside everything else.

use crate::port::change_log::{ChangeLog, PublishedPosition};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Positions that may wait to be noted: what a full load brings while they ripen, some 30 MB. More
/// are dropped and counted: they are a hint for people and tools, and the final row has the
/// position as a fact.
pub(super) const POSITIONS_WAITING_MAX: usize = 200_000;

/// Positions noted by one statement.
pub(super) const POSITIONS_NOTED_AT_ONCE_MAX: usize = 1_000;

/// How old a position is when it is noted. By then the leader has nearly always made its row final,
/// even when it is seconds behind, so that there is nothing to note: noting costs the database a
/// third of what logging does, just when it has the least to spare. And a row that the leader is
/// writing would make both wait for each other's lock. Still soon enough for a person who looks.
pub(super) const RIPE_AFTER: Duration = Duration::from_secs(5);

/// How long ripe positions gather: one statement for many.
const GATHERING: Duration = Duration::from_millis(200);

/// Positions that are noted once the process drains: a second or two of its time. The rest are
/// dropped.
const NOTED_AT_THE_END_MAX: usize = 20_000;

/// Where positions are put to be noted. Never waits.
#[derive(Clone)]
pub(super) struct PositionSink(mpsc::Sender<(Instant, PublishedPosition)>);

impl PositionSink {
    pub(super) fn put(&self, position: PublishedPosition) {
        if self.0.try_send((Instant::now(), position)).is_err() {
            count_dropped(1);
        }
    }
}

/// The task that notes them.
pub(super) struct PositionNotes {
    change_log: Arc<dyn ChangeLog>,
    positions: mpsc::Receiver<(Instant, PublishedPosition)>,
    closing: CancellationToken,
    /// Taken from the queue too early: the first of the next batch.
    unripe: Option<(Instant, PublishedPosition)>,
}

impl PositionNotes {
    pub(super) fn new(
        change_log: Arc<dyn ChangeLog>,
        closing: CancellationToken,
    ) -> (Self, PositionSink) {
        let (sink, positions) = mpsc::channel(POSITIONS_WAITING_MAX);
        let notes = Self {
            change_log,
            positions,
            closing,
            unripe: None,
        };
        (notes, PositionSink(sink))
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.positions.len()
    }

    /// Runs until every sink is gone and what they put is noted.
    pub(super) async fn run(mut self) {
        let mut at_the_end = 0;
        while let Some(first) = self.next().await {
            self.ripen(first.0).await;
            let batch = self.ripe_from(first);
            let taken = batch.len();
            if self.closing.is_cancelled() {
                at_the_end += taken;
                if at_the_end > NOTED_AT_THE_END_MAX {
                    count_dropped(taken);
                    continue;
                }
            }
            fail::fail_point!("api.before_position_note");
            if let Err(error) = self.change_log.note_positions(batch).await {
                tracing::debug!(%error, "positions of published events were not noted");
                count_dropped(taken);
            }
        }
    }

    async fn next(&mut self) -> Option<(Instant, PublishedPosition)> {
        match self.unripe.take() {
            Some(unripe) => Some(unripe),
            None => self.positions.recv().await,
        }
    }

    /// Waits until what was put then, and what was put soon after it, is ripe, or everything is to
    /// end.
    async fn ripen(&self, put_at: Instant) {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => {}
            () = sleep_until(put_at + RIPE_AFTER + GATHERING) => {}
        }
    }

    /// What is ripe and waits, up to the bound.
    fn ripe_from(&mut self, first: (Instant, PublishedPosition)) -> Vec<PublishedPosition> {
        let (ending, now) = (self.closing.is_cancelled(), Instant::now());
        let mut batch = vec![first.1];
        while batch.len() < POSITIONS_NOTED_AT_ONCE_MAX
            && let Ok((put_at, position)) = self.positions.try_recv()
        {
            if now < put_at + RIPE_AFTER && !ending {
                self.unripe = Some((put_at, position));
                break;
            }
            batch.push(position);
        }
        batch
    }
}

fn count_dropped(positions: usize) {
    let positions = u64::try_from(positions).unwrap_or(u64::MAX);
    metrics::counter!("axs_positions_dropped_total").increment(positions);
}
