//! Waiting, while writing is paused, until everything that is logged is final or parked.

use super::{ChangeLayoutError, ChangeProgress};
use crate::port::event_topic::{BrokerError, EventTopic};
use crate::port::layout_change::{LayoutChange, LayoutChangeError};
use crate::port::layout_change_notes::{LayoutChangeNotes, LayoutChangeStep};
use crate::port::partition_leadership::PartitionLeadership;
use crate::port::store_error::StoreError;
use axs_domain::id::LayoutChangeId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The shortest pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// A look may read whole tables: the next one comes at the earliest after so many times its length.
const LOOK_PAUSE_FACTOR: u32 = 2;

/// Undecided events are counted up to here; more is just more.
pub(super) const UNDECIDED_COUNT_MAX: u32 = 100_000;

/// What a drain looks at.
pub(super) struct Drain {
    pub(super) change: LayoutChangeId,
    pub(super) notes: Arc<dyn LayoutChangeNotes>,
    pub(super) changes: Arc<dyn LayoutChange>,
    pub(super) leadership: Arc<dyn PartitionLeadership>,
    pub(super) topic: Arc<dyn EventTopic>,
}

/// What a look found.
enum Look {
    /// Records that are not written and, once there are none, events that are undecided.
    Left(u64, Option<u32>),
    /// The pause is not this change's any more.
    TakenOver,
}

/// What a look that went wrong says.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

impl Drain {
    /// Waits until nothing is undecided, and says with each look that the command lives. Servers
    /// that are away are waited for as long.
    ///
    /// # Errors
    /// [`ChangeLayoutError::NotDrained`], [`ChangeLayoutError::Stopped`] and, for a change that was
    /// taken back or over, [`LayoutChangeError::TakenOver`].
    pub(super) async fn until_all_is_final(
        &self,
        wait_max: Duration,
        progress: &watch::Sender<ChangeProgress>,
        stop: &CancellationToken,
    ) -> Result<(), ChangeLayoutError> {
        let ends_at = Instant::now() + wait_max;
        let mut left = "nothing was looked at".to_owned();
        loop {
            let began = Instant::now();
            let looked = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(ChangeLayoutError::Stopped),
                looked = tokio::time::timeout_at(ends_at, self.look()) => looked,
            };
            match looked {
                Ok(Ok(Look::TakenOver)) => return Err(LayoutChangeError::TakenOver.into()),
                Ok(Ok(Look::Left(0, Some(0)))) => return Ok(()),
                Ok(Ok(Look::Left(records_left, undecided))) => {
                    left = match undecided {
                        Some(count) => format!("{count} events are undecided"),
                        None => format!("{records_left} records are not written"),
                    };
                    progress.send_replace(ChangeProgress::Draining {
                        records_left,
                        undecided,
                        trouble: None,
                    });
                }
                Ok(Err(trouble)) => {
                    progress.send_modify(|seen| note_trouble(seen, &trouble.to_string()));
                    left = format!("{left}; {trouble}");
                }
                Err(_) => return Err(ChangeLayoutError::NotDrained { left }),
            }
            let pause = LOOK_PAUSE.max(began.elapsed() * LOOK_PAUSE_FACTOR);
            if Instant::now() + pause > ends_at {
                return Err(ChangeLayoutError::NotDrained { left });
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(ChangeLayoutError::Stopped),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn look(&self) -> Result<Look, LookError> {
        let step = LayoutChangeStep::Draining;
        if !self.notes.note(self.change, step).await? {
            return Ok(Look::TakenOver);
        }
        let mut records_left = 0;
        for leader in self.leadership.leaders().await? {
            let end = self.topic.bounds(leader.partition).await?.end.value();
            let left = end.saturating_sub(leader.stored_offset.value());
            records_left += u64::try_from(left).unwrap_or(0);
        }
        if records_left > 0 {
            return Ok(Look::Left(records_left, None));
        }
        let undecided = self.changes.undecided(UNDECIDED_COUNT_MAX).await?;
        Ok(Look::Left(0, Some(undecided)))
    }
}

fn note_trouble(seen: &mut ChangeProgress, what: &str) {
    let (records_left, undecided) = match seen {
        ChangeProgress::Draining {
            records_left,
            undecided,
            ..
        } => (*records_left, *undecided),
        _ => (0, None),
    };
    *seen = ChangeProgress::Draining {
        records_left,
        undecided,
        trouble: Some(what.to_owned()),
    };
}
