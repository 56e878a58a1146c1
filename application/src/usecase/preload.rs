//! Preloading: reading into memory, from the start on, what would otherwise be read for the first
//! event that needs it.
//!
//! A process that begins, or a leader that takes over, remembers nothing, and with many accounts
//! nearly every event is the first of its account: each costs a look-up in pages that nobody else
//! has touched lately. Read page by page in the order of a key, rows cost a fraction of that.
//!
//! # Bounds
//! | what | bound |
//! |---|---|
//! | what is read | what the memory has room for: nothing is forgotten for it |
//! | rows of a page | [`PAGE_ROWS_MAX`] |
//! | one connection's time | one part in four: after each page it rests three times as long as the page took |
//!
//! | metric | what it counts |
//! |---|---|
//! | `axs_accounts_preloading`, `axs_balances_preloading` | 1 while it reads |

use super::account_lookup::{AccountLookup, NextPage};
use super::incarnation_lookup::IncarnationLookup;
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::incarnation::Incarnation;
use lru::LruCache;
use metrics::{Gauge, gauge};
use shaku::{Component, Interface};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The most rows that are read at once.
pub(crate) const PAGE_ROWS_MAX: u32 = 2_000;

/// A rest lasts this many times as long as the page before it.
const REST_FACTOR: u32 = 3;

/// How often it is looked whether the database has another history, in which all was forgotten.
const HISTORY_CHECK_PERIOD: Duration = Duration::from_secs(1);

/// The pause after a page that could not be read, or was of another history than the one before.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Awaits a page, then rests [`REST_FACTOR`] times as long as it took; the page is given after the
/// rest.
pub(crate) async fn then_rest<Page>(page: impl Future<Output = Page>) -> Page {
    let began = Instant::now();
    let page = page.await;
    sleep(began.elapsed() * REST_FACTOR).await;
    page
}

/// Remembers what nobody asked for yet, as the first to be forgotten. `false`: it is known already,
/// or there is no room.
pub(crate) fn preload_into<K: Hash + Eq + Copy, V>(
    memory: &mut LruCache<K, V>,
    key: K,
    value: V,
) -> bool {
    let is_new = !memory.contains(&key) && has_room(memory);
    if is_new {
        memory.put(key, value);
        memory.demote(&key);
    }
    is_new
}

/// Whether one more is remembered without forgetting another.
pub(crate) fn has_room<K: Hash + Eq, V>(memory: &LruCache<K, V>) -> bool {
    memory.len() < memory.cap().get()
}

/// Lets go of a memory: millions take a while, so not on a thread that others wait for.
pub(crate) fn let_go<K, V>(memory: LruCache<K, V>)
where
    K: Hash + Eq + Send + 'static,
    V: Send + 'static,
{
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn_blocking(move || drop(memory));
    }
}

/// A gauge that is at 1 as long as this lives, and then at 0.
pub(crate) struct Raised(Gauge);

impl Raised {
    /// Raises it.
    pub(crate) fn new(gauge: Gauge) -> Self {
        gauge.set(1.0);
        Self(gauge)
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.set(0.0);
    }
}

/// Remembers accounts before they are asked for.
///
/// # Contract
/// - Where the database turns out to have another history, it begins anew.
/// - A page that can't be read now is tried again. One that holds what this build can't read ends
///   it, until the database has another history.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait PreloadAccounts: Interface {
    /// Reads until all are remembered or memory is full, and then stands by until it is stopped.
    async fn run(&self, stop: CancellationToken);
}

/// Preloads what [`AccountLookup`] remembers.
#[derive(Component)]
#[shaku(interface = PreloadAccounts)]
pub struct AccountPreload {
    #[shaku(inject)]
    accounts: Arc<dyn AccountLookup>,
    #[shaku(inject)]
    incarnations: Arc<dyn IncarnationLookup>,
}

impl AccountPreload {
    /// A preload of what this lookup remembers.
    #[must_use]
    pub fn new(accounts: Arc<dyn AccountLookup>, incarnations: Arc<dyn IncarnationLookup>) -> Self {
        Self {
            accounts,
            incarnations,
        }
    }

    /// Preloads until there are no more accounts, or no room, or one can't be read. Gives the
    /// history that all of them are of, if one was told.
    async fn fill(&self) -> Option<Incarnation> {
        let _shown = Raised::new(gauge!("axs_accounts_preloading"));
        let began = Instant::now();
        let mut below = None;
        let mut history = None;
        let mut remembered = 0;
        loop {
            match then_rest(self.accounts.preload(below)).await {
                Ok(page) if history.is_some_and(|history| history != page.incarnation) => {
                    below = None;
                    history = None;
                    remembered = 0;
                    // Two servers may answer in turn for a while, over old connections and new
                    // ones.
                    sleep(RETRY_PAUSE).await;
                }
                Ok(page) => {
                    history = Some(page.incarnation);
                    remembered += page.remembered;
                    match page.next {
                        // Asked for again: another history was seen meanwhile.
                        NextPage::Below(next) if next == below => sleep(RETRY_PAUSE).await,
                        NextPage::Below(next) => below = next,
                        NextPage::Nowhere => {
                            let took = began.elapsed();
                            tracing::info!(accounts = remembered, ?took, "accounts are preloaded");
                            return history;
                        }
                    }
                }
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(%error, "accounts are preloaded no further");
                    return history.or_else(|| self.incarnations.last_seen());
                }
                Err(error) => {
                    tracing::warn!(%error, "accounts could not be preloaded, trying again");
                    sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}

#[async_trait]
impl PreloadAccounts for AccountPreload {
    async fn run(&self, stop: CancellationToken) {
        let rounds = async {
            loop {
                let filled = self.fill().await;
                let last_seen = || self.incarnations.last_seen();
                while last_seen().is_none_or(|now| Some(now) == filled) {
                    sleep(HISTORY_CHECK_PERIOD).await;
                }
            }
        };
        // Only reads: dropping them half-way is harmless.
        let _: Option<()> = stop.run_until_cancelled(rounds).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{INCARNATION, account_id, away};
    use crate::usecase::account_lookup::{AccountsPreloaded, MockAccountLookup};
    use crate::usecase::incarnation_lookup::MockIncarnationLookup;
    use mockall::Sequence;
    use mockall::predicate::eq;

    const OTHER: Incarnation = Incarnation::new(2);

    fn page(incarnation: Incarnation, next: NextPage) -> AccountsPreloaded {
        AccountsPreloaded {
            incarnation,
            remembered: 2,
            next,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pages_follow_one_another_and_all_begins_anew_in_another_history() {
        let (third, ninth) = (Some(account_id(3)), Some(account_id(9)));
        let mut lookup = MockAccountLookup::new();
        let mut order = Sequence::new();
        for (below, answer) in [
            // Of the first page nothing is kept yet.
            (None, Ok(page(OTHER, NextPage::Below(None)))),
            (None, Ok(page(INCARNATION, NextPage::Below(ninth)))),
            (None, Ok(page(INCARNATION, NextPage::Below(ninth)))),
            (ninth, Err(away())),
            (ninth, Ok(page(INCARNATION, NextPage::Below(third)))),
            // Met while it reads: what was remembered is gone.
            (third, Ok(page(OTHER, NextPage::Nowhere))),
            (None, Ok(page(OTHER, NextPage::Nowhere))),
            // Met afterwards.
            (None, Ok(page(INCARNATION, NextPage::Nowhere))),
        ] {
            lookup
                .expect_preload()
                .with(eq(below))
                .times(1)
                .in_sequence(&mut order)
                .return_once(move |_| answer);
        }
        let mut incarnations = MockIncarnationLookup::new();
        let mut seen = vec![Some(OTHER), None, Some(OTHER)];
        incarnations
            .expect_last_seen()
            .returning(move || seen.pop().unwrap_or(Some(INCARNATION)));
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(20)).await;
            stopping.cancel();
        });
        AccountPreload::new(Arc::new(lookup), Arc::new(incarnations))
            .run(stop)
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_page_it_rests_three_times_as_long_as_the_page_took() {
        let began = Instant::now();
        then_rest(sleep(Duration::from_millis(10))).await;
        assert_eq!(began.elapsed(), Duration::from_millis(40));
    }
}
