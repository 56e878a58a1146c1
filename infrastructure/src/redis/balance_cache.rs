//! Balances in Redis, never ahead of the database and never going back.
//!
//! A write notes one currency of an account and a fill all of them; both replace only what is
//! older. In whatever order they arrive, the hash ends the same:
//!
//! | order | why the newer balance stays |
//! |---|---|
//! | fill read before the commit, write, fill arrives | the write made the hash, and its version is newer |
//! | fill arrives, write | the write's version is newer |
//! | write, older write | the older one is refused |
//!
//! The first row is why a write makes a hash that is not complete rather than wait for a fill, and
//! why what is written is kept for `retention` even if nobody reads it: as long as that outlasts
//! the time between a fill's reading and its arrival, no fill can bring an old balance back. An
//! evicted or lost hash can, until its fill expires: give the cache memory enough.
//!
//! The incarnation stands in the key, not in the value: balances of two histories of the database
//! never meet, so their versions are never compared, and those of before go by themselves.

use super::balance_hash::{amounts, key, parse};
use super::key_prefix::KeyPrefix;
use super::pools::RedisPools;
use async_trait::async_trait;
use axs_application::port::balance_cache::{BalanceCache, CacheError, CommittedBalance};
use axs_application::port::balance_store::{AccountBalances, BalancesSnapshot};
use axs_domain::balance::VersionedBalance;
use axs_domain::currency::CurrencyCode;
use axs_domain::id::{AccountId, ShardId};
use axs_domain::incarnation::Incarnation;
use redis::{
    ErrorKind, Pipeline, RedisResult, Script, ServerErrorKind, Value, cmd, from_redis_value,
};
use shaku::Component;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Balances that one run of the script stores, so that it holds Redis up for about a millisecond.
/// A fill of an account with more currencies is not split: a reader must never see half of it
/// called complete.
const BALANCES_PER_SCRIPT_MAX: usize = 1_000;

static STORE_NEWER: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("store_newer.lua")));

/// How the cache names and keeps its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceCacheSettings {
    /// What all keys of this deployment begin with.
    pub key_prefix: KeyPrefix,
    /// How long a fill makes an account a hit: what a lost write may stay unseen.
    pub fill_ttl: Duration,
    /// How long a hash is kept after it was last written. Longer than any fill is on its way.
    pub retention: Duration,
}

/// Balances as hashes, one for each account.
#[derive(Component)]
#[shaku(interface = BalanceCache)]
pub struct RedisBalanceCache {
    #[shaku(inject)]
    pools: Arc<dyn RedisPools>,
    /// How the cache names and keeps its hashes.
    #[shaku(default = unreachable!("the settings are given by whoever builds the container"))]
    settings: BalanceCacheSettings,
}

impl fmt::Debug for RedisBalanceCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBalanceCache")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl RedisBalanceCache {
    /// A cache on these connections.
    #[must_use]
    pub const fn new(pools: Arc<dyn RedisPools>, settings: BalanceCacheSettings) -> Self {
        Self { pools, settings }
    }

    fn key(&self, (incarnation, shard): Home, account: AccountId) -> String {
        key(&self.settings.key_prefix, shard, incarnation, account)
    }

    /// Runs the script for each chunk, all in one round trip; one more where Redis does not know
    /// the script yet, after its restart for example.
    async fn store(&self, chunks: Vec<Chunk>, complete_for: Duration) -> Result<(), CacheError> {
        let pool = self.pools.cache();
        let mut pipeline = Pipeline::with_capacity(chunks.len());
        self.add_chunks(&mut pipeline, &chunks, complete_for);
        let mut outcomes = pool.run(&mut pipeline).await?;
        if outcomes.iter().any(is_unknown_script) {
            // What was stored meanwhile is stored again, which changes nothing.
            let mut pipeline = Pipeline::with_capacity(chunks.len() + 1);
            let mut load = cmd("SCRIPT");
            load.arg("LOAD").arg(include_str!("store_newer.lua"));
            pipeline.add_command(load);
            self.add_chunks(&mut pipeline, &chunks, complete_for);
            outcomes = pool.run(&mut pipeline).await?;
        }
        outcomes
            .into_iter()
            .try_for_each(|outcome| outcome.map(|_| ()))
            .map_err(|error| pool.failed(&error))
    }

    fn add_chunks(&self, pipeline: &mut Pipeline, chunks: &[Chunk], complete_for: Duration) {
        // A hash must not go before the time that its fill names.
        let kept_for = self.settings.retention.max(complete_for);
        for chunk in chunks {
            let mut command = cmd("EVALSHA");
            command
                .arg(STORE_NEWER.get_hash())
                .arg(chunk.accounts.len());
            for account in &chunk.accounts {
                command.arg(self.key(chunk.home, *account));
            }
            command.arg(millis(kept_for)).arg(millis(complete_for));
            for (place, currency, stored) in &chunk.balances {
                command
                    .arg(*place)
                    .arg(currency.as_str())
                    .arg(stored.version.value())
                    .arg(amounts(stored.balance));
            }
            pipeline.add_command(command);
        }
    }
}

#[async_trait]
impl BalanceCache for RedisBalanceCache {
    async fn read(
        &self,
        incarnation: Incarnation,
        accounts: Vec<(ShardId, AccountId)>,
    ) -> Result<Vec<Option<AccountBalances>>, CacheError> {
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        let pool = self.pools.cache();
        let mut pipeline = Pipeline::with_capacity(accounts.len() + 1);
        // Fills name the time of Redis's clock until which they hold.
        pipeline.cmd("TIME");
        for (shard, account) in &accounts {
            pipeline
                .cmd("HGETALL")
                .arg(self.key((incarnation, *shard), *account));
        }
        let mut answers = pool.run(&mut pipeline).await?.into_iter();
        let now = match answers.next() {
            Some(Ok(time)) => redis_millis(time),
            Some(Err(error)) => return Err(pool.failed(&error)),
            None => None,
        };
        let now = now.ok_or_else(|| pool.failed(&"Redis did not tell its time"))?;
        if answers.len() != accounts.len() {
            return Err(pool.failed(&"Redis did not answer for every account"));
        }
        Ok(accounts
            .into_iter()
            .zip(answers)
            .map(|((shard_id, account_id), answer)| {
                let balances = parse(from_redis_value(answer.ok()?).ok()?, now)?;
                Some(AccountBalances {
                    shard_id,
                    account_id,
                    balances,
                })
            })
            .collect())
    }

    async fn write(&self, balances: Vec<CommittedBalance>) -> Result<(), CacheError> {
        if balances.is_empty() {
            return Ok(());
        }
        self.store(chunks_of_balances(balances), Duration::ZERO)
            .await
    }

    async fn fill(&self, snapshot: BalancesSnapshot) -> Result<(), CacheError> {
        if snapshot.accounts.is_empty() {
            return Ok(());
        }
        // Zero would be a write.
        let complete_for = self.settings.fill_ttl.max(Duration::from_millis(1));
        self.store(chunks_of_accounts(snapshot), complete_for).await
    }
}

/// Where hashes live together: the history they are of, and their shard.
type Home = (Incarnation, ShardId);

/// Balances of one home that one run of the script stores.
struct Chunk {
    home: Home,
    accounts: Vec<AccountId>,
    /// Each with the place of its account, from 1 as Lua counts.
    balances: Vec<(usize, CurrencyCode, VersionedBalance)>,
}

impl Chunk {
    const fn new(home: Home) -> Self {
        Self {
            home,
            accounts: Vec::new(),
            balances: Vec::new(),
        }
    }

    const fn is_full(&self) -> bool {
        self.balances.len() >= BALANCES_PER_SCRIPT_MAX
            || self.accounts.len() >= BALANCES_PER_SCRIPT_MAX
    }
}

fn chunks_of_balances(balances: Vec<CommittedBalance>) -> Vec<Chunk> {
    let mut by_home: BTreeMap<Home, Vec<CommittedBalance>> = BTreeMap::new();
    for balance in balances {
        let home = (balance.incarnation, balance.shard_id);
        by_home.entry(home).or_default().push(balance);
    }
    let mut chunks = Vec::new();
    for (home, balances) in by_home {
        for balances in balances.chunks(BALANCES_PER_SCRIPT_MAX) {
            let mut chunk = Chunk::new(home);
            let mut places = HashMap::new();
            for CommittedBalance { key, stored, .. } in balances {
                let place = *places.entry(key.account_id).or_insert_with(|| {
                    chunk.accounts.push(key.account_id);
                    chunk.accounts.len()
                });
                chunk.balances.push((place, key.currency, *stored));
            }
            chunks.push(chunk);
        }
    }
    chunks
}

fn chunks_of_accounts(snapshot: BalancesSnapshot) -> Vec<Chunk> {
    let mut by_shard: BTreeMap<ShardId, Vec<Chunk>> = BTreeMap::new();
    for account in snapshot.accounts {
        let chunks = by_shard.entry(account.shard_id).or_default();
        if chunks.last().is_none_or(Chunk::is_full) {
            chunks.push(Chunk::new((snapshot.incarnation, account.shard_id)));
        }
        if let Some(chunk) = chunks.last_mut() {
            chunk.accounts.push(account.account_id);
            let place = chunk.accounts.len();
            let balances = account.balances.into_iter();
            chunk
                .balances
                .extend(balances.map(|(currency, stored)| (place, currency, stored)));
        }
    }
    by_shard.into_values().flatten().collect()
}

fn is_unknown_script(outcome: &RedisResult<Value>) -> bool {
    matches!(outcome, Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
}

/// Milliseconds of the answer to TIME: seconds and microseconds.
fn redis_millis(time: Value) -> Option<u64> {
    let (seconds, micros): (u64, u64) = from_redis_value(time).ok()?;
    seconds.checked_mul(1_000)?.checked_add(micros / 1_000)
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
