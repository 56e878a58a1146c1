//! The keys of one test in Redis.

use anyhow::Result;
use redis::aio::MultiplexedConnection;
use std::collections::BTreeSet;
use url::Url;

/// Keys looked at, or deleted, in one round trip: in steps, since KEYS over what others have cached
/// takes longer than a command may.
const KEYS_AT_ONCE: usize = 1_000;

/// Every key under the prefix, once. What is written meanwhile may be missing.
///
/// # Errors
/// Redis is away.
pub async fn keys(redis: &Url, prefix: &str) -> Result<BTreeSet<String>> {
    found(&mut connection(redis).await?, prefix).await
}

/// Deletes every key under the prefix and says how many there were.
///
/// # Errors
/// Redis is away.
pub async fn clear(redis: &Url, prefix: &str) -> Result<usize> {
    let mut connection = connection(redis).await?;
    let keys: Vec<String> = found(&mut connection, prefix).await?.into_iter().collect();
    for some in keys.chunks(KEYS_AT_ONCE) {
        let _: () = redis::cmd("UNLINK")
            .arg(some)
            .query_async(&mut connection)
            .await?;
    }
    Ok(keys.len())
}

async fn connection(redis: &Url) -> Result<MultiplexedConnection> {
    let client = redis::Client::open(redis.as_str())?;
    Ok(client.get_multiplexed_async_connection().await?)
}

async fn found(connection: &mut MultiplexedConnection, prefix: &str) -> Result<BTreeSet<String>> {
    let (mut cursor, mut found) = (0u64, BTreeSet::new());
    loop {
        let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            // The prefix opens the hash tag of every key.
            .arg(format!("{{{prefix}:*"))
            .arg("COUNT")
            .arg(KEYS_AT_ONCE)
            .query_async(connection)
            .await?;
        found.extend(keys);
        if next == 0 {
            return Ok(found);
        }
        cursor = next;
    }
}

/// One of Redis's own settings, as it reports it.
///
/// # Errors
/// Redis is away.
pub async fn server_setting(redis: &Url, name: &str) -> Result<String> {
    let client = redis::Client::open(redis.as_str())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let answer: Vec<String> = redis::cmd("CONFIG")
        .arg("GET")
        .arg(name)
        .query_async(&mut connection)
        .await?;
    Ok(answer.get(1).cloned().unwrap_or_default())
}
