//! The usual bulk form, to be measured beside ours: COPY to an UNLOGGED table, UPDATE … FROM it,
//! TRUNCATE. Behind the feature `reference-form`, and in no build that ships.
//!
//! Given the benefit of the doubt: deltas are summed before balances are touched, entries and the
//! offset are written as ours are, the planner is left as it is, and there are no guards of
//! versions. It writes what was applied to balances that are there, and nothing else: whatever else
//! a batch holds is refused.

use super::session::{Sessions, WriterSession};
use super::settings::BatchWriterSettings;
use super::transaction::{self, Stop, timed};
use super::{HeldRows, ready_session, settlement, staging};
use crate::postgres::pool::Database;
use async_trait::async_trait;
use axs_application::port::batch_writer::{
    BatchWriter, DecidedBatch, FinalResult, WriteError, WriteReceipt,
};
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, PartitionId};
use axs_domain::time::Timestamp;
use chrono::{DateTime, Utc};
use shaku::Component;
use sqlx::{AssertSqlSafe, Executor, PgConnection, SqlSafeStr, SqlStr};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The staging table in the statements; each partition has one of its own.
const STAGING: &str = "reference_staging";

const CREATE_STAGING: &str = include_str!("../sql/reference_form/create_staging.sql");
const COPY_STAGING: &str = include_str!("../sql/reference_form/copy_staging.sql");
const MOVE_BALANCES: &str = include_str!("../sql/reference_form/move_balances.sql");
const FINALISE: &str = include_str!("../sql/reference_form/finalise.sql");
const ENTER: &str = include_str!("../sql/reference_form/enter.sql");
const STORE_OFFSET: &str = include_str!("../sql/reference_form/store_offset.sql");
const TRUNCATE_STAGING: &str = include_str!("../sql/reference_form/truncate_staging.sql");

/// The planner is left as the server has it.
const PREPARE_SESSION: &str = "SET client_min_messages = warning";

/// [`BatchWriter`] by the usual bulk form, over the writer pool.
#[derive(Component)]
#[shaku(interface = BatchWriter)]
pub struct ReferenceBatchWriter {
    #[shaku(inject)]
    database: Arc<dyn Database>,
    /// The bounds.
    #[shaku(default)]
    settings: BatchWriterSettings,
    #[shaku(force_default)]
    sessions: OnceLock<Arc<Sessions>>,
    #[shaku(force_default)]
    tables: Tables,
}

/// The partitions whose staging tables are there.
type Tables = Arc<Mutex<BTreeSet<PartitionId>>>;

impl ReferenceBatchWriter {
    /// A writer over the database's writer pool.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, settings: BatchWriterSettings) -> Self {
        Self {
            database,
            settings,
            sessions: OnceLock::new(),
            tables: Tables::default(),
        }
    }

    fn sessions(&self) -> Arc<Sessions> {
        let sessions = self.sessions.get_or_init(|| {
            tracing::warn!("batches are written by the reference form: a build for measurements");
            Sessions::start(self.database.writer(), self.settings, PREPARE_SESSION)
        });
        Arc::clone(sessions)
    }
}

#[async_trait]
impl BatchWriter for ReferenceBatchWriter {
    async fn write(&self, batch: Arc<DecidedBatch>) -> Result<WriteReceipt, WriteError> {
        let writing = tokio::spawn(write_batch(
            self.sessions(),
            Arc::clone(&self.tables),
            batch,
            self.settings,
        ));
        writing.await.unwrap_or_else(|ended| {
            Err(WriteError::OutcomeUnknown(format!(
                "the writing task ended: {ended}"
            )))
        })
    }

    async fn settle(&self, partition: PartitionId, claim: Claim) -> Result<Offset, WriteError> {
        settlement::settle(self.database.queries(), partition, claim, &self.settings).await
    }
}

async fn write_batch(
    sessions: Arc<Sessions>,
    tables: Tables,
    batch: Arc<DecidedBatch>,
    settings: BatchWriterSettings,
) -> Result<WriteReceipt, WriteError> {
    let mut taken = ready_session(
        &sessions,
        std::slice::from_ref(&batch),
        HeldRows::WaitFor,
        settings,
    )
    .await?;
    match write(&mut taken.session, &tables, &batch, &settings).await {
        Ok(receipt) => {
            sessions.put_back(taken);
            Ok(receipt)
        }
        Err(Stop::Because(verdict) | Stop::Unexplained(verdict)) => {
            sessions.put_back(taken);
            Err(verdict)
        }
        Err(Stop::Broken(verdict)) => Err(verdict),
    }
}

async fn write(
    session: &mut WriterSession,
    tables: &Mutex<BTreeSet<PartitionId>>,
    batch: &Arc<DecidedBatch>,
    settings: &BatchWriterSettings,
) -> Result<WriteReceipt, Stop> {
    let connection = session.connection();
    let table_is_new = tables
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(batch.partition);
    if table_is_new {
        execute(connection, named(CREATE_STAGING, batch)).await?;
    }
    match fill(connection, batch).await {
        Ok(receipt) => {
            timed("commit", transaction::commit(connection, settings)).await?;
            Ok(receipt)
        }
        Err(stop) => Err(transaction::roll_back(connection, settings, stop).await),
    }
}

/// Everything but COMMIT.
async fn fill(
    connection: &mut PgConnection,
    batch: &Arc<DecidedBatch>,
) -> Result<WriteReceipt, Stop> {
    let rows = rows(batch)?;
    execute(connection, SqlStr::from_static(transaction::BEGIN)).await?;
    timed(
        "fence",
        transaction::admit(connection, std::slice::from_ref(batch), HeldRows::WaitFor),
    )
    .await?;
    timed("stage", stage(connection, batch, rows)).await?;
    timed("apply", apply(connection, batch)).await?;
    let receipt = timed("store_offset", store_offset(connection, batch)).await?;
    timed(
        "truncate",
        execute(connection, named(TRUNCATE_STAGING, batch)),
    )
    .await?;
    Ok(receipt)
}

async fn stage(
    connection: &mut PgConnection,
    batch: &DecidedBatch,
    rows: String,
) -> Result<(), Stop> {
    let copying = async {
        let mut copy = connection
            .copy_in_raw(named(COPY_STAGING, batch).as_str())
            .await?;
        copy.send(rows.into_bytes()).await?;
        copy.finish().await
    };
    copying
        .await
        .map(|_| ())
        .map_err(|error| Stop::Broken(WriteError::Retryable(error.to_string())))
}

async fn apply(connection: &mut PgConnection, batch: &DecidedBatch) -> Result<(), Stop> {
    let entries = batch.events.iter().map(|e| staging::entries(e).len());
    let statements = [
        (MOVE_BALANCES, batch.writes.len()),
        (FINALISE, batch.events.len()),
        (ENTER, entries.sum()),
    ];
    for (statement, wanted) in statements {
        let mut query = sqlx::query(named(statement, batch)).persistent(false);
        if statement.contains("$1") {
            query = query.bind(batch.partition.value());
        }
        let reached = query
            .execute(&mut *connection)
            .await
            .map_err(|error| Stop::before_commit(&error))?
            .rows_affected();
        if usize::try_from(reached) != Ok(wanted) {
            return Err(refused(format!("wanted {wanted} rows; reached {reached}")));
        }
    }
    Ok(())
}

async fn store_offset(
    connection: &mut PgConnection,
    batch: &DecidedBatch,
) -> Result<WriteReceipt, Stop> {
    let decided_at: DateTime<Utc> = sqlx::query_scalar(STORE_OFFSET)
        .bind(batch.partition.value())
        .bind(batch.offset_after.value())
        .bind(batch.last_record.as_bytes().as_slice())
        .fetch_one(connection)
        .await
        .map_err(|error| Stop::before_commit(&error))?;
    Ok(WriteReceipt {
        decided_at: Timestamp::from_unix_micros(decided_at.timestamp_micros()),
    })
}

async fn execute(connection: &mut PgConnection, statement: SqlStr) -> Result<(), Stop> {
    let executed = connection.execute(statement).await;
    executed
        .map(|_| ())
        .map_err(|error| Stop::before_commit(&error))
}

/// The statement over the partition's own staging table.
fn named(statement: &str, batch: &DecidedBatch) -> SqlStr {
    let table = format!("{STAGING}_{}", batch.partition);
    AssertSqlSafe(statement.replace(STAGING, &table)).into_sql_str()
}

/// A batch that this form does not write. The partition stops: nothing here shall be guessed
/// around.
fn refused(why: String) -> Stop {
    Stop::Because(WriteError::Moved(why))
}

/// COPY's text form.
fn rows(batch: &DecidedBatch) -> Result<String, Stop> {
    if !batch.dead_letters.is_empty() {
        return Err(refused(
            "the reference form writes no dead letters".to_owned(),
        ));
    }
    let mut text = String::new();
    for event in &batch.events {
        let FinalResult::Applied(entries) = &event.result else {
            return Err(refused(format!(
                "event {} was not applied, and the reference form writes nothing else",
                event.log_id
            )));
        };
        let mut fingerprint = String::with_capacity(2 * event.fingerprint.as_bytes().len());
        for byte in event.fingerprint.as_bytes() {
            let _ = write!(fingerprint, "{byte:02x}");
        }
        for entry in entries {
            let _ = writeln!(
                text,
                "{}\t{}\t{}\t{}\t\\\\x{fingerprint}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
                event.key.shard_id,
                event.key.account_id,
                event.key.idempotency_key,
                event.log_id,
                event.offset,
                entry.change_index,
                entry.branch.number(),
                entry.applied.currency,
                entry.applied.delta.available,
                entry.applied.delta.frozen,
                entry.after.balance.available,
                entry.after.balance.frozen,
                entry.after.version
            );
        }
    }
    Ok(text)
}
