//! How far a led partition has come, for those who watch.

use axs_domain::id::Offset;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// The stored offset of a led partition, as its worker knows it, and the end of its log, as it
/// was last looked at.
#[derive(Debug)]
pub(crate) struct Progress {
    stored_offset: watch::Sender<Offset>,
    log_end: Mutex<Option<Offset>>,
    results_offset: Mutex<Option<Offset>>,
    waits_for: Mutex<Option<Offset>>,
}

impl Progress {
    pub(crate) fn new(stored_offset: Offset) -> Self {
        Self {
            stored_offset: watch::Sender::new(stored_offset),
            log_end: Mutex::new(None),
            results_offset: Mutex::new(None),
            waits_for: Mutex::new(None),
        }
    }

    /// The stored offset: everything before it is final.
    pub(crate) fn stored_offset(&self) -> Offset {
        *self.stored_offset.borrow()
    }

    /// Notes a commit.
    pub(crate) fn advance(&self, stored_offset: Offset) {
        self.stored_offset.send_replace(stored_offset);
    }

    /// Waits until the stored offset has reached `offset`.
    pub(crate) async fn until_reached(&self, offset: Offset) {
        // The sender lives in `self`, so the wait can't end by its loss.
        let _ = self
            .stored_offset
            .subscribe()
            .wait_for(|stored| *stored >= offset)
            .await;
    }

    /// Notes that the worker has nothing to do but wait for the record at this offset, or that it
    /// has.
    pub(crate) fn note_waiting(&self, offset: Option<Offset>) {
        *self
            .waits_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = offset;
    }

    /// The offset of the record for which the worker waits, if it has nothing else to do.
    pub(crate) fn waits_for(&self) -> Option<Offset> {
        *self
            .waits_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the end of the partition's log.
    pub(crate) fn note_log_end(&self, end: Offset) {
        *self.log_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    /// Offsets from the stored one to the end of the log; `None` until it was looked at.
    pub(crate) fn lag(&self) -> Option<i64> {
        let end = (*self.log_end.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some((end.value() - self.stored_offset().value()).max(0))
    }

    /// Notes up to where results and cache writes are out.
    pub(crate) fn note_results(&self, results_offset: Offset) {
        let mut noted = self
            .results_offset
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *noted = Some(results_offset);
    }

    /// Offsets from there to the stored one; `None` until it was noted.
    pub(crate) fn results_lag(&self) -> Option<i64> {
        let noted = self.results_offset.lock();
        let results = (*noted.unwrap_or_else(PoisonError::into_inner))?;
        Some((self.stored_offset().value() - results.value()).max(0))
    }
}
