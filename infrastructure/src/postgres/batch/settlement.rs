//! What became of a batch whose COMMIT was not confirmed.

use super::failure::{Phase, is_lock_timeout, write_error};
use super::session::millis;
use super::settings::BatchWriterSettings;
use super::transaction::admitted_offset;
use crate::postgres::leadership::end_backend;
use axs_application::port::batch_writer::WriteError;
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, PartitionId};
use sqlx::{AssertSqlSafe, Executor, PgPool};

const SETTLE: &str = include_str!("../sql/batch/settle.sql");

/// How often the lock is tried for; after each try but the last, who holds it is ended.
const ATTEMPTS_MAX: u32 = 3;

/// Reads the stored offset once no earlier batch of the partition is open.
///
/// A batch locks the leader row before it writes, and a COMMIT still on its way keeps it locked:
/// whoever has the lock knows that the batch is over. A backend that does not come to an end
/// within the lock timeout is ended.
pub(super) async fn settle(
    pool: &PgPool,
    partition: PartitionId,
    claim: Claim,
    settings: &BatchWriterSettings,
) -> Result<Offset, WriteError> {
    let retryable = |error: sqlx::Error| write_error(&error, Phase::BeforeCommit);
    for _ in 1..ATTEMPTS_MAX {
        match try_settle(pool, partition, claim, settings).await {
            Err(error) if is_lock_timeout(&error) => {
                end_backend(pool, partition).await.map_err(retryable)?;
            }
            settled => return settled.map_err(retryable)?,
        }
    }
    try_settle(pool, partition, claim, settings)
        .await
        .map_err(retryable)?
}

async fn try_settle(
    pool: &PgPool,
    partition: PartitionId,
    claim: Claim,
    settings: &BatchWriterSettings,
) -> Result<Result<Offset, WriteError>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let bound = format!("SET LOCAL lock_timeout = {}", millis(settings.lock_timeout));
    transaction.execute(AssertSqlSafe(bound)).await?;
    let row = sqlx::query(SETTLE)
        .bind(partition.value())
        .fetch_optional(&mut *transaction)
        .await?;
    let offset = admitted_offset(row.as_ref(), claim);
    transaction.rollback().await?;
    Ok(offset)
}
