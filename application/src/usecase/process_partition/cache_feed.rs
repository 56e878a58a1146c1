//! Committed balances on their way to the cache, off the critical path.

use crate::port::balance_cache::{BalanceCache, CommittedBalance};
use crate::usecase::backoff::Backoff;
use axs_domain::balance::BalanceKey;
use axs_domain::id::ShardId;
use axs_domain::incarnation::Incarnation;
use metrics::{counter, histogram};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The most balances that wait for the cache.
const WAITING_MAX: usize = 200_000;
/// The most balances of one cache write.
const WRITE_MAX: usize = 5_000;

/// Tells whether the writes that were offered together are out: each is in the cache, or gave way
/// to a newer one that was offered later under a ticket of its own.
#[derive(Debug)]
pub(crate) struct CacheTicket(Arc<Mark>);

/// What waits holds its ticket's mark; the mark that nothing holds any more is out.
#[derive(Debug)]
struct Mark {
    /// Later offers have higher numbers.
    number: u64,
    dropped: AtomicBool,
}

impl CacheTicket {
    /// Whether the writes are out.
    pub(crate) fn is_out(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && !self.was_dropped()
    }

    /// Whether one of the writes found no room, so that they will never be out.
    pub(crate) fn was_dropped(&self) -> bool {
        self.0.dropped.load(Ordering::Acquire)
    }
}

/// A balance that waits, and under which ticket.
#[derive(Debug, Clone)]
struct Waiting {
    balance: CommittedBalance,
    mark: Arc<Mark>,
}

impl Waiting {
    /// Whether this one is to be written instead of the other.
    fn supersedes(&self, other: &Self) -> bool {
        let rank = |it: &Self| (it.balance.stored.version, it.mark.number);
        rank(self) > rank(other)
    }
}

/// A write under way. One that panics, or whose future is dropped, leaves its tickets so that they
/// never look as if they were out.
struct Writing<'w> {
    taken: &'w [Waiting],
    answered: bool,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.answered {
            for one in self.taken {
                one.mark.dropped.store(true, Ordering::Release);
            }
        }
    }
}

/// The newest committed balances, waiting to be written to the cache.
///
/// Coalesced by balance: however slow the cache is, one waits at most once. Beyond a bound the
/// rest is dropped and counted; a later commit or fill makes the cache right. The cache never
/// stops a worker.
pub(crate) struct CacheFeed {
    cache: Arc<dyn BalanceCache>,
    waiting: Mutex<BTreeMap<(Incarnation, ShardId, BalanceKey), Waiting>>,
    more: Notify,
    offers: AtomicU64,
}

impl CacheFeed {
    pub(crate) fn new(cache: Arc<dyn BalanceCache>) -> Self {
        Self {
            cache,
            waiting: Mutex::new(BTreeMap::new()),
            more: Notify::new(),
            offers: AtomicU64::new(0),
        }
    }

    /// Takes committed balances in. Never waits.
    pub(crate) fn offer(
        &self,
        balances: impl IntoIterator<Item = CommittedBalance>,
    ) -> CacheTicket {
        let mark = Arc::new(Mark {
            number: self.offers.fetch_add(1, Ordering::Relaxed),
            dropped: AtomicBool::new(false),
        });
        let waiting = |balance| Waiting {
            balance,
            mark: Arc::clone(&mark),
        };
        self.put(balances.into_iter().map(waiting));
        CacheTicket(mark)
    }

    fn put(&self, offered: impl Iterator<Item = Waiting>) {
        let mut dropped = 0;
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            for one in offered {
                let room = waiting.len() < WAITING_MAX;
                let CommittedBalance {
                    incarnation,
                    shard_id,
                    key,
                    ..
                } = one.balance;
                // Versions of two histories are not compared.
                match waiting.entry((incarnation, shard_id, key)) {
                    Entry::Occupied(mut entry) => {
                        if one.supersedes(entry.get()) {
                            entry.insert(one);
                        }
                    }
                    Entry::Vacant(entry) if room => {
                        entry.insert(one);
                    }
                    Entry::Vacant(_) => {
                        one.mark.dropped.store(true, Ordering::Release);
                        dropped += 1;
                    }
                }
            }
        }
        if dropped > 0 {
            counter!("axs_cache_writes_dropped_total").increment(dropped);
        }
        self.more.notify_one();
    }

    /// Writes what waits until told to stop; a write that was begun is ended. What could not be
    /// written waits again.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let mut backoff = Backoff::new();
        while !stop.is_cancelled() {
            let balances = self.take();
            if balances.is_empty() {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = self.more.notified() => {}
                }
            } else if self.write(balances).await {
                backoff = Backoff::new();
            } else {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = backoff.pause() => {}
                }
            }
        }
    }

    /// Writes what waits, once through; gives up at the first failure or when the time ends.
    pub(crate) async fn flush(&self, timeout: Duration) {
        let all = async {
            loop {
                let balances = self.take();
                if balances.is_empty() || !self.write(balances).await {
                    break;
                }
            }
        };
        // What is left at the end is as good as dropped: versions make a later write right.
        let _ = tokio::time::timeout(timeout, all).await;
    }

    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() <= WRITE_MAX {
            return std::mem::take(&mut *waiting).into_values().collect();
        }
        let keys: Vec<_> = waiting.keys().take(WRITE_MAX).copied().collect();
        keys.iter().filter_map(|key| waiting.remove(key)).collect()
    }

    async fn write(&self, taken: Vec<Waiting>) -> bool {
        let began = Instant::now();
        let balances = taken.iter().map(|one| one.balance).collect();
        let mut writing = Writing {
            taken: &taken,
            answered: false,
        };
        fail::fail_point!("cache.before_write");
        let written = self.cache.write(balances).await;
        fail::fail_point!("cache.after_write");
        writing.answered = true;
        drop(writing);
        histogram!("axs_batch_seconds", "stage" => "cache").record(began.elapsed().as_secs_f64());
        match written {
            Ok(()) => true,
            Err(failure) => {
                counter!("axs_cache_write_failures_total").increment(1);
                tracing::warn!(%failure, "balances wait for the cache");
                self.put(taken.into_iter());
                false
            }
        }
    }
}
