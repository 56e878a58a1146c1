//! Which history of the database this process last saw: under it alone cached balances are read.
//!
//! | metric | what it counts |
//! |---|---|
//! | `axs_incarnation_changes_total` | other histories seen than the one before |

use crate::port::balance_store::BalanceStore;
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::incarnation::Incarnation;
use shaku::{Component, Interface};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long after an answer the database is asked again: for about as long, balances of the history
/// before may be read from the cache after a failover, and for [`SEEN_FOR_MAX`] where the answers
/// are slow.
pub const INCARNATION_PERIOD: Duration = Duration::from_secs(1);

/// How long an answer is waited for. A database that takes longer is asked again.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(3);

/// How long what was seen stands when the database does not answer: a process that is cut off from
/// it can't know of a failover, so after this it has nothing to read the cache under.
pub const SEEN_FOR_MAX: Duration = Duration::from_secs(10);

/// Knows the incarnation without asking the store each time.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait IncarnationLookup: Interface {
    /// The one last seen; `None` before the first, and when nothing was heard for too long.
    fn last_seen(&self) -> Option<Incarnation>;

    /// Takes in one that came with an answer of the store, which was asked at `asked_at`. One from
    /// an older question than the last is passed over.
    fn saw(&self, incarnation: Incarnation, asked_at: Instant);

    /// Asks the store.
    ///
    /// # Errors
    /// [`StoreError`]: what was seen before stands for a while.
    async fn refresh(&self) -> Result<(), StoreError>;
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    incarnation: Incarnation,
    asked_at: Instant,
}

/// Keeps it in memory.
#[derive(Component)]
#[shaku(interface = IncarnationLookup)]
pub struct IncarnationSeen {
    #[shaku(inject)]
    store: Arc<dyn BalanceStore>,
    #[shaku(force_default)]
    seen: Mutex<Option<Seen>>,
}

impl IncarnationSeen {
    /// A lookup that has seen nothing yet.
    #[must_use]
    pub fn new(store: Arc<dyn BalanceStore>) -> Self {
        Self {
            store,
            seen: Mutex::new(None),
        }
    }
}

#[async_trait]
impl IncarnationLookup for IncarnationSeen {
    fn last_seen(&self) -> Option<Incarnation> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.filter(|seen| seen.asked_at.elapsed() < SEEN_FOR_MAX)
            .map(|seen| seen.incarnation)
    }

    fn saw(&self, incarnation: Incarnation, asked_at: Instant) {
        let now = Seen {
            incarnation,
            asked_at,
        };
        let before = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.is_some_and(|seen| seen.asked_at > asked_at) {
                return;
            }
            seen.replace(now)
        };
        if let Some(before) = before.filter(|before| before.incarnation != incarnation) {
            metrics::counter!("axs_incarnation_changes_total").increment(1);
            tracing::warn!(
                before = %before.incarnation, now = %incarnation,
                "the database has another history now: nothing that was cached before is read any more"
            );
        }
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        let asked_at = Instant::now();
        let answer = timeout(ANSWER_WAIT_MAX, self.store.incarnation()).await;
        let incarnation = answer.unwrap_or_else(|_| {
            Err(StoreError::Unavailable {
                store: "the balance store".to_owned(),
                reason: format!("did not tell its incarnation within {ANSWER_WAIT_MAX:?}"),
            })
        })?;
        self.saw(incarnation, asked_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::balance_store::MockBalanceStore;
    use crate::testkit::{INCARNATION, away};
    use tokio::time::advance;

    const OTHER: Incarnation = Incarnation::new(2);

    #[tokio::test(start_paused = true)]
    async fn nothing_is_known_before_the_store_answered_and_the_newest_question_counts() {
        let mut store = MockBalanceStore::new();
        store.expect_incarnation().return_once(|| Ok(INCARNATION));
        let lookup = IncarnationSeen::new(Arc::new(store));
        assert_eq!(lookup.last_seen(), None);
        let earlier = Instant::now();
        advance(Duration::from_millis(5)).await;
        lookup.refresh().await.unwrap();
        assert_eq!(lookup.last_seen(), Some(INCARNATION));
        lookup.saw(OTHER, earlier);
        assert_eq!(lookup.last_seen(), Some(INCARNATION), "an older question");
        advance(Duration::from_millis(5)).await;
        lookup.saw(OTHER, Instant::now());
        assert_eq!(lookup.last_seen(), Some(OTHER));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_leaves_what_was_seen_for_a_while_and_then_nothing() {
        let mut store = MockBalanceStore::new();
        store.expect_incarnation().returning(|| Err(away()));
        let lookup = IncarnationSeen::new(Arc::new(store));
        lookup.saw(INCARNATION, Instant::now());
        advance(SEEN_FOR_MAX - Duration::from_millis(1)).await;
        assert_eq!(lookup.refresh().await, Err(away()));
        assert_eq!(lookup.last_seen(), Some(INCARNATION));
        advance(Duration::from_millis(1)).await;
        assert_eq!(lookup.last_seen(), None);
    }

    /// Else one question without an answer would end the asking.
    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_silent_is_given_up() {
        struct Silent;
        #[async_trait]
        impl BalanceStore for Silent {
            async fn load(
                &self,
                _keys: Vec<(axs_domain::id::ShardId, axs_domain::balance::BalanceKey)>,
            ) -> Result<crate::port::balance_store::LoadedBalances, StoreError> {
                Err(away())
            }

            async fn page_behind(
                &self,
                _shard_id: axs_domain::id::ShardId,
                _behind: Option<axs_domain::balance::BalanceKey>,
                _balances_max: u32,
            ) -> Result<crate::port::balance_store::BalancesPage, StoreError> {
                Err(away())
            }

            async fn load_accounts(
                &self,
                _accounts: Vec<(axs_domain::id::ShardId, axs_domain::id::AccountId)>,
            ) -> Result<crate::port::balance_store::BalancesSnapshot, StoreError> {
                Err(away())
            }

            async fn incarnation(&self) -> Result<Incarnation, StoreError> {
                std::future::pending().await
            }
        }
        let lookup = IncarnationSeen::new(Arc::new(Silent));
        let asked = Instant::now();
        let error = lookup.refresh().await.unwrap_err();
        assert!(error.to_string().contains("3s"), "{error}");
        assert_eq!(asked.elapsed(), ANSWER_WAIT_MAX);
    }
}
