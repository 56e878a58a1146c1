//! Redis as the ports promise it: versions guard what stands, beats end by themselves.
//!
//! Each balance that arrives is compared with what the store holds at that very moment: newer than
//! the store, or other than what the store had at that version, is a broken promise.

use crate::process::Process;
use crate::store::StoreServer;
use crate::world::{World, lock};
use async_trait::async_trait;
use axs_application::port::balance_cache::{BalanceCache, CacheError, CommittedBalance};
use axs_application::port::balance_store::{AccountBalances, BalancesSnapshot};
use axs_application::port::leader_beat::LeaderBeat;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::currency::CurrencyCode;
use axs_domain::id::{AccountId, OwnerId, PartitionId, ShardId};
use axs_domain::incarnation::Incarnation;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a fill makes an account a hit.
const FILL_TTL: Duration = Duration::from_secs(60);
/// How late a write may arrive.
const LATE_MILLIS_MAX: u64 = 8_000;

/// An account as the cache has it.
#[derive(Debug, Clone, Default)]
pub struct CachedAccount {
    pub complete_until: Option<Duration>,
    pub balances: BTreeMap<CurrencyCode, VersionedBalance>,
}

#[derive(Default)]
struct CacheState {
    accounts: BTreeMap<(Incarnation, ShardId, AccountId), CachedAccount>,
    beats: BTreeMap<PartitionId, Duration>,
}

/// The server.
pub struct CacheServer {
    world: Arc<World>,
    store: Arc<StoreServer>,
    state: Mutex<CacheState>,
    down: AtomicBool,
}

impl CacheServer {
    pub fn new(store: &Arc<StoreServer>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(&store.world),
            store: Arc::clone(store),
            state: Mutex::default(),
            down: AtomicBool::new(false),
        })
    }

    pub fn go_down(&self) {
        self.world.tally.count("cache outages");
        self.down.store(true, Ordering::SeqCst);
    }

    pub fn come_up(&self) {
        self.down.store(false, Ordering::SeqCst);
    }

    pub fn flush(&self) {
        self.world.tally.count("cache flushes");
        *lock(&self.state) = CacheState::default();
    }

    pub fn accounts(&self) -> BTreeMap<(ShardId, AccountId), CachedAccount> {
        let accounts = lock(&self.state).accounts.clone();
        let place = |((_, shard, account), cached)| ((shard, account), cached);
        accounts.into_iter().map(place).collect()
    }

    fn put(&self, balance: CommittedBalance) {
        let CommittedBalance {
            incarnation,
            shard_id,
            key,
            stored,
        } = balance;
        self.compare_with_the_store(shard_id, key, stored);
        let mut state = lock(&self.state);
        let place = (incarnation, shard_id, key.account_id);
        let account = state.accounts.entry(place).or_default();
        let known = account.balances.entry(key.currency).or_insert(stored);
        if known.version < stored.version {
            *known = stored;
        }
    }

    fn compare_with_the_store(&self, shard: ShardId, key: BalanceKey, cached: VersionedBalance) {
        let state = self.store.state();
        let absent = VersionedBalance::ABSENT;
        let stands = state.balances.get(&(shard, key)).unwrap_or(&absent);
        let place = usize::try_from(cached.version.value()).unwrap();
        let history = state.history.get(&(shard, key));
        let once = place
            .checked_sub(1)
            .and_then(|place| history?.get(place).copied());
        let name = format!("{} of account {}", key.currency, key.account_id);
        if cached.version > stands.version {
            let what = format!(
                "{name}: version {} comes to the cache while the store has {}",
                cached.version, stands.version
            );
            self.world.wrong("I9", what);
        } else if once.unwrap_or_default() != cached.balance {
            let what = format!("{name}: version {} is another in the cache", cached.version);
            self.world.wrong("I9", what);
        }
    }
}

fn away() -> CacheError {
    CacheError {
        address: "the simulated cache".to_owned(),
        reason: "no answer".to_owned(),
    }
}

/// One process's way to the cache.
#[derive(Clone)]
pub struct CacheClient {
    pub server: Arc<CacheServer>,
    pub process: Arc<Process>,
}

impl CacheClient {
    async fn ask<R: Send + 'static>(
        &self,
        what: &str,
        act: impl FnOnce(&CacheServer) -> R + Send + 'static,
    ) -> Result<R, CacheError> {
        self.process.pass().await;
        let server = Arc::clone(&self.server);
        let world = Arc::clone(&server.world);
        let rates = *world.weather.rates();
        if world.strikes(rates.cache_fails) || server.down.load(Ordering::SeqCst) {
            // What was asked may still happen, and late.
            if world.strikes(rates.cache_late) {
                let late = world.millis(10..LATE_MILLIS_MAX);
                let after = Arc::clone(&world);
                tokio::spawn(async move {
                    tokio::time::sleep(late).await;
                    after.tally.count("cache writes that arrived late");
                    act(&server);
                });
            }
            world.travel().await;
            self.process.pass().await;
            self.process.note(&format!("{what}: away"));
            return Err(away());
        }
        world.travel().await;
        let answer = act(&server);
        world.travel().await;
        self.process.pass().await;
        self.process.note(&format!("{what}: ok"));
        Ok(answer)
    }
}

#[async_trait]
impl BalanceCache for CacheClient {
    async fn read(
        &self,
        incarnation: Incarnation,
        accounts: Vec<(ShardId, AccountId)>,
    ) -> Result<Vec<Option<AccountBalances>>, CacheError> {
        self.ask("cache read", move |server| {
            let now = server.world.elapsed();
            let state = lock(&server.state);
            let of = |(shard_id, account_id): (ShardId, AccountId)| {
                let account = state.accounts.get(&(incarnation, shard_id, account_id))?;
                account.complete_until.filter(|until| *until > now)?;
                Some(AccountBalances {
                    shard_id,
                    account_id,
                    balances: account.balances.iter().map(|(c, b)| (*c, *b)).collect(),
                })
            };
            accounts.into_iter().map(of).collect()
        })
        .await
    }

    async fn write(&self, balances: Vec<CommittedBalance>) -> Result<(), CacheError> {
        self.ask("cache write", move |server| {
            for balance in balances {
                server.put(balance);
            }
        })
        .await
    }

    async fn fill(&self, snapshot: BalancesSnapshot) -> Result<(), CacheError> {
        self.ask("cache fill", move |server| {
            let until = server.world.elapsed() + FILL_TTL;
            let incarnation = snapshot.incarnation;
            for account in snapshot.accounts {
                let account_id = account.account_id;
                for (currency, stored) in account.balances {
                    let key = BalanceKey {
                        account_id,
                        currency,
                    };
                    server.put(CommittedBalance {
                        incarnation,
                        shard_id: account.shard_id,
                        key,
                        stored,
                    });
                }
                let place = (incarnation, account.shard_id, account_id);
                let mut state = lock(&server.state);
                state.accounts.entry(place).or_default().complete_until = Some(until);
            }
        })
        .await
    }
}

#[async_trait]
impl LeaderBeat for CacheClient {
    async fn beat(
        &self,
        _owner: OwnerId,
        partitions: Vec<PartitionId>,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        self.ask("beat", move |server| {
            let until = server.world.elapsed() + ttl;
            let mut state = lock(&server.state);
            for partition in partitions {
                state.beats.insert(partition, until);
            }
        })
        .await
    }

    async fn silent(&self, partitions: Vec<PartitionId>) -> Result<Vec<PartitionId>, CacheError> {
        self.ask("silent", move |server| {
            let now = server.world.elapsed();
            let state = lock(&server.state);
            let heard = |p: &PartitionId| state.beats.get(p).is_some_and(|until| *until > now);
            partitions.into_iter().filter(|p| !heard(p)).collect()
        })
        .await
    }
}
