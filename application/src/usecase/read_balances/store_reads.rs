//! The bound on reads of the store.

use super::{ReadBalancesError, ReadSettings};
use std::sync::{Arc, OnceLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Turns at the store, made with the first read.
#[derive(Default)]
pub(super) struct StoreReads(OnceLock<Arc<Semaphore>>);

impl StoreReads {
    /// Waits for a turn, which ends when what is given is dropped.
    ///
    /// # Errors
    /// [`ReadBalancesError::Busy`] when no turn comes in time.
    pub(super) async fn turn(
        &self,
        settings: &ReadSettings,
    ) -> Result<OwnedSemaphorePermit, ReadBalancesError> {
        let turns = self.0.get_or_init(|| turns(settings.store_reads_max));
        let waited = timeout(settings.store_read_wait, Arc::clone(turns).acquire_owned()).await;
        match waited {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(ReadBalancesError::Busy {
                reads_max: settings.store_reads_max,
                retry_after: settings.retry_after,
            }),
        }
    }
}

/// At least one, so that a setting of 0 does not lock everybody out.
pub(super) fn turns(max: u32) -> Arc<Semaphore> {
    let max = usize::try_from(max).unwrap_or(Semaphore::MAX_PERMITS);
    Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)))
}
