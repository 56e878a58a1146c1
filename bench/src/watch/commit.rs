//! What one commit costs on this disk.

use crate::load::{LATENCY_MAX_US, latencies};
use anyhow::Result;
use axs_tests::database::Database;
use hdrhistogram::Histogram;
use sqlx::{Connection, Executor, PgConnection};
use std::time::{Duration, Instant};

/// Inserts one row a transaction on one connection for so long: the time of each, in microseconds.
///
/// # Errors
/// PostgreSQL is away.
pub async fn commits(database: &Database, time: Duration) -> Result<Histogram<u64>> {
    let mut connection = PgConnection::connect(database.url.as_str()).await?;
    connection
        .execute("CREATE TABLE IF NOT EXISTS bench_commits (number bigint NOT NULL)")
        .await?;
    let mut found = latencies()?;
    let began = Instant::now();
    while began.elapsed() < time {
        let begun = Instant::now();
        sqlx::query("INSERT INTO bench_commits VALUES (1)")
            .execute(&mut connection)
            .await?;
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        found.record(micros.clamp(1, LATENCY_MAX_US))?;
    }
    connection.close().await?;
    Ok(found)
}
