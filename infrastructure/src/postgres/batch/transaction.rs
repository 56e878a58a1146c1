//! One transaction, for one batch or for several of different partitions: the statements in their
//! order.

use super::HeldRows;
use super::aside;
use super::failure::{Phase, leaves_connection_sound, write_error};
use super::session::WriterSession;
use super::settings::BatchWriterSettings;
use super::{staging, statement};
use axs_application::port::batch_writer::{DecidedBatch, WriteError, WriteReceipt};
use axs_domain::fencing::{Claim, Fence};
use axs_domain::id::{FencingToken, Offset, OwnerId};
use axs_domain::incarnation::Incarnation;
use axs_domain::time::Timestamp;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{Executor, PgConnection, Row};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Why a transaction was not committed.
#[derive(Debug)]
pub(super) enum Stop {
    /// The verdict is final.
    Because(WriteError),
    /// The rows reached are not those that were staged, or the database refused them: the culprit
    /// is still to be found.
    Unexplained(WriteError),
    /// The connection is of no further use.
    Broken(WriteError),
}

impl Stop {
    pub(super) fn before_commit(error: &sqlx::Error) -> Self {
        Self::at(error, Phase::BeforeCommit)
    }

    fn at(error: &sqlx::Error, phase: Phase) -> Self {
        let verdict = write_error(error, phase);
        if leaves_connection_sound(error) {
            Self::Because(verdict)
        } else {
            Self::Broken(verdict)
        }
    }
}

/// Writes the batches and commits them together. After any [`Stop`] but [`Stop::Broken`] the
/// transaction is rolled back and the session can go on.
pub(super) async fn write(
    session: &mut WriterSession,
    batches: &[Arc<DecidedBatch>],
    held: HeldRows,
    settings: &BatchWriterSettings,
) -> Result<WriteReceipt, Stop> {
    let connection = session.connection();
    match tokio::time::timeout(settings.batch_timeout, fill(connection, batches, held)).await {
        Ok(Ok(receipt)) => {
            fail::fail_point!("batch.before_commit");
            let committed = timed("commit", commit(connection, settings)).await;
            fail::fail_point!("batch.after_commit");
            committed.map(|()| receipt)
        }
        Ok(Err(stop)) => Err(roll_back(connection, settings, stop).await),
        Err(_) => Err(Stop::Broken(WriteError::Retryable(format!(
            "the batch took longer than {:?}",
            settings.batch_timeout
        )))),
    }
}

/// Everything but COMMIT.
async fn fill(
    connection: &mut PgConnection,
    batches: &[Arc<DecidedBatch>],
    held: HeldRows,
) -> Result<WriteReceipt, Stop> {
    timed("stage", begin_staged(connection, batches)).await?;
    fail::fail_point!("batch.after_copy");
    timed("fence", admit(connection, batches, held)).await?;
    fail::fail_point!("batch.after_fence");
    let receipt = timed("apply", apply(connection, batches)).await?;
    fail::fail_point!("batch.after_apply");
    for batch in batches {
        aside::insert_dead_letters(connection, batch).await?;
        aside::insert_parked_events(connection, batch, receipt).await?;
    }
    timed("store_offset", store_offset(connection, batches)).await?;
    Ok(receipt)
}

/// How long the step took, for operators: a slow batch names its part.
pub(super) async fn timed<T>(step: &'static str, work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let done = work.await;
    let seconds = begun.elapsed().as_secs_f64();
    metrics::histogram!("axs_batch_step_seconds", "step" => step).record(seconds);
    done
}

/// Opens a transaction and stages the batches in it, before anything is locked.
pub(super) async fn begin_staged(
    connection: &mut PgConnection,
    batches: &[Arc<DecidedBatch>],
) -> Result<(), Stop> {
    connection
        .execute(BEGIN)
        .await
        .map_err(|error| Stop::before_commit(&error))?;
    // Whatever happens inside a COPY, the connection is not trusted afterwards.
    staging::stage(connection, batches)
        .await
        .map_err(|error| Stop::Broken(write_error(&error, Phase::BeforeCommit)))
}

/// Locks the leader row of each batch and checks claim and offset.
pub(super) async fn admit(
    connection: &mut PgConnection,
    batches: &[Arc<DecidedBatch>],
    held: HeldRows,
) -> Result<(), Stop> {
    if let ([batch], HeldRows::WaitFor) = (batches, held) {
        let row = sqlx::query(statement::fence())
            .bind(batch.partition.value())
            .fetch_optional(&mut *connection)
            .await
            .map_err(|error| Stop::before_commit(&error))?;
        return compare(row.as_ref(), batch);
    }
    let partitions: Vec<i32> = batches.iter().map(|b| b.partition.value()).collect();
    let rows = sqlx::query(statement::fence_together())
        .bind(partitions)
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| Stop::before_commit(&error))?;
    for batch in batches {
        // A row that was passed over reads as fenced: its batch is then written apart, and has its
        // true verdict.
        let row = rows.iter().find(|row| {
            let partition: Result<i32, _> = row.try_get("partition");
            partition.is_ok_and(|partition| partition == batch.partition.value())
        });
        compare(row, batch)?;
    }
    Ok(())
}

/// Whether the locked leader row admits the batch.
fn compare(row: Option<&PgRow>, batch: &DecidedBatch) -> Result<(), Stop> {
    let stored = admitted_offset(row, batch.claim).map_err(Stop::Because)?;
    if stored != batch.offset_before {
        return Err(Stop::Because(WriteError::Moved(format!(
            "the stored offset of partition {} is {stored}, the batch begins at {}",
            batch.partition, batch.offset_before
        ))));
    }
    Ok(())
}

/// The stored offset of a leader row, if the row admits the claim.
pub(super) fn admitted_offset(row: Option<&PgRow>, claim: Claim) -> Result<Offset, WriteError> {
    // No leader row: no layout has this partition, so nobody may write to it.
    let row = row.ok_or(WriteError::Fenced)?;
    let read = || -> Result<(Fence, Offset), sqlx::Error> {
        let decode = |error| sqlx::Error::Decode(Box::new(error));
        let fence = Fence {
            token: FencingToken::try_new(row.try_get("fencing_token")?).map_err(decode)?,
            owner: row.try_get::<Option<Uuid>, _>("owner")?.map(OwnerId::new),
            incarnation: Incarnation::new(row.try_get("incarnation")?),
        };
        Ok((
            fence,
            Offset::try_new(row.try_get("stored_offset")?).map_err(decode)?,
        ))
    };
    let (fence, stored) = read().map_err(|error| write_error(&error, Phase::BeforeCommit))?;
    if statement::token_counts() {
        fence.admit(claim).map_err(|fenced| {
            tracing::info!(%fenced, owner = %claim.owner, "a claim no longer stands");
            WriteError::Fenced
        })?;
    }
    Ok(stored)
}

/// How many rows each part of `apply.sql` is to reach, or reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Reach {
    moved: usize,
    opened: usize,
    stood: usize,
    finalised: usize,
    entered: usize,
}

impl Reach {
    fn wanted(batches: &[Arc<DecidedBatch>]) -> Self {
        let mut wanted = Self::default();
        for batch in batches {
            let opened = batch
                .writes
                .iter()
                .filter(|w| staging::is_opening(w))
                .count();
            wanted.moved += batch.writes.len() - opened;
            wanted.opened += opened;
            wanted.stood += batch.reads.len();
            wanted.finalised += batch.events.len();
            wanted.entered += batch
                .events
                .iter()
                .map(|e| staging::entries(e).len())
                .sum::<usize>();
        }
        wanted
    }

    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let count = |column: &str| -> Result<usize, sqlx::Error> {
            let count: i64 = row.try_get(column)?;
            usize::try_from(count).map_err(|error| sqlx::Error::Decode(Box::new(error)))
        };
        Ok(Self {
            moved: count("moved")?,
            opened: count("opened")?,
            stood: count("stood")?,
            finalised: count("finalised")?,
            entered: count("entered")?,
        })
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            moved,
            opened,
            stood,
            finalised,
            entered,
        } = self;
        write!(
            f,
            "{moved} moved, {opened} opened, {stood} stood, {finalised} finalised, {entered} entered"
        )
    }
}

async fn apply(
    connection: &mut PgConnection,
    batches: &[Arc<DecidedBatch>],
) -> Result<WriteReceipt, Stop> {
    // Kept with its plan, which is the same for 1 staged row and for 20,000: see
    // prepare_session.sql.
    let row = sqlx::query(statement::apply())
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| match Stop::before_commit(&error) {
            // A redelivered event brings its ledger entries a second time.
            Stop::Because(refusal @ WriteError::RefusedData { .. }) => Stop::Unexplained(refusal),
            other => other,
        })?;
    let reached = Reach::read(&row).map_err(|error| Stop::before_commit(&error))?;
    let wanted = Reach::wanted(batches);
    if reached != wanted {
        return Err(Stop::Unexplained(WriteError::Moved(format!(
            "wanted {wanted}; reached {reached}"
        ))));
    }
    let decided_at: DateTime<Utc> = row
        .try_get("decided_at")
        .map_err(|error| Stop::before_commit(&error))?;
    Ok(WriteReceipt {
        decided_at: Timestamp::from_unix_micros(decided_at.timestamp_micros()),
    })
}

async fn store_offset(
    connection: &mut PgConnection,
    batches: &[Arc<DecidedBatch>],
) -> Result<(), Stop> {
    let stored = sqlx::query(statement::store_offset())
        .bind(column(batches, |batch| batch.partition.value()))
        .bind(column(batches, |batch| batch.claim.token.value()))
        .bind(column(batches, |batch| batch.claim.owner.uuid()))
        .bind(column(batches, |batch| batch.offset_before.value()))
        .bind(column(batches, |batch| batch.offset_after.value()))
        .bind(column(batches, |batch| {
            batch.last_record.as_bytes().as_slice()
        }))
        .execute(&mut *connection)
        .await
        .map_err(|error| Stop::before_commit(&error))?
        .rows_affected();
    if usize::try_from(stored).is_ok_and(|stored| stored == batches.len()) {
        Ok(())
    } else {
        // Impossible under the fence's lock; then nothing that was checked can be believed.
        Err(Stop::Because(WriteError::Fenced))
    }
}

fn column<'b, T>(
    batches: &'b [Arc<DecidedBatch>],
    value: impl Fn(&'b DecidedBatch) -> T,
) -> Vec<T> {
    batches.iter().map(|batch| value(batch)).collect()
}

pub(super) async fn commit(
    connection: &mut PgConnection,
    settings: &BatchWriterSettings,
) -> Result<(), Stop> {
    match tokio::time::timeout(settings.commit_timeout, connection.execute("COMMIT")).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Stop::at(&error, Phase::Commit)),
        Err(_) => Err(Stop::Broken(WriteError::OutcomeUnknown(format!(
            "no answer to COMMIT within {:?}",
            settings.commit_timeout
        )))),
    }
}

/// Rolls back after a stop; a connection that can't is broken, which changes no verdict.
pub(super) async fn roll_back(
    connection: &mut PgConnection,
    settings: &BatchWriterSettings,
    stop: Stop,
) -> Stop {
    if matches!(stop, Stop::Broken(_)) {
        return stop;
    }
    let rolled_back =
        tokio::time::timeout(settings.batch_timeout, connection.execute("ROLLBACK")).await;
    match (rolled_back, stop) {
        (Ok(Ok(_)), stop) => stop,
        (_, Stop::Because(verdict) | Stop::Unexplained(verdict) | Stop::Broken(verdict)) => {
            Stop::Broken(verdict)
        }
    }
}
