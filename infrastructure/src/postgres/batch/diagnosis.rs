//! Who spoilt a batch: asked in a transaction of its own, under the fence, with the same rows
//! staged again and nothing applied.
//!
//! Not in the failed transaction: a refused statement has aborted it, and rows that it finalised
//! itself would look like redeliveries. A spoilt batch is rare; a sound one pays nothing for this.

use super::HeldRows;
use super::failure::{Phase, write_error};
use super::session::WriterSession;
use super::settings::BatchWriterSettings;
use super::transaction::{self, Stop};
use axs_application::port::batch_writer::{Culprit, CulpritKind, DecidedBatch, WriteError};
use axs_domain::id::Offset;
use sqlx::{PgConnection, Row};
use std::sync::Arc;

const FIND_CULPRITS: &str = include_str!("../sql/batch/find_culprits.sql");
const FIND_MOVED_BALANCE: &str = include_str!("../sql/batch/find_moved_balance.sql");

/// What stands behind a verdict that explains nothing. Culprits come first: a balance may seem to
/// have moved only because an event is staged that was applied before.
pub(super) async fn explain(
    session: &mut WriterSession,
    batch: &Arc<DecidedBatch>,
    settings: &BatchWriterSettings,
    unexplained: WriteError,
) -> Stop {
    let connection = session.connection();
    let looking = look(connection, batch);
    let stop = match tokio::time::timeout(settings.batch_timeout, looking).await {
        Ok(Ok(Some(found))) => Stop::Because(found),
        Ok(Ok(None)) => Stop::Because(unexplained),
        Ok(Err(stop)) => stop,
        Err(_) => Stop::Broken(WriteError::Retryable(format!(
            "looking for what spoilt the batch took longer than {:?}",
            settings.batch_timeout
        ))),
    };
    transaction::roll_back(connection, settings, stop).await
}

async fn look(
    connection: &mut PgConnection,
    batch: &Arc<DecidedBatch>,
) -> Result<Option<WriteError>, Stop> {
    let alone = std::slice::from_ref(batch);
    transaction::begin_staged(connection, alone).await?;
    transaction::admit(connection, alone, HeldRows::WaitFor).await?;
    let failed = |error: sqlx::Error| Stop::Because(write_error(&error, Phase::BeforeCommit));
    let culprits = culprits(connection).await.map_err(failed)?;
    if !culprits.is_empty() {
        return Ok(Some(WriteError::Culprits(culprits)));
    }
    let moved = moved_balance(connection).await.map_err(failed)?;
    Ok(moved.map(WriteError::Moved))
}

async fn culprits(connection: &mut PgConnection) -> Result<Vec<Culprit>, sqlx::Error> {
    let rows = sqlx::query(FIND_CULPRITS)
        .persistent(false)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let offset = Offset::try_new(row.try_get("record_offset")?)
                .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            let kind = match row.try_get::<i32, _>("verdict")? {
                1 => CulpritKind::NotInit,
                2 => CulpritKind::NoLogRow,
                _ => CulpritKind::DiffersFromLog,
            };
            Ok(Culprit { offset, kind })
        })
        .collect()
}

async fn moved_balance(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let row = sqlx::query(FIND_MOVED_BALANCE)
        .persistent(false)
        .fetch_optional(connection)
        .await?;
    row.map(|row| {
        let account: i64 = row.try_get("account_id")?;
        let currency: String = row.try_get("currency_code")?;
        let read: i64 = row.try_get("version_read")?;
        let found: i64 = row.try_get("version_found")?;
        Ok(format!(
            "the {currency} balance of account {account} is at version {found}, \
             the batch was decided on {read}"
        ))
    })
    .transpose()
}
