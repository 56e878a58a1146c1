//! The bulk path: one transaction, the same few statements whatever the batch size and however many
//! partitions' batches it carries (see `lane.rs`).
//!
//! | # | statement | why it stands alone |
//! |---|---|---|
//! | 0 | `record_backend.sql`, `record_backend_together.sql` | when a partition's batch comes to another connection: a candidate must see who writes, so it commits before |
//! | 1 | `copy_staging.sql` | COPY carries no CTE; first, so that nothing is locked while the client sends |
//! | 2 | `fence.sql`, `fence_together.sql` | locks the leader rows: later statements see what a rival committed before |
//! | 3 | `apply.sql` | balances, log states and entries in one verdict; every count must be exact |
//! | 4 | `insert_dead_letters.sql`, `insert_parked_events.sql` | left out unless the batch has any |
//! | 5 | `store_offset.sql` | must hit exactly one row for each batch |
//!
//! Do not fold 2 into 3: a statement that waited for a lock keeps the snapshot it began with. Do
//! not move 1 behind 2: a client that freezes while it sends would hold the partition.

mod aside;
mod diagnosis;
mod failure;
mod lane;
#[cfg(feature = "reference-form")]
mod reference_form;
mod session;
mod settings;
mod settlement;
mod staging;
mod statement;
mod transaction;

pub(crate) use failure::is_lock_timeout;
#[cfg(feature = "reference-form")]
pub use reference_form::{ReferenceBatchWriter, ReferenceBatchWriterParameters};
pub(crate) use session::millis;
pub use settings::BatchWriterSettings;
#[cfg(test)]
pub(crate) use staging::copy_bytes;

use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::batch_writer::{BatchWriter, DecidedBatch, WriteError, WriteReceipt};
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, PartitionId};
use lane::Lane;
use session::{Sessions, TakenSession, Unrecorded};
use shaku::Component;
use std::sync::{Arc, OnceLock};
use transaction::Stop;

const PREPARE_SESSION: &str = include_str!("../sql/batch/prepare_session.sql");

/// [`BatchWriter`] by COPY and one CTE, over the writer pool.
///
/// Each partition is written by one caller at a time. What comes while a transaction is under way
/// is written together by the next one, and beside it where enough events wait.
#[derive(Component)]
#[shaku(interface = BatchWriter)]
pub struct PgBatchWriter {
    #[shaku(inject)]
    database: Arc<dyn Database>,
    /// The bounds.
    #[shaku(default)]
    settings: BatchWriterSettings,
    #[shaku(force_default)]
    running: OnceLock<Running>,
}

struct Running {
    sessions: Arc<Sessions>,
    lane: Arc<Lane>,
}

impl PgBatchWriter {
    /// A writer over the database's writer pool.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, settings: BatchWriterSettings) -> Self {
        Self {
            database,
            settings,
            running: OnceLock::new(),
        }
    }

    /// Made with the first batch: it needs the runtime, which the container knows nothing of.
    fn running(&self) -> &Running {
        self.running.get_or_init(|| {
            let sessions = Sessions::start(self.database.writer(), self.settings, PREPARE_SESSION);
            Running {
                sessions,
                lane: Arc::new(Lane::new(&self.settings)),
            }
        })
    }
}

#[async_trait]
impl BatchWriter for PgBatchWriter {
    async fn write(&self, batch: Arc<DecidedBatch>) -> Result<WriteReceipt, WriteError> {
        let running = self.running();
        running
            .lane
            .write(batch, &running.sessions, self.settings)
            .await
    }

    async fn settle(&self, partition: PartitionId, claim: Claim) -> Result<Offset, WriteError> {
        // The query pool: the writer's connections are all spoken for while partitions write.
        let pool = self.database.queries().clone();
        let settings = self.settings;
        let settling =
            tokio::spawn(
                async move { settlement::settle(&pool, partition, claim, &settings).await },
            );
        settling.await.unwrap_or_else(|ended| {
            Err(WriteError::Retryable(format!(
                "the settling task ended: {ended}"
            )))
        })
    }
}

/// What to do about a leader row that somebody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeldRows {
    /// Nothing is written: it reads as fenced.
    PassOver,
    /// Wait for it, up to the lock timeout. Only so is it looked for what spoilt the batch: that
    /// waits too.
    WaitFor,
}

/// Writes the batches, of different partitions, as one. What spoilt a batch is looked for only when
/// it is alone and may wait; otherwise the caller writes each apart.
async fn write(
    sessions: &Sessions,
    batches: &[Arc<DecidedBatch>],
    held: HeldRows,
    settings: BatchWriterSettings,
) -> Result<WriteReceipt, WriteError> {
    let mut taken = ready_session(sessions, batches, held, settings).await?;
    let mut written = transaction::write(&mut taken.session, batches, held, &settings).await;
    if let (Err(Stop::Unexplained(verdict)), [batch], HeldRows::WaitFor) = (&written, batches, held)
    {
        let verdict = verdict.clone();
        written = Err(diagnosis::explain(&mut taken.session, batch, &settings, verdict).await);
    }
    match written {
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

/// A session whose backend is on the leader row of each batch, under its claim.
async fn ready_session(
    sessions: &Sessions,
    batches: &[Arc<DecidedBatch>],
    held: HeldRows,
    settings: BatchWriterSettings,
) -> Result<TakenSession, WriteError> {
    let getting_ready = async {
        let mut taken = sessions.take(batches).await?;
        match sessions
            .put_on_record(&mut taken.session, batches, held)
            .await
        {
            Ok(()) => Ok(taken),
            Err(Unrecorded::Sound(error)) => {
                sessions.put_back(taken);
                Err(error)
            }
            Err(Unrecorded::Broken(error)) => Err(error),
        }
    };
    tokio::time::timeout(settings.batch_timeout, getting_ready)
        .await
        .unwrap_or_else(|_| {
            Err(WriteError::Retryable(format!(
                "no connection of the writer within {:?}",
                settings.batch_timeout
            )))
        })
}
