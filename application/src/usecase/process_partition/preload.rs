//! Filling the memory of a leader that has just begun.

use super::draft::ShardedKey;
use super::memory::BalanceMemory;
use crate::port::balance_store::BalanceStore;
use crate::port::store_error::StoreError;
use crate::usecase::preload::{PAGE_ROWS_MAX, Shown, with_rest};
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::id::{PartitionId, ShardId};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

type Page = Result<Vec<(BalanceKey, VersionedBalance)>, StoreError>;

/// The partitions of a process read ahead one at a time, so that together they take no more than one does.
#[derive(Clone)]
pub(crate) struct PreloadTurns(Arc<Semaphore>);

impl Default for PreloadTurns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// Reads the balances of one partition, shard by shard, until all are read or the memory is full.
///
/// What it reads is as of some moment since it was asked for, and may be decided anew by the time it comes. So
/// it never replaces what the memory holds, and ends where the memory is full: until then, the memory holds
/// everything that was decided or read since it was empty. Where it is emptied, [`Self::begin_anew`].
pub(super) struct BalancePreload {
    store: Arc<dyn BalanceStore>,
    turns: PreloadTurns,
    partition: PartitionId,
    all_shards: Vec<ShardId>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    shards: VecDeque<ShardId>,
    behind: Option<BalanceKey>,
    page: Option<AbortOnDropHandle<Page>>,
    began: Instant,
    read: usize,
    _shown: Shown,
}

impl BalancePreload {
    /// Of these shards: of none, it reads nothing.
    pub(super) fn new(
        store: Arc<dyn BalanceStore>,
        turns: PreloadTurns,
        partition: PartitionId,
        shards: Vec<ShardId>,
    ) -> Self {
        let mut preload = Self {
            store,
            turns,
            partition,
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
            read: 0,
            _shown: Shown::new(format!("balances of {}", self.partition)),
        });
    }

    /// The next page. Never, when there is nothing more to read. Cancel-safe.
    pub(super) async fn page(&mut self) -> Page {
        let Some(under_way) = &mut self.under_way else {
            return std::future::pending().await;
        };
        let Some(shard_id) = under_way.shards.front().copied() else {
            return std::future::pending().await;
        };
        let behind = under_way.behind;
        let page = under_way.page.get_or_insert_with(|| {
            let (store, turns) = (Arc::clone(&self.store), self.turns.clone());
            AbortOnDropHandle::new(tokio::spawn(async move {
                // Never closed. Were it, reading without a turn would do no harm.
                let _turn = turns.0.acquire().await.ok();
                with_rest(store.page_behind(shard_id, behind, PAGE_ROWS_MAX)).await
            }))
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
    pub(super) fn take(&mut self, page: Page, memory: &mut BalanceMemory) {
        let Some(under_way) = &mut self.under_way else {
            return;
        };
        let Some(shard_id) = under_way.shards.front().copied() else {
            return;
        };
        let partition = self.partition;
        let page = match page {
            Ok(page) => page,
            Err(failure) => {
                tracing::warn!(%partition, %failure, "balances are not read ahead any further");
                self.under_way = None;
                return;
            }
        };
        under_way.behind = page.last().map(|(key, _)| *key);
        if page.len() < usize::try_from(PAGE_ROWS_MAX).unwrap_or(usize::MAX) {
            under_way.shards.pop_front();
            under_way.behind = None;
        }
        let mut has_room = true;
        for (key, balance) in page {
            let key: ShardedKey = (shard_id, key);
            has_room = has_room && memory.put_aside(key, balance);
            under_way.read += usize::from(has_room);
        }
        if !has_room || under_way.shards.is_empty() {
            let (balances, took) = (under_way.read, under_way.began.elapsed());
            tracing::info!(%partition, balances, ?took, "balances are remembered");
            self.under_way = None;
        }
    }
}
