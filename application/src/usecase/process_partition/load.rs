//! Reading the balances that the memory lacks.

use super::draft::ShardedKey;
use super::meter::{self, Stage};
use super::stop::StopReason;
use crate::port::balance_store::BalanceStore;
use crate::port::store_error::StoreError;
use crate::usecase::backoff::Backoff;
use axs_domain::balance::VersionedBalance;
use tokio::time::Instant;

/// Reads balances in one query, in the order of the keys, and again while the store is away and
/// `may_go_on`.
///
/// # Errors
/// [`StopReason`]: the worker ends.
pub(super) async fn load(
    store: &dyn BalanceStore,
    keys: &[ShardedKey],
    retries_max: u32,
    may_go_on: impl Fn() -> bool,
) -> Result<Vec<VersionedBalance>, StopReason> {
    let began = Instant::now();
    let mut backoff = Backoff::new();
    loop {
        match store.load(keys.to_vec()).await {
            Ok(balances) if balances.len() == keys.len() => {
                meter::stage(Stage::Load, began.elapsed());
                return Ok(balances);
            }
            Ok(balances) => {
                return Err(StopReason::Fault(format!(
                    "asked for {} balances and got {}",
                    keys.len(),
                    balances.len()
                )));
            }
            Err(failure @ StoreError::Corrupt { .. }) => {
                return Err(StopReason::Store(failure.to_string()));
            }
            Err(failure @ (StoreError::Unavailable { .. } | StoreError::Denied { .. })) => {
                if backoff.tries() >= retries_max {
                    return Err(StopReason::Store(failure.to_string()));
                }
                tracing::warn!(%failure, "balances could not be read, trying again");
            }
        }
        if !may_go_on() {
            return Err(StopReason::LeaseUnsure);
        }
        backoff.pause().await;
    }
}
