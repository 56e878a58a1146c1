//! Redis: what may be lost without harm.
//!
//! | port | adapter | keys |
//! |---|---|---|
//! | `BalanceCache` | [`RedisBalanceCache`] | `{prefix:shard}:balances:incarnation:account`, a hash |
//! | `LeaderBeat` | [`RedisLeaderBeat`] | `{prefix:beats}:topic:partition`, the owner |
//! | `ReadinessProbe` | [`RedisProbe`] | none |
//!
//! The braces are hash tags: the keys that one script touches live in one slot of a cluster.

mod balance_cache;
mod balance_hash;
mod connection;
mod key_prefix;
mod leader_beat;
mod pools;
mod probe;

pub use balance_cache::{BalanceCacheSettings, RedisBalanceCache, RedisBalanceCacheParameters};
pub use key_prefix::{KeyPrefix, KeyPrefixError};
pub use leader_beat::{RedisLeaderBeat, RedisLeaderBeatParameters};
pub use pools::{
    RedisConnections, RedisConnectionsParameters, RedisPool, RedisPools, RedisSettings,
    RedisSettingsError,
};
pub use probe::RedisProbe;
