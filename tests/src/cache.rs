//! The keys of one test in Redis.

use anyhow::Result;
use url::Url;

/// Keys looked at in one round trip.
const SCAN_COUNT: usize = 1_000;

/// Deletes every key under the prefix and says how many there were.
///
/// # Errors
/// Redis is away.
pub async fn clear(redis: &Url, prefix: &str) -> Result<usize> {
    let client = redis::Client::open(redis.as_str())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let (mut cursor, mut cleared) = (0u64, 0);
    loop {
        let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{prefix}*"))
            .arg("COUNT")
            .arg(SCAN_COUNT)
            .query_async(&mut connection)
            .await?;
        if !keys.is_empty() {
            let _: () = redis::cmd("DEL")
                .arg(&keys)
                .query_async(&mut connection)
                .await?;
            cleared += keys.len();
        }
        if next == 0 {
            return Ok(cleared);
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
