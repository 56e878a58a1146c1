//! Noting in the log where events landed, in batches, beside everything else.

use crate::port::change_log::{ChangeLog, PublishedPosition};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Positions that may wait to be noted. More are dropped and counted: they are a hint for people
/// and tools, and the final row has the position as a fact.
pub(super) const POSITIONS_WAITING_MAX: usize = 50_000;

/// Positions noted by one statement.
pub(super) const POSITIONS_NOTED_AT_ONCE_MAX: usize = 1_000;

/// How long positions gather before they are noted together: one statement for many, and still
/// soon enough for a person who looks.
const GATHERING: Duration = Duration::from_secs(1);

/// Where positions are put to be noted. Never waits.
#[derive(Clone)]
pub(super) struct PositionSink(mpsc::Sender<PublishedPosition>);

impl PositionSink {
    pub(super) fn put(&self, position: PublishedPosition) {
        if self.0.try_send(position).is_err() {
            count_dropped(1);
        }
    }
}

/// The task that notes them.
pub(super) struct PositionNotes {
    change_log: Arc<dyn ChangeLog>,
    positions: mpsc::Receiver<PublishedPosition>,
    closing: CancellationToken,
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
        };
        (notes, PositionSink(sink))
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.positions.len()
    }

    /// Runs until every sink is gone and what they put is noted.
    pub(super) async fn run(mut self) {
        loop {
            let mut batch = Vec::with_capacity(POSITIONS_NOTED_AT_ONCE_MAX);
            let taken = self
                .positions
                .recv_many(&mut batch, POSITIONS_NOTED_AT_ONCE_MAX)
                .await;
            if taken == 0 {
                return;
            }
            fail::fail_point!("api.before_position_note");
            if let Err(error) = self.change_log.note_positions(batch).await {
                tracing::debug!(%error, "positions of published events were not noted");
                count_dropped(taken);
            }
            // Under load the next batch is then a full one. The pause also lets many rows become
            // final first, whose positions need no note.
            if self.positions.len() < POSITIONS_NOTED_AT_ONCE_MAX {
                tokio::select! {
                    biased;
                    () = sleep(GATHERING) => {}
                    () = self.closing.cancelled() => {}
                }
            }
        }
    }
}

fn count_dropped(positions: usize) {
    let positions = u64::try_from(positions).unwrap_or(u64::MAX);
    metrics::counter!("axs_positions_dropped_total").increment(positions);
}
