//! What became of a batch whose COMMIT was not confirmed.

use super::failure::{Phase, write_error};
use super::session::millis;
use super::settings::BatchWriterSettings;
use super::transaction::admitted_offset;
use crate::postgres::leadership::past_stale_backend;
use axs_application::port::batch_writer::WriteError;
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, PartitionId};
use sqlx::{AssertSqlSafe, Executor, PgPool};

const SETTLE: &str = include_str!("../sql/batch/settle.sql");

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
    past_stale_backend(pool, partition, || {
        try_settle(pool, partition, claim, settings)
    })
    .await
    .map_err(|error| write_error(&error, Phase::BeforeCommit))?
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
