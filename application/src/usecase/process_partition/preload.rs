//! Filling the memory of a leader that has just begun.

use super::draft::ShardedKey;
use super::load::HISTORY_TRIES_MAX;
use super::memory::BalanceMemory;
use crate::port::balance_store::{BalanceStore, BalancesPage};
use crate::port::store_error::StoreError;
use crate::usecase::preload::{PAGE_ROWS_MAX, RETRY_PAUSE, Raised, then_rest};
use axs_domain::balance::BalanceKey;
use axs_domain::id::{PartitionId, ShardId};
use axs_domain::incarnation::Incarnation;
use metrics::gauge;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

type Page = Result<BalancesPage, StoreError>;

/// The partitions of a process preload one at a time, so that together they take no more than one
/// does.
#[derive(Clone)]
pub(crate) struct PreloadTurns(Arc<Semaphore>);

impl Default for PreloadTurns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// Reads the balances of one partition, shard by shard, until all are read or the memory is full.
///
/// A page may be older than what has been decided since it was asked for. So it never replaces what
/// the memory holds, and preloading ends when the memory is full: until then nothing was forgotten,
/// so whatever is newer is still there. Whoever empties the memory calls [`Self::begin_anew`].
///
/// A page of another history than the claim's (over an old connection, a server that was replaced
/// may answer) is asked for again, but no more than [`HISTORY_TRIES_MAX`] times: the claim may be
/// of the old history. One that can't be read now is asked for until it can. What this build can't
/// read ends it until then: what is missing is loaded when an event needs it.
pub(super) struct BalancePreload {
    store: Arc<dyn BalanceStore>,
    turns: PreloadTurns,
    partition: PartitionId,
    claimed_in: Incarnation,
    all_shards: Vec<ShardId>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    shards: VecDeque<ShardId>,
    behind: Option<BalanceKey>,
    page: Option<AbortOnDropHandle<Page>>,
    began: Instant,
    remembered: usize,
    _shown: Raised,
}

impl BalancePreload {
    /// Of these shards: of none, it reads nothing.
    pub(super) fn new(
        store: Arc<dyn BalanceStore>,
        turns: PreloadTurns,
        partition: PartitionId,
        claimed_in: Incarnation,
        shards: Vec<ShardId>,
    ) -> Self {
        let mut preload = Self {
            store,
            turns,
            partition,
            claimed_in,
            all_shards: shards,
            under_way: None,
        };
        preload.begin_anew();
        preload
    }

    /// Throws away what is being read and begins again.
    pub(super) fn begin_anew(&mut self) {
        // The one before is let go of first: each tells when it ends.
        self.under_way = None;
        if self.all_shards.is_empty() {
            return;
        }
        self.under_way = Some(UnderWay {
            shards: self.all_shards.clone().into(),
            behind: None,
            page: None,
            began: Instant::now(),
            remembered: 0,
            _shown: Raised::new(gauge!(
                "axs_balances_preloading",
                "partition" => self.partition.to_string()
            )),
        });
    }

    /// The next page. Never, when there is nothing more to read. Cancel-safe.
    pub(super) async fn next_page(&mut self) -> Page {
        let Some(under_way) = &mut self.under_way else {
            return std::future::pending().await;
        };
        let Some(shard_id) = under_way.shards.front().copied() else {
            return std::future::pending().await;
        };
        let behind = under_way.behind;
        let page = under_way.page.get_or_insert_with(|| {
            let reading = Reading {
                store: Arc::clone(&self.store),
                turns: self.turns.clone(),
                partition: self.partition,
                claimed_in: self.claimed_in,
            };
            AbortOnDropHandle::new(tokio::spawn(reading.page_behind(shard_id, behind)))
        });
        let page = page.await;
        under_way.page = None;
        page.unwrap_or_else(|died| {
            Err(StoreError::Unavailable {
                store: "the store's task".to_owned(),
                reason: died.to_string(),
            })
        })
    }

    /// Puts a page into the memory.
    pub(super) fn remember(&mut self, page: Page, memory: &mut BalanceMemory) {
        let Some(under_way) = &mut self.under_way else {
            return;
        };
        let Some(shard_id) = under_way.shards.front().copied() else {
            return;
        };
        let partition = self.partition;
        let page = match page {
            Ok(page) => page.balances,
            Err(failure) => {
                tracing::warn!(%partition, %failure, "balances are preloaded no further");
                self.under_way = None;
                return;
            }
        };
        under_way.behind = page.last().map(|(key, _)| *key);
        if page.len() < usize::try_from(PAGE_ROWS_MAX).unwrap_or(usize::MAX) {
            under_way.shards.pop_front();
            under_way.behind = None;
        }
        for (key, balance) in page {
            let key: ShardedKey = (shard_id, key);
            under_way.remembered += usize::from(memory.preload(key, balance));
        }
        if !memory.has_room() || under_way.shards.is_empty() {
            let (balances, took) = (under_way.remembered, under_way.began.elapsed());
            tracing::info!(%partition, balances, ?took, "balances are preloaded");
            self.under_way = None;
        }
    }
}

/// What it takes to read a page in a task of its own.
struct Reading {
    store: Arc<dyn BalanceStore>,
    turns: PreloadTurns,
    partition: PartitionId,
    claimed_in: Incarnation,
}

impl Reading {
    /// Reads a page in its turn, again until it can be read.
    async fn page_behind(self, shard_id: ShardId, behind: Option<BalanceKey>) -> Page {
        let mut of_other_histories = 0;
        loop {
            // Never closed. Were it, reading without a turn would do no harm.
            let turn = self.turns.0.acquire().await;
            let page = self.store.page_behind(shard_id, behind, PAGE_ROWS_MAX);
            let failure = match then_rest(page).await {
                Ok(page) if page.incarnation == self.claimed_in => return Ok(page),
                Ok(_) => {
                    of_other_histories += 1;
                    StoreError::Unavailable {
                        store: "the store of balances".to_owned(),
                        reason: "it answers in another history of the database".to_owned(),
                    }
                }
                Err(failure @ StoreError::Corrupt { .. }) => return Err(failure),
                Err(failure) => failure,
            };
            drop(turn);
            if of_other_histories > HISTORY_TRIES_MAX {
                return Err(failure);
            }
            let partition = self.partition;
            tracing::warn!(%partition, %failure, "balances could not be preloaded, trying again");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::balance_store::{BalancesSnapshot, LoadedBalances};
    use crate::testkit::{INCARNATION, away};
    use async_trait::async_trait;
    use axs_domain::id::AccountId;
    use std::collections::VecDeque as Answers;
    use std::num::NonZeroUsize;
    use std::sync::Mutex;
    use std::time::Duration;

    /// A store whose pages are empty and take a while, but for those of `answers`; and how many of
    /// them were under way at once.
    #[derive(Default)]
    struct Pages {
        under_way: Mutex<(usize, usize)>,
        answers: Mutex<Answers<Page>>,
    }

    fn empty(incarnation: Incarnation) -> BalancesPage {
        BalancesPage {
            incarnation,
            balances: Vec::new(),
        }
    }

    #[async_trait]
    impl BalanceStore for Pages {
        async fn page_behind(&self, _: ShardId, _: Option<BalanceKey>, _: u32) -> Page {
            {
                let mut counts = self.under_way.lock().unwrap();
                counts.0 += 1;
                counts.1 = counts.1.max(counts.0);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.under_way.lock().unwrap().0 -= 1;
            let answer = self.answers.lock().unwrap().pop_front();
            answer.unwrap_or_else(|| Ok(empty(INCARNATION)))
        }

        async fn load(&self, _: Vec<(ShardId, BalanceKey)>) -> Result<LoadedBalances, StoreError> {
            Err(away())
        }

        async fn load_accounts(
            &self,
            _: Vec<(ShardId, AccountId)>,
        ) -> Result<BalancesSnapshot, StoreError> {
            Err(away())
        }

        async fn incarnation(&self) -> Result<Incarnation, StoreError> {
            Err(away())
        }
    }

    fn of_partition(number: i32, store: &Arc<Pages>, turns: &PreloadTurns) -> BalancePreload {
        let partition = PartitionId::try_new(number).unwrap();
        let shards = (0..5).map(|shard| ShardId::try_new(shard).unwrap());
        let store: Arc<dyn BalanceStore> = store.clone();
        BalancePreload::new(
            store,
            turns.clone(),
            partition,
            INCARNATION,
            shards.collect(),
        )
    }

    fn memory() -> BalanceMemory {
        BalanceMemory::new(NonZeroUsize::new(10).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn two_partitions_of_a_process_never_read_a_page_at_once() {
        let (store, turns) = (Arc::new(Pages::default()), PreloadTurns::default());
        let began = Instant::now();
        let workers = [0, 1].map(|number| {
            let mut preload = of_partition(number, &store, &turns);
            tokio::spawn(async move {
                let mut memory = memory();
                for _ in 0..5 {
                    let page = preload.next_page().await;
                    preload.remember(page, &mut memory);
                }
            })
        });
        for worker in workers {
            worker.await.unwrap();
        }
        assert_eq!(store.under_way.lock().unwrap().1, 1);
        // Ten pages, each with its rest.
        assert!(began.elapsed() >= Duration::from_millis(400));
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_not_be_read_now_or_is_of_another_history_is_asked_for_again() {
        let (store, turns) = (Arc::new(Pages::default()), PreloadTurns::default());
        let other = Ok(empty(Incarnation::new(INCARNATION.value() + 1)));
        store.answers.lock().unwrap().extend([Err(away()), other]);
        let mut preload = of_partition(0, &store, &turns);
        assert_eq!(preload.next_page().await, Ok(empty(INCARNATION)));
        assert_eq!(store.answers.lock().unwrap().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_stays_in_another_history_is_not_asked_for_ever() {
        let (store, turns) = (Arc::new(Pages::default()), PreloadTurns::default());
        let other = || Ok(empty(Incarnation::new(INCARNATION.value() + 1)));
        store
            .answers
            .lock()
            .unwrap()
            .extend((0..100).map(|_| other()));
        let mut preload = of_partition(0, &store, &turns);
        assert!(preload.next_page().await.is_err());
        let asked = 100 - store.answers.lock().unwrap().len();
        assert_eq!(asked, usize::try_from(HISTORY_TRIES_MAX + 1).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_this_build_can_not_read_ends_preloading_until_the_memory_is_emptied() {
        let (store, turns) = (Arc::new(Pages::default()), PreloadTurns::default());
        let corrupt = StoreError::Corrupt {
            store: "the store".to_owned(),
            reason: "a balance of NaN".to_owned(),
        };
        store
            .answers
            .lock()
            .unwrap()
            .push_back(Err(corrupt.clone()));
        let mut preload = of_partition(0, &store, &turns);
        let page = preload.next_page().await;
        assert_eq!(page, Err(corrupt));
        preload.remember(page, &mut memory());
        let hour = Duration::from_secs(3_600);
        assert!(
            tokio::time::timeout(hour, preload.next_page())
                .await
                .is_err()
        );
        preload.begin_anew();
        preload.next_page().await.unwrap();
    }
}
