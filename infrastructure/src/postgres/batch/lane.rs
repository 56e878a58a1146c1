//! Gathering: batches of several partitions in one transaction.
//!
//! A transaction costs the store far more than another batch in it: COPY, fence, statement, offset and
//! commit are paid once. So partitions share a *lane*, which has one transaction under way at a time. A
//! batch that finds its lane free is written at once; those that come meanwhile wait for its end and are
//! then written together.
//!
//! They share a transaction and nothing else. What is wrong with one batch (fenced, spoilt, moved, refused)
//! rolls all back, and then each is written by itself and has its own verdict. Only an unknown outcome of
//! COMMIT is one for all: each partition settles it by its own leader row.
//!
//! Nor does one wait long for what holds up another. To write, the lane waits for no leader row: whose row
//! somebody holds is written apart, where it may wait, and where what spoilt a batch is looked for. A
//! partition that had to be tried again stays apart until a batch of it is committed, so a row of its that
//! is locked for long, or a server that is slow to refuse, costs the others one lock timeout, and not one
//! for each try.
//!
//! | metric | what it measures |
//! |---|---|
//! | `axs_transaction_batches` | batches of one transaction |
//! | `axs_batch_apart_total` | batches written by themselves, because they, or one that shared their transaction, were spoilt, or their leader row was held |

use super::session::Sessions;
use super::settings::BatchWriterSettings;
use super::{HeldRows, write};
use axs_application::port::batch_writer::{DecidedBatch, WriteError, WriteReceipt};
use axs_domain::id::PartitionId;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Events of one transaction, unless a single batch has more: what `staging_megabytes` is meant for.
const EVENTS_TOGETHER_MAX: usize = 20_000;

type Written = Result<WriteReceipt, WriteError>;

/// Where the batches of some partitions wait for each other. No more wait than partitions share it, since
/// each has one batch under way.
#[derive(Default)]
pub(super) struct Lane(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    batches: VecDeque<WaitingBatch>,
    /// Partitions whose last batch was not written and is to be tried again.
    apart: HashSet<PartitionId>,
    /// Whether a task writes; it looks again when it is done.
    under_way: bool,
}

struct WaitingBatch {
    batch: Arc<DecidedBatch>,
    answer: oneshot::Sender<Written>,
}

impl WaitingBatch {
    /// Lets go of the batch first: whoever is answered may be the only one that holds it.
    fn answer(self, written: Written) {
        drop(self.batch);
        // A caller that went away finds out by settling.
        let _ = self.answer.send(written);
    }
}

impl Lane {
    /// Writes the batch, alone or with others. A caller that goes away stops nothing.
    pub(super) async fn write(
        self: &Arc<Self>,
        batch: Arc<DecidedBatch>,
        sessions: &Arc<Sessions>,
        settings: BatchWriterSettings,
    ) -> Written {
        let partition = batch.partition;
        let (answer, written) = oneshot::channel();
        let new = WaitingBatch { batch, answer };
        if self.waiting().apart.contains(&partition) {
            tokio::spawn(write_apart(new, Arc::clone(sessions), settings));
        } else if self.put(new) {
            tokio::spawn(run(Arc::clone(self), Arc::clone(sessions), settings));
        }
        let written = written.await.unwrap_or_else(|_| {
            let reason = "the task that wrote it ended".to_owned();
            Err(WriteError::OutcomeUnknown(reason))
        });
        let apart = &mut self.waiting().apart;
        match written {
            Ok(_) => apart.remove(&partition),
            Err(WriteError::Retryable(_) | WriteError::OutcomeUnknown(_)) => {
                apart.insert(partition)
            }
            Err(_) => false,
        };
        written
    }

    /// Lets the batch wait; whether a task must begin to write.
    fn put(&self, batch: WaitingBatch) -> bool {
        let mut waiting = self.waiting();
        waiting.batches.push_back(batch);
        !std::mem::replace(&mut waiting.under_way, true)
    }

    /// What is written next, in the order of coming: one batch of a partition, and so many events. `None`
    /// ends the task.
    fn next_together(&self) -> Option<Vec<WaitingBatch>> {
        let mut waiting = self.waiting();
        let mut together = Vec::new();
        let mut partitions: HashSet<PartitionId> = HashSet::new();
        let mut events = 0;
        while let Some(next) = waiting.batches.front() {
            events += next.batch.events.len();
            let fits = together.is_empty() || events <= EVENTS_TOGETHER_MAX;
            if !fits || !partitions.insert(next.batch.partition) {
                break;
            }
            together.extend(waiting.batches.pop_front());
        }
        if together.is_empty() {
            waiting.under_way = false;
            return None;
        }
        Some(together)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(lane: Arc<Lane>, sessions: Arc<Sessions>, settings: BatchWriterSettings) {
    while let Some(together) = lane.next_together() {
        // A task of its own: a panic ends one transaction, whose callers are told, and not the lane.
        let writing = tokio::spawn(write_together(together, Arc::clone(&sessions), settings));
        if let Err(died) = writing.await {
            tracing::error!(%died, "a transaction of batches died");
        }
    }
}

async fn write_together(
    together: Vec<WaitingBatch>,
    sessions: Arc<Sessions>,
    settings: BatchWriterSettings,
) {
    let batches: Vec<_> = together.iter().map(|it| Arc::clone(&it.batch)).collect();
    let count = u32::try_from(batches.len()).unwrap_or(u32::MAX);
    metrics::histogram!("axs_transaction_batches").record(f64::from(count));
    let written = write(&sessions, &batches, HeldRows::PassOver, settings).await;
    drop(batches);
    let goes_apart = |error: &WriteError| match error {
        WriteError::OutcomeUnknown(_) => false,
        WriteError::Retryable(_) => count > 1,
        // Of a lone one too: so reads a row that was passed over, and what spoilt it is not looked for here.
        _ => true,
    };
    match written {
        Err(error) if goes_apart(&error) => {
            tracing::debug!(%error, count, "batches are written apart");
            metrics::counter!("axs_batch_apart_total").increment(u64::from(count));
            // The lane does not wait for them: what holds one up must not hold up the others.
            for waiting in together {
                tokio::spawn(write_apart(waiting, Arc::clone(&sessions), settings));
            }
        }
        written => {
            for waiting in together {
                waiting.answer(written.clone());
            }
        }
    }
}

async fn write_apart(
    waiting: WaitingBatch,
    sessions: Arc<Sessions>,
    settings: BatchWriterSettings,
) {
    let alone = std::slice::from_ref(&waiting.batch);
    let written = write(&sessions, alone, HeldRows::WaitFor, settings).await;
    waiting.answer(written);
}
