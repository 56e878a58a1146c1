//! Reading the balances that the memory lacks.

use super::draft::ShardedKey;
use super::meter::{self, Stage};
use super::stop::StopReason;
use crate::port::balance_store::BalanceStore;
use crate::port::store_error::StoreError;
use crate::usecase::backoff::Backoff;
use axs_domain::balance::VersionedBalance;
use axs_domain::incarnation::Incarnation;
use tokio::time::Instant;

/// How often an answer of another history than the claim's is asked for again: over an old
/// connection, a server that was replaced may answer, and the next question goes over another one.
pub(super) const HISTORY_TRIES_MAX: u32 = 5;

/// Reads balances in one query, in the order of the keys, and again while the store is away and
/// `may_go_on`. Balances of another history than the claim's are none to decide on.
///
/// # Errors
/// [`StopReason`]: the worker ends.
pub(super) async fn load(
    store: &dyn BalanceStore,
    keys: &[ShardedKey],
    claimed_in: Incarnation,
    retries_max: u32,
    may_go_on: impl Fn() -> bool,
) -> Result<Vec<VersionedBalance>, StopReason> {
    let began = Instant::now();
    let mut backoff = Backoff::new();
    let mut of_other_histories = 0;
    loop {
        match store.load(keys.to_vec()).await {
            Ok(loaded) if loaded.incarnation != claimed_in => {
                of_other_histories += 1;
                if of_other_histories > HISTORY_TRIES_MAX {
                    // Which of the two the claim is of is found out by claiming anew, here or
                    // elsewhere.
                    return Err(StopReason::LeaseUnsure);
                }
                tracing::warn!("balances of another history of the database, asking again");
            }
            Ok(loaded) if loaded.balances.len() == keys.len() => {
                meter::stage(Stage::Load, began.elapsed());
                return Ok(loaded.balances);
            }
            Ok(loaded) => {
                return Err(StopReason::Fault(format!(
                    "asked for {} balances and got {}",
                    keys.len(),
                    loaded.balances.len()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::balance_store::{LoadedBalances, MockBalanceStore};
    use crate::testkit::{INCARNATION, account_id, code};
    use axs_domain::balance::BalanceKey;
    use axs_domain::id::ShardId;

    fn key() -> ShardedKey {
        let key = BalanceKey {
            account_id: account_id(1),
            currency: code("USD"),
        };
        (ShardId::MIN, key)
    }

    /// A store that answers of these histories, one after the other.
    fn store(mut histories: Vec<Incarnation>) -> MockBalanceStore {
        histories.reverse();
        let mut store = MockBalanceStore::new();
        store.expect_load().returning(move |keys| {
            Ok(LoadedBalances {
                incarnation: histories.pop().unwrap(),
                balances: vec![VersionedBalance::ABSENT; keys.len()],
            })
        });
        store
    }

    #[tokio::test(start_paused = true)]
    async fn balances_of_another_history_are_asked_for_again_and_never_decided_on() {
        let other = Incarnation::new(INCARNATION.value() + 1);
        let load =
            async |store: MockBalanceStore| load(&store, &[key()], INCARNATION, 50, || true).await;
        let at_last = store(vec![other, other, INCARNATION]);
        assert_eq!(load(at_last).await, Ok(vec![VersionedBalance::ABSENT]));
        let never = store(vec![other; 6]);
        assert_eq!(load(never).await, Err(StopReason::LeaseUnsure));
    }
}
