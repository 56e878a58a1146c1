//! The writer's connections.
//!
//! A connection carries staging tables, planner settings and, on leader rows, its backend's pid. So
//! it is not given back to the pool between batches, and who writes again gets, of those that are
//! idle, the one that is on record for most of its batches: least has to be told again.

use super::HeldRows;
use super::failure::{Phase, leaves_connection_sound, write_error};
use super::settings::BatchWriterSettings;
use crate::postgres::socket;
use axs_application::port::batch_writer::{DecidedBatch, WriteError};
use axs_domain::fencing::Claim;
use axs_domain::id::PartitionId;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool, Postgres};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

const RECORD_BACKEND: &str = include_str!("../sql/batch/record_backend.sql");
const RECORD_BACKEND_TOGETHER: &str = include_str!("../sql/batch/record_backend_together.sql");

/// How long a new connection is waited for while an idle one could write as well.
const OPEN_WHILE_IDLE_MAX: Duration = Duration::from_secs(2);

/// A connection that is ready to write batches. Dropped, it is closed.
pub(super) struct WriterSession {
    connection: PoolConnection<Postgres>,
    /// Which of the writer's sessions it is; none has the number of another.
    number: u64,
    opened_at: Instant,
}

impl WriterSession {
    /// The connection.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// Why a session is not on the leader rows.
pub(super) enum Unrecorded {
    /// The server answered, and the session can go on.
    Sound(WriteError),
    /// The session is of no further use.
    Broken(WriteError),
}

impl From<sqlx::Error> for Unrecorded {
    fn from(error: sqlx::Error) -> Self {
        let verdict = write_error(&error, Phase::BeforeCommit);
        if leaves_connection_sound(&error) {
            Self::Sound(verdict)
        } else {
            Self::Broken(verdict)
        }
    }
}

/// The partition, when its leader row holds the backend now. Waits for the row.
async fn record_one(
    connection: &mut PgConnection,
    batch: &DecidedBatch,
) -> Result<Vec<PartitionId>, Unrecorded> {
    let recorded = sqlx::query(RECORD_BACKEND)
        .bind(batch.partition.value())
        .bind(batch.claim.token.value())
        .bind(batch.claim.owner.uuid())
        .execute(connection)
        .await?;
    let is_recorded = recorded.rows_affected() == 1;
    Ok(is_recorded.then_some(batch.partition).into_iter().collect())
}

/// Those of the partitions whose leader rows hold the backend now. Waits for none.
async fn record_several(
    connection: &mut PgConnection,
    batches: &[&DecidedBatch],
) -> Result<Vec<PartitionId>, Unrecorded> {
    let column = |value: fn(&DecidedBatch) -> i64| -> Vec<i64> {
        batches.iter().map(|batch| value(batch)).collect()
    };
    let owners: Vec<Uuid> = batches.iter().map(|b| b.claim.owner.uuid()).collect();
    let partitions: Vec<i32> = batches.iter().map(|b| b.partition.value()).collect();
    let recorded: Vec<i32> = sqlx::query_scalar(RECORD_BACKEND_TOGETHER)
        .bind(partitions)
        .bind(column(|batch| batch.claim.token.value()))
        .bind(owners)
        .fetch_all(connection)
        .await?;
    let is_recorded = |batch: &&&DecidedBatch| recorded.contains(&batch.partition.value());
    Ok(batches
        .iter()
        .filter(is_recorded)
        .map(|b| b.partition)
        .collect())
}

/// The connections of one writer: as many as its pool may have.
pub(super) struct Sessions {
    pool: PgPool,
    settings: BatchWriterSettings,
    /// What a connection is told before its first batch.
    prepare: &'static str,
    slots: Arc<Semaphore>,
    /// The one used last at the end.
    idle: Mutex<Vec<WriterSession>>,
    opened: AtomicU64,
    /// For each partition the session whose backend its leader row holds, and under which claim:
    /// one, so that a session which another one followed goes on record again before it writes.
    on_record: Mutex<HashMap<PartitionId, (u64, Claim)>>,
}

/// A session taken out, and the right to have one.
pub(super) struct TakenSession {
    /// The session.
    pub(super) session: WriterSession,
    _slot: OwnedSemaphorePermit,
}

impl Sessions {
    /// None yet; each will be told `prepare`. Needs the runtime, which the container knows nothing
    /// of.
    pub(super) fn start(
        pool: &PgPool,
        settings: BatchWriterSettings,
        prepare: &'static str,
    ) -> Arc<Self> {
        let sessions = Arc::new(Self::new(pool.clone(), settings, prepare));
        tokio::spawn(Self::let_go_at_close(
            Arc::downgrade(&sessions),
            pool.clone(),
        ));
        sessions
    }

    fn new(pool: PgPool, settings: BatchWriterSettings, prepare: &'static str) -> Self {
        let count = usize::try_from(pool.options().get_max_connections()).unwrap_or(1);
        Self {
            pool,
            settings,
            prepare,
            slots: Arc::new(Semaphore::new(count)),
            idle: Mutex::new(Vec::new()),
            opened: AtomicU64::new(0),
            on_record: Mutex::new(HashMap::new()),
        }
    }

    /// Sees to it that the leader row of each batch holds the session's backend, committed. A
    /// partition is written by one caller at a time.
    ///
    /// # Errors
    /// [`WriteError::Fenced`] when a claim no longer stands, or its row was passed over, and
    /// [`WriteError::Retryable`].
    pub(super) async fn put_on_record(
        &self,
        session: &mut WriterSession,
        batches: &[Arc<DecidedBatch>],
        held: HeldRows,
    ) -> Result<(), Unrecorded> {
        let number = session.number;
        let missing: Vec<&DecidedBatch> = {
            let mut on_record = lock(&self.on_record);
            let mut missing: Vec<&DecidedBatch> = batches.iter().map(AsRef::as_ref).collect();
            missing.retain(|b| on_record.get(&b.partition) != Some(&(number, b.claim)));
            for batch in &missing {
                // Whether the statement below was carried out may stay unknown.
                on_record.remove(&batch.partition);
            }
            missing
        };
        let recorded = match missing.as_slice() {
            [] => return Ok(()),
            [one] if held == HeldRows::WaitFor => record_one(session.connection(), one).await?,
            several => record_several(session.connection(), several).await?,
        };
        let mut on_record = lock(&self.on_record);
        let recorded_now = missing.iter().filter(|b| recorded.contains(&b.partition));
        on_record.extend(recorded_now.map(|b| (b.partition, (number, b.claim))));
        if recorded.len() == missing.len() {
            return Ok(());
        }
        Err(Unrecorded::Sound(WriteError::Fenced))
    }

    /// Of the idle sessions that which is on record for most of the batches. Where none is for any,
    /// a new one while the pool has room: to go on record is a commit more, and one that hops
    /// between partitions pays it again and again. Where the server lets no more in, any that is
    /// idle.
    ///
    /// # Errors
    /// [`WriteError::Retryable`]. The caller bounds the wait.
    pub(super) async fn take(
        &self,
        batches: &[Arc<DecidedBatch>],
    ) -> Result<TakenSession, WriteError> {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let slot = slot.map_err(|closed| WriteError::Retryable(closed.to_string()))?;
        let is_full = self.pool.size() >= self.pool.options().get_max_connections();
        let known_min = usize::from(!is_full);
        let session = match self.take_idle(batches, known_min) {
            Some(session) => session,
            None => self.open_or_take_any().await?,
        };
        Ok(TakenSession {
            session,
            _slot: slot,
        })
    }

    /// Keeps a session, out of any transaction, for the next batch.
    pub(super) fn put_back(&self, taken: TakenSession) {
        let mut idle = lock(&self.idle);
        if !self.pool.is_closed() {
            idle.push(taken.session);
        }
    }

    /// Lets go of the idle sessions once the pool closes, which waits for them.
    async fn let_go_at_close(sessions: Weak<Self>, pool: PgPool) {
        pool.close_event().await;
        if let Some(sessions) = sessions.upgrade() {
            lock(&sessions.idle).clear();
        }
    }

    /// The idle session that is on record for most of the batches, and for so many of them at
    /// least.
    fn take_idle(&self, batches: &[Arc<DecidedBatch>], known_min: usize) -> Option<WriterSession> {
        let age_max = self.settings.connection_age_max;
        let on_record: Vec<u64> = {
            let on_record = lock(&self.on_record);
            let of = |batch: &Arc<DecidedBatch>| on_record.get(&batch.partition).map(|it| it.0);
            batches.iter().filter_map(of).collect()
        };
        let mut idle = lock(&self.idle);
        // Those due to be made anew go one at a time: the server may let no other in.
        let mut due = idle.iter();
        if let Some(due) = due.position(|session| session.opened_at.elapsed() >= age_max) {
            idle.remove(due);
        }
        let known = |session: &WriterSession| {
            let number = session.number;
            on_record.iter().filter(|on| **on == number).count()
        };
        // Of several the last, which was used last.
        let best = (0..idle.len()).max_by_key(|place| known(&idle[*place]))?;
        (known(&idle[best]) >= known_min).then(|| idle.remove(best))
    }

    /// A new session or, where the server lets none in soon, any that is idle.
    async fn open_or_take_any(&self) -> Result<WriterSession, WriteError> {
        let has_idle = !lock(&self.idle).is_empty();
        let opened = if has_idle {
            let opening = tokio::time::timeout(OPEN_WHILE_IDLE_MAX, self.open());
            opening.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
        } else {
            self.open().await
        };
        opened.or_else(|error| {
            let idle = lock(&self.idle).pop();
            if idle.is_some() {
                tracing::warn!(%error, "no new connection for a batch; it is written on an idle one");
            }
            idle.ok_or_else(|| write_error(&error, Phase::BeforeCommit))
        })
    }

    async fn open(&self) -> Result<WriterSession, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        // Its settings are the writer's: nobody else may have it afterwards.
        connection.close_on_drop();
        let settings = &self.settings;
        if settings.tcp_no_delay {
            socket::set_no_delay(&self.pool.connect_options()).await;
        }
        let bounds = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; \
             SET idle_in_transaction_session_timeout = {}; SET temp_buffers = '{}MB'",
            millis(settings.statement_timeout),
            millis(settings.lock_timeout),
            millis(settings.idle_in_transaction_timeout),
            settings.staging_megabytes,
        );
        connection.execute(AssertSqlSafe(bounds)).await?;
        sqlx::raw_sql(self.prepare)
            .execute(&mut *connection)
            .await?;
        Ok(WriterSession {
            connection,
            number: self.opened.fetch_add(1, Ordering::Relaxed),
            opened_at: Instant::now(),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// At least 1: PostgreSQL takes 0 for no bound at all.
pub(crate) fn millis(duration: Duration) -> u128 {
    duration.as_millis().max(1)
}
