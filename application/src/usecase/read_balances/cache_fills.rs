//! Filling the cache after misses, in the background.

use super::store_reads::turns;
use crate::port::balance_cache::BalanceCache;
use crate::port::balance_store::BalancesSnapshot;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// Fills under way, bounded.
#[derive(Default)]
pub(super) struct CacheFills(OnceLock<Arc<Semaphore>>);

impl CacheFills {
    /// Begins to fill, unless `max` fills are under way: then a later miss does it. The reader does
    /// not wait. A balance that became newer meanwhile is not replaced: versions guard it.
    pub(super) fn begin(
        &self,
        cache: &Arc<dyn BalanceCache>,
        snapshot: BalancesSnapshot,
        max: u32,
    ) {
        let fills = self.0.get_or_init(|| turns(max));
        let Ok(turn) = Arc::clone(fills).try_acquire_owned() else {
            metrics::counter!("axs_cache_fills_skipped_total").increment(1);
            return;
        };
        let cache = Arc::clone(cache);
        tokio::spawn(async move {
            if let Err(error) = cache.fill(snapshot).await {
                tracing::debug!(%error, "the cache was not filled");
            }
            drop(turn);
        });
    }
}
