//! Reading into memory, from the start on, what would otherwise be read for the first event that needs it.
//!
//! A process that begins, or a leader that takes over, remembers nothing, and with many accounts nearly every
//! event is the first of its account: each costs a look-up in pages that nobody else has touched lately. Read
//! page by page in the order of a key, rows cost a fraction of that.
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
//! | `axs_preloading` | 1 while it reads |

use super::account_lookup::AccountLookup;
use async_trait::async_trait;
use axs_domain::incarnation::Incarnation;
use metrics::{Gauge, gauge};
use shaku::{Component, Interface};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The most rows that are read at once.
pub(crate) const PAGE_ROWS_MAX: u32 = 2_000;

/// A rest is so many times as long as what it follows.
const REST_PARTS: u32 = 3;

/// How often it is looked whether the database has another history, in which all was forgotten; and the pause
/// after a page that could not be read.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Awaits a page, and rests.
pub(crate) async fn with_rest<Page>(page: impl Future<Output = Page>) -> Page {
    let began = Instant::now();
    let page = page.await;
    sleep(began.elapsed() * REST_PARTS).await;
    page
}

/// Shows as long as it lives that something is read.
pub(crate) struct Shown(Gauge);

impl Shown {
    /// `of` says what is read.
    pub(crate) fn new(of: String) -> Self {
        let shown = gauge!("axs_preloading", "of" => of);
        shown.set(1.0);
        Self(shown)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.set(0.0);
    }
}

/// Remembers accounts before they are asked for.
///
/// # Contract
/// - Where the database turns out to have another history, it begins anew.
/// - A page that can't be read is tried again.
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
}

impl AccountPreload {
    /// A preload of what this lookup remembers.
    #[must_use]
    pub fn new(accounts: Arc<dyn AccountLookup>) -> Self {
        Self { accounts }
    }

    /// Reads all pages, of one history. Gives which it was.
    async fn all(&self) -> Incarnation {
        let _shown = Shown::new("accounts".to_owned());
        let began = Instant::now();
        let mut below = None;
        let mut history = None;
        let mut remembered = 0;
        loop {
            match with_rest(self.accounts.preload(below)).await {
                Ok(page) if history.is_some_and(|history| history != page.incarnation) => {
                    below = None;
                    history = None;
                    remembered = 0;
                }
                Ok(page) => {
                    history = Some(page.incarnation);
                    remembered += page.remembered;
                    below = page.next;
                    if below.is_none() {
                        let took = began.elapsed();
                        tracing::info!(accounts = remembered, ?took, "accounts are remembered");
                        return page.incarnation;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "accounts could not be read ahead, trying again");
                    sleep(LOOK_AGAIN).await;
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
                let history = self.all().await;
                while self.accounts.history().is_none_or(|now| now == history) {
                    sleep(LOOK_AGAIN).await;
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
    use axs_domain::id::AccountId;
    use mockall::Sequence;
    use mockall::predicate::eq;

    const OTHER: Incarnation = Incarnation::new(2);

    fn page(incarnation: Incarnation, next: Option<AccountId>) -> AccountsPreloaded {
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
            (None, Ok(page(INCARNATION, ninth))),
            (ninth, Err(away())),
            (ninth, Ok(page(INCARNATION, third))),
            // Met while it reads: what was remembered is gone.
            (third, Ok(page(OTHER, None))),
            (None, Ok(page(OTHER, None))),
            // Met afterwards.
            (None, Ok(page(INCARNATION, None))),
        ] {
            lookup
                .expect_preload()
                .with(eq(below))
                .times(1)
                .in_sequence(&mut order)
                .return_once(move |_| answer);
        }
        lookup.expect_history().times(3).returning(|| Some(OTHER));
        lookup.expect_history().returning(|| Some(INCARNATION));
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(20)).await;
            stopping.cancel();
        });
        AccountPreload::new(Arc::new(lookup)).run(stop).await;
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_page_it_rests_three_times_as_long_as_the_page_took() {
        let began = Instant::now();
        with_rest(sleep(Duration::from_millis(10))).await;
        assert_eq!(began.elapsed(), Duration::from_millis(40));
    }
}
