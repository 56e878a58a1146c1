//! What the claims stand on: keys of one's own on the Redis that `make test` names.

use axs_application::port::balance_cache::{BalanceCache, CommittedBalance};
use axs_application::port::balance_store::{AccountBalances, BalancesSnapshot};
use axs_domain::amount::Amount;
use axs_domain::balance::{Balance, BalanceKey, VersionedBalance};
use axs_domain::currency::CurrencyCode;
use axs_domain::id::{AccountId, BalanceVersion, ShardId};
use axs_domain::incarnation::Incarnation;
use axs_infrastructure::redis::{
    BalanceCacheSettings, KeyPrefix, RedisBalanceCache, RedisConnections, RedisPools, RedisSettings,
};
use redis::aio::MultiplexedConnection;
use std::sync::Arc;
use std::time::Duration;

/// Far longer than Redis needs in a test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The history of the claims that have no other.
pub const INCARNATION: Incarnation = Incarnation::new(0xA55);

pub fn url() -> String {
    let name = "AXS_TEST_REDIS_URL";
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run the tests by `make test`"))
}

pub fn settings(url: &str) -> RedisSettings {
    RedisSettings {
        url: url.to_owned(),
        cache_connections: 2,
        beat_connections: 1,
        connect_timeout: Duration::from_secs(2),
        checkout_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(5),
    }
}

pub fn pools(url: &str) -> Arc<dyn RedisPools> {
    Arc::new(RedisConnections::try_new(&settings(url)).unwrap())
}

pub fn unused_prefix() -> KeyPrefix {
    KeyPrefix::parse(&format!("axs-t-{:016x}", rand::random::<u64>())).unwrap()
}

/// A cache of one test, and a plain connection beside it.
pub struct Fixture {
    pub cache: RedisBalanceCache,
    pub plain: MultiplexedConnection,
    pub prefix: KeyPrefix,
}

impl Fixture {
    pub async fn new() -> Self {
        Self::with_fill_ttl(Duration::from_mins(1)).await
    }

    pub async fn with_fill_ttl(fill_ttl: Duration) -> Self {
        let prefix = unused_prefix();
        Self {
            cache: cache(&url(), &prefix, fill_ttl),
            plain: plain().await,
            prefix,
        }
    }

    /// The name of an account's hash in Redis.
    pub fn key(&self, shard_number: i32, number: i64) -> String {
        format!(
            "{{{}:{shard_number}}}:balances:{INCARNATION}:{number}",
            self.prefix
        )
    }

    /// The balances of an account, if it is a hit.
    pub async fn balances(
        &self,
        shard_number: i32,
        number: i64,
    ) -> Option<Vec<(CurrencyCode, VersionedBalance)>> {
        let asked = vec![(shard(shard_number), account(number))];
        let answer = self
            .cache
            .read(INCARNATION, asked)
            .await
            .unwrap()
            .remove(0)?;
        assert_eq!(
            (answer.shard_id, answer.account_id),
            (shard(shard_number), account(number))
        );
        Some(answer.balances)
    }
}

pub fn cache(url: &str, prefix: &KeyPrefix, fill_ttl: Duration) -> RedisBalanceCache {
    let settings = BalanceCacheSettings {
        key_prefix: prefix.clone(),
        fill_ttl,
        retention: Duration::from_mins(2),
    };
    RedisBalanceCache::new(pools(url), settings)
}

pub async fn plain() -> MultiplexedConnection {
    let client = redis::Client::open(url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

pub fn shard(number: i32) -> ShardId {
    ShardId::try_new(number).unwrap()
}

pub fn account(number: i64) -> AccountId {
    AccountId::try_new(number).unwrap()
}

pub fn code(text: &str) -> CurrencyCode {
    CurrencyCode::parse(text).unwrap()
}

/// A balance whose amounts tell its version.
pub fn stored(version: i64) -> VersionedBalance {
    VersionedBalance {
        balance: Balance {
            available: Amount::try_from_units(i128::from(version) * 1_000_000_007).unwrap(),
            frozen: Amount::try_from_units(-i128::from(version)).unwrap(),
        },
        version: BalanceVersion::try_new(version).unwrap(),
    }
}

pub fn committed(shard_number: i32, number: i64, currency: &str, version: i64) -> CommittedBalance {
    CommittedBalance {
        incarnation: INCARNATION,
        shard_id: shard(shard_number),
        key: BalanceKey {
            account_id: account(number),
            currency: code(currency),
        },
        stored: stored(version),
    }
}

/// Accounts read together.
pub fn snapshot(accounts: Vec<AccountBalances>) -> BalancesSnapshot {
    BalancesSnapshot {
        incarnation: INCARNATION,
        accounts,
    }
}

pub fn filled(shard_number: i32, number: i64, balances: &[(&str, i64)]) -> AccountBalances {
    AccountBalances {
        shard_id: shard(shard_number),
        account_id: account(number),
        balances: balances
            .iter()
            .map(|(currency, version)| (code(currency), stored(*version)))
            .collect(),
    }
}
