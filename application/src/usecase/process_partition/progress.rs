//! How far a led partition has come, for those who watch.

use axs_domain::id::Offset;
use tokio::sync::watch;

/// The stored offset of a led partition, as its worker knows it.
#[derive(Debug)]
pub(crate) struct Progress(watch::Sender<Offset>);

impl Progress {
    pub(crate) fn new(stored_offset: Offset) -> Self {
        Self(watch::Sender::new(stored_offset))
    }

    /// The stored offset: everything before it is final.
    pub(crate) fn stored_offset(&self) -> Offset {
        *self.0.borrow()
    }

    /// Notes a commit.
    pub(crate) fn advance(&self, stored_offset: Offset) {
        self.0.send_replace(stored_offset);
    }

    /// Waits until the stored offset has reached `offset`.
    pub(crate) async fn until_reached(&self, offset: Offset) {
        // The sender lives in `self`, so the wait can't end by its loss.
        let _ = self
            .0
            .subscribe()
            .wait_for(|stored| *stored >= offset)
            .await;
    }
}
