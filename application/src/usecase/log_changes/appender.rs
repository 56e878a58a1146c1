//! One commit to the change log: its rows, and the layout they are placed by.

use super::{ChangeToLog, LogError, LogRequest};
use crate::port::change_log::{AppendError, AppendOutcome, ChangeLog, NewChangeLog, Placing};
use crate::port::log_id_generator::LogIdGenerator;
use crate::usecase::detached::run_detached;
use crate::usecase::incarnation_lookup::IncarnationLookup;
use crate::usecase::layout_lookup::LayoutLookup;
use axs_domain::id::LogId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often one commit is tried, each time after the first by a newer layout. Raises are rare:
/// more than one during a commit means that something else is wrong.
pub(super) const TRIES_MAX: usize = 3;

/// Writes requests to the change log, in one commit each call.
pub(super) struct Appender {
    pub(super) change_log: Arc<dyn ChangeLog>,
    pub(super) log_ids: Arc<dyn LogIdGenerator>,
    pub(super) layouts: Arc<dyn LayoutLookup>,
    pub(super) incarnations: Arc<dyn IncarnationLookup>,
    /// After which time a client that was refused during a change of the layout should try again.
    pub(super) retry_after: Duration,
}

/// A commit that has come to its end, well or not.
pub(super) struct EndedCommit {
    pub(super) began: Instant,
    pub(super) requests: Vec<LogRequest>,
    pub(super) log_ids: Vec<LogId>,
    pub(super) appended: Result<Vec<AppendOutcome>, LogError>,
}

impl Appender {
    /// Ids for the rows of these requests, in their order.
    pub(super) fn new_ids(&self, requests: &[LogRequest]) -> Vec<LogId> {
        let events = requests.iter().map(|request| request.changes.len()).sum();
        (0..events).map(|_| self.log_ids.next_id()).collect()
    }

    /// Never fails: what went wrong is told in the commit that ended.
    pub(super) async fn commit(
        self: Arc<Self>,
        mut requests: Vec<LogRequest>,
        log_ids: Vec<LogId>,
    ) -> EndedCommit {
        let began = Instant::now();
        let appended = self.append(&mut requests, &log_ids).await;
        EndedCommit {
            began,
            requests,
            log_ids,
            appended,
        }
    }

    /// Writes all events of the requests by one layout: the one they were placed by, or the newer
    /// one that the change log names.
    async fn append(
        &self,
        requests: &mut [LogRequest],
        log_ids: &[LogId],
    ) -> Result<Vec<AppendOutcome>, LogError> {
        let mut placed_by = self.placed_alike(requests).await?;
        let mut tries = 1;
        loop {
            let asked_at = Instant::now();
            match self.append_placed(requests, log_ids, placed_by).await {
                Ok(outcomes) => return Ok(outcomes),
                Err(AppendError::LayoutMoved { .. }) if tries < TRIES_MAX => {
                    tries += 1;
                    metrics::counter!("axs_log_placed_anew_total").increment(1);
                    placed_by = self.place_anew(requests).await?;
                }
                Err(AppendError::HistoryMoved { current }) => {
                    self.incarnations.saw(current, asked_at);
                    return Err(LogError::HistoryMoved);
                }
                // Of all tries too, nothing was written.
                Err(AppendError::LayoutPaused | AppendError::LayoutMoved { .. }) => {
                    count_paused(log_ids.len());
                    let retry_after = self.retry_after;
                    return Err(LogError::Paused { retry_after });
                }
                Err(AppendError::Store(failure)) => {
                    return Err(LogError::Unavailable(failure.to_string()));
                }
            }
        }
    }

    async fn append_placed(
        &self,
        requests: &[LogRequest],
        log_ids: &[LogId],
        placed_by: Placing,
    ) -> Result<Vec<AppendOutcome>, AppendError> {
        let changes = requests.iter().flat_map(|request| &request.changes);
        let rows: Vec<NewChangeLog> = changes
            .zip(log_ids)
            .map(|(change, log_id)| row(change, *log_id))
            .collect();
        let began = Instant::now();
        let change_log = Arc::clone(&self.change_log);
        // Detached from the loop too, so that a panic in the store's adapter ends one commit and
        // not the write side.
        let appended = run_detached(async move { change_log.append(rows, placed_by).await }).await;
        metrics::histogram!("axs_log_commit_seconds").record(began.elapsed());
        appended
    }
}

fn count_paused(events: usize) {
    let events = u64::try_from(events).unwrap_or(u64::MAX);
    metrics::counter!("axs_paused_refusals_total").increment(events);
}

fn row(change: &ChangeToLog, log_id: LogId) -> NewChangeLog {
    NewChangeLog {
        log_id,
        key: change.key.clone(),
        fingerprint: change.fingerprint,
        payload: change.payload.clone(),
    }
}
