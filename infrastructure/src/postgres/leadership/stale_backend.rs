//! Ending the backend of a writer that froze with the leader row locked.
//!
//! Neither `statement_timeout` nor `idle_in_transaction_session_timeout` ends a backend that waits
//! for the rest of a COPY, and a peer whose machine is gone is noticed only by TCP's timeouts.

use crate::postgres::batch::is_lock_timeout;
use axs_domain::id::PartitionId;
use sqlx::{PgPool, Row};

const END_BACKEND: &str = include_str!("../sql/leadership/end_backend.sql");

/// How long the server waits for a backend that it ends. Rolling back frees its locks at once.
const END_WAIT_MS: i64 = 2_000;

/// How often a leader row is tried for; after each try but the last, who holds it is ended.
const ATTEMPTS_MAX: u32 = 3;

/// Attempts what waits for the partition's leader row up to a lock timeout, and ends the backend
/// that holds the row before it attempts it again.
///
/// # Errors
/// Those of the last attempt, and of ending a backend.
pub(crate) async fn past_stale_backend<T, F>(
    pool: &PgPool,
    partition: PartitionId,
    attempt: impl Fn() -> F,
) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    for _ in 1..ATTEMPTS_MAX {
        match attempt().await {
            Err(error) if is_lock_timeout(&error) => end_backend(pool, partition).await?,
            settled => return settled,
        }
    }
    attempt().await
}

/// Ends the backend on the partition's leader row, if its open transaction holds that row.
async fn end_backend(pool: &PgPool, partition: PartitionId) -> Result<(), sqlx::Error> {
    let row = sqlx::query(END_BACKEND)
        .bind(partition.value())
        .bind(END_WAIT_MS)
        .fetch_optional(pool)
        .await?;
    if let Some(row) = row {
        let backend_pid: i32 = row.try_get("backend_pid")?;
        let ended: bool = row.try_get("ended")?;
        metrics::counter!("axs_stale_backends_ended_total").increment(1);
        tracing::warn!(%partition, backend_pid, ended, "ended a backend that held the leader row");
    }
    Ok(())
}
