//! The bulk path: one transaction, the same few statements whatever the batch size.
//!
//! | # | statement | why it stands alone |
//! |---|---|---|
//! | 0 | `record_backend.sql` | once a connection: a candidate must see who writes, so it commits before |
//! | 1 | `copy_staging.sql` | COPY carries no CTE; first, so that nothing is locked while the client sends |
//! | 2 | `fence.sql` | locks the leader row: later statements see what a rival committed before |
//! | 3 | `apply.sql` | balances, log states and entries in one verdict; every count must be exact |
//! | 4 | `insert_dead_letters.sql`, `insert_parked_events.sql` | left out unless the batch has any |
//! | 5 | `store_offset.sql` | must hit exactly one row |
//!
//! Do not fold 2 into 3: a statement that waited for a lock keeps the snapshot it began with.
//! Do not move 1 behind 2: a client that freezes while it sends would hold the partition.

mod aside;
mod diagnosis;
mod failure;
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
pub use reference_form::ReferenceBatchWriter;
pub(crate) use session::millis;
pub use settings::BatchWriterSettings;
#[cfg(test)]
pub(crate) use staging::copy_bytes;

use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::batch_writer::{BatchWriter, DecidedBatch, WriteError, WriteReceipt};
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, PartitionId};
use session::{Sessions, TakenSession};
use shaku::Component;
use std::sync::{Arc, OnceLock};
use transaction::Stop;

const PREPARE_SESSION: &str = include_str!("../sql/batch/prepare_session.sql");

/// [`BatchWriter`] by COPY and one CTE, over the writer pool.
///
/// Partitions may be written side by side, each by one caller at a time; more partitions than the
/// pool has connections take turns.
#[derive(Component)]
#[shaku(interface = BatchWriter)]
pub struct PgBatchWriter {
    #[shaku(inject)]
    database: Arc<dyn Database>,
    /// The bounds.
    #[shaku(default)]
    settings: BatchWriterSettings,
    #[shaku(force_default)]
    sessions: OnceLock<Arc<Sessions>>,
}

impl PgBatchWriter {
    /// A writer over the database's writer pool.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, settings: BatchWriterSettings) -> Self {
        Self {
            database,
            settings,
            sessions: OnceLock::new(),
        }
    }

    /// Made with the first batch: it needs the runtime, which the container knows nothing of.
    fn sessions(&self) -> Arc<Sessions> {
        let sessions = self.sessions.get_or_init(|| {
            Sessions::start(self.database.writer(), self.settings, PREPARE_SESSION)
        });
        Arc::clone(sessions)
    }
}

#[async_trait]
impl BatchWriter for PgBatchWriter {
    async fn write(&self, batch: Arc<DecidedBatch>) -> Result<WriteReceipt, WriteError> {
        // A task of its own: a caller that is cancelled must not leave a transaction half done.
        let writing = tokio::spawn(write_batch(self.sessions(), batch, self.settings));
        writing.await.unwrap_or_else(|ended| {
            Err(WriteError::OutcomeUnknown(format!(
                "the writing task ended: {ended}"
            )))
        })
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

async fn write_batch(
    sessions: Arc<Sessions>,
    batch: Arc<DecidedBatch>,
    settings: BatchWriterSettings,
) -> Result<WriteReceipt, WriteError> {
    let mut taken = ready_session(&sessions, &batch, settings).await?;
    let mut written = transaction::write(&mut taken.session, &batch, &settings).await;
    if let Err(Stop::Unexplained(verdict)) = written {
        written = Err(diagnosis::explain(&mut taken.session, &batch, &settings, verdict).await);
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

/// A session whose backend is on the leader row under the batch's claim.
async fn ready_session(
    sessions: &Sessions,
    batch: &DecidedBatch,
    settings: BatchWriterSettings,
) -> Result<TakenSession, WriteError> {
    let getting_ready = async {
        let mut taken = sessions.take(batch.partition).await?;
        match taken
            .session
            .record_backend(batch.partition, batch.claim)
            .await
        {
            Ok(()) => Ok(taken),
            Err(WriteError::Fenced) => {
                sessions.put_back(taken);
                Err(WriteError::Fenced)
            }
            Err(error) => Err(error),
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
