//! Gathering: batches of several partitions in one transaction.
//!
//! A transaction costs the store far more than another batch in it: COPY, fence, statement, offset and
//! commit are paid once. So few events wait while a transaction is under way, and are written together by
//! the next one. Where enough of them wait, that price is small beside theirs, and a transaction begins
//! beside those under way, up to a bound: the store then works for several partitions at once, as when a
//! backlog is worked off. A batch that finds nothing under way is written at once.
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

/// Where batches wait for each other. No more wait than there are partitions, since each has one batch under
/// way.
pub(super) struct Lane {
    transactions_max: usize,
    beside_events_min: usize,
    state: Mutex<LaneState>,
}

#[derive(Default)]
struct LaneState {
    waiting: VecDeque<WaitingBatch>,
    /// Partitions whose last batch was not written and is to be tried again.
    apart: HashSet<PartitionId>,
    /// Partitions of which a transaction has a batch.
    writing: HashSet<PartitionId>,
    /// Tasks that write, one transaction after another.
    tasks: usize,
}

impl LaneState {
    /// The batches of the next transaction, in the order of coming: one of a partition, and so many events.
    /// None of fewer than these.
    fn next_together(&mut self, events_min: usize) -> Option<Vec<WaitingBatch>> {
        let mut partitions = self.writing.clone();
        let mut events = 0;
        let mut together = Vec::new();
        for (place, waiting) in self.waiting.iter().enumerate() {
            let more = events + waiting.batch.events.len();
            if !together.is_empty() && more > EVENTS_TOGETHER_MAX {
                break;
            }
            if partitions.insert(waiting.batch.partition) {
                events = more;
                together.push(place);
            }
        }
        if together.is_empty() || events < events_min {
            return None;
        }
        // From the end, so that the places before it stay what they are.
        let mut taken: Vec<WaitingBatch> = together
            .into_iter()
            .rev()
            .filter_map(|place| self.waiting.remove(place))
            .collect();
        taken.reverse();
        self.writing
            .extend(taken.iter().map(|waiting| waiting.batch.partition));
        Some(taken)
    }
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
    /// A lane within these bounds.
    pub(super) fn new(settings: &BatchWriterSettings) -> Self {
        Self {
            transactions_max: settings.transactions_max.max(1),
            beside_events_min: settings.beside_events_min,
            state: Mutex::default(),
        }
    }

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
        if self.state().apart.contains(&partition) {
            tokio::spawn(write_apart(new, Arc::clone(sessions), settings));
        } else if let Some(together) = self.put(new) {
            let lane = Arc::clone(self);
            tokio::spawn(lane.run(together, Arc::clone(sessions), settings));
        }
        let written = written.await.unwrap_or_else(|_| {
            let reason = "the task that wrote it ended".to_owned();
            Err(WriteError::OutcomeUnknown(reason))
        });
        let apart = &mut self.state().apart;
        match written {
            Ok(_) => apart.remove(&partition),
            Err(WriteError::Retryable(_) | WriteError::OutcomeUnknown(_)) => {
                apart.insert(partition)
            }
            Err(_) => false,
        };
        written
    }

    /// Lets the batch wait, and gives what a new task is to write now, if it is to begin.
    fn put(&self, batch: WaitingBatch) -> Option<Vec<WaitingBatch>> {
        let mut state = self.state();
        state.waiting.push_back(batch);
        if state.tasks >= self.transactions_max {
            return None;
        }
        let events_min = self.events_min(state.tasks);
        let together = state.next_together(events_min)?;
        state.tasks += 1;
        Some(together)
    }

    /// Writes these, and what waits afterwards. The last task leaves nothing behind.
    async fn run(
        self: Arc<Self>,
        mut together: Vec<WaitingBatch>,
        sessions: Arc<Sessions>,
        settings: BatchWriterSettings,
    ) {
        loop {
            let partitions: Vec<PartitionId> = together.iter().map(|w| w.batch.partition).collect();
            // A task of its own: a panic ends one transaction, whose callers are told, and not the lane.
            let writing = tokio::spawn(write_together(together, Arc::clone(&sessions), settings));
            if let Err(died) = writing.await {
                tracing::error!(%died, "a transaction of batches died");
            }
            let mut state = self.state();
            for partition in &partitions {
                state.writing.remove(partition);
            }
            let others = state.tasks.saturating_sub(1);
            match state.next_together(self.events_min(others)) {
                Some(next) => together = next,
                None => {
                    state.tasks = others;
                    return;
                }
            }
        }
    }

    /// How many events a transaction is worth beside so many others.
    const fn events_min(&self, others: usize) -> usize {
        if others == 0 {
            0
        } else {
            self.beside_events_min
        }
    }

    fn state(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
