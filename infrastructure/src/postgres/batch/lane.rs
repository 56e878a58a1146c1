//! Gathering: batches of several partitions in one transaction.
//!
//! A transaction costs the store far more than another batch in it: COPY, fence, statement, offset
//! and commit are paid once. So few events wait while a transaction is under way, and are written
//! together by the next one. Where enough of them wait, that price is small beside theirs, and a
//! transaction begins beside those under way, up to a bound: the store then works for several
//! partitions at once, as when a backlog is worked off. A batch that finds nothing under way is
//! written at once, and none waits longer than `wait_for_others_max` while there may be more
//! transactions.
//!
//! They share a transaction and nothing else. What is wrong with one batch (fenced, spoilt, moved,
//! refused) rolls all back, and then each is written by itself and has its own verdict. Only an
//! unknown outcome of COMMIT is one for all: each partition settles it by its own leader row.
//!
//! Nor does one wait long for what holds up another. A shared transaction waits for no leader row:
//! a batch whose row somebody holds, or that was spoilt, is written apart, where it may wait. A
//! partition that had to be tried again stays apart until a batch of it is committed, so a row of
//! that partition that is locked for long, or a server that is slow to refuse, costs the others one
//! lock timeout, and not one for each try.
//!
//! | metric | what it measures |
//! |---|---|
//! | `axs_transaction_batches` | batches of one transaction |
//! | `axs_batch_apart_total` | batches written once more, each by itself: one of their transaction was refused or spoilt, or its leader row was held |

use super::session::Sessions;
use super::settings::BatchWriterSettings;
use super::{HeldRows, write};
use axs_application::port::batch_writer::{DecidedBatch, WriteError, WriteReceipt};
use axs_domain::id::PartitionId;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Events of one transaction, unless a single batch has more: what `staging_megabytes` is meant
/// for.
const EVENTS_TOGETHER_MAX: usize = 20_000;

/// Looking more often would be all that a processor does.
const WAIT_MIN: Duration = Duration::from_millis(1);

type Written = Result<WriteReceipt, WriteError>;

/// Where batches wait for each other. No more wait than there are partitions, since each has one
/// batch under way, unless callers go away.
pub(super) struct Lane(Mutex<LaneState>);

struct LaneState {
    transactions_max: usize,
    events_worth_a_transaction: usize,
    waiting: VecDeque<WaitingBatch>,
    /// Partitions whose last batch was not written and is to be tried again.
    apart: HashSet<PartitionId>,
    /// Partitions of which a transaction has a batch: one that comes again, since its caller went
    /// away, waits. Not what is written apart: there the lock of the leader row has the second one
    /// wait.
    writing: HashSet<PartitionId>,
    /// Transactions under way; each begins another at its end, so none under way means that nothing
    /// waits.
    transactions: usize,
}

impl LaneState {
    fn new(settings: &BatchWriterSettings) -> Self {
        Self {
            transactions_max: settings.transactions_max.max(1),
            events_worth_a_transaction: settings.events_worth_a_transaction,
            waiting: VecDeque::new(),
            apart: HashSet::new(),
            writing: HashSet::new(),
            transactions: 0,
        }
    }

    /// Begins a transaction with what waits, when it is worth one beside those under way.
    fn begin(&mut self) -> Option<Vec<WaitingBatch>> {
        let events_min = match self.transactions {
            0 => 0,
            _ => self.events_worth_a_transaction,
        };
        self.begin_with(events_min)
    }

    /// Begins a transaction, however few events wait, when the partition's batch is still among
    /// them.
    fn begin_for(&mut self, partition: PartitionId) -> Option<Vec<WaitingBatch>> {
        let mut waiting = self.waiting.iter();
        let waits = waiting.any(|it| it.batch.partition == partition);
        (waits && !self.writing.contains(&partition))
            .then(|| self.begin_with(0))
            .flatten()
    }

    fn begin_with(&mut self, events_min: usize) -> Option<Vec<WaitingBatch>> {
        if self.transactions >= self.transactions_max {
            return None;
        }
        let together = self.next_together(events_min)?;
        self.transactions += 1;
        Some(together)
    }

    /// Ends the transaction that had a batch of each of these.
    fn end(&mut self, partitions: &[PartitionId]) {
        self.transactions = self.transactions.saturating_sub(1);
        for partition in partitions {
            self.writing.remove(partition);
        }
    }

    /// The batches of the next transaction, in the order of coming: one of a partition, and so many
    /// events. None of fewer than these.
    fn next_together(&mut self, events_min: usize) -> Option<Vec<WaitingBatch>> {
        let mut partitions = self.writing.clone();
        let (mut events, mut is_full) = (0, false);
        let mut places = Vec::new();
        for (place, waiting) in self.waiting.iter().enumerate() {
            if partitions.contains(&waiting.batch.partition) {
                continue;
            }
            let more = events + waiting.batch.events.len();
            if !places.is_empty() && more > EVENTS_TOGETHER_MAX {
                is_full = true;
                break;
            }
            events = more;
            partitions.insert(waiting.batch.partition);
            places.push(place);
        }
        if places.is_empty() || (events < events_min && !is_full) {
            return None;
        }
        // From the end, so that the places before it stay what they are.
        let taken = places.into_iter().rev();
        let taken = taken.filter_map(|place| self.waiting.remove(place));
        let mut together: Vec<WaitingBatch> = taken.collect();
        together.reverse();
        self.writing
            .extend(together.iter().map(|waiting| waiting.batch.partition));
        Some(together)
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
        Self(Mutex::new(LaneState::new(settings)))
    }

    /// Writes the batch, alone or with others. A caller that goes away stops nothing.
    pub(super) async fn write(
        self: &Arc<Self>,
        batch: Arc<DecidedBatch>,
        sessions: &Arc<Sessions>,
        settings: BatchWriterSettings,
    ) -> Written {
        let partition = batch.partition;
        let (answer, mut written) = oneshot::channel();
        let new = WaitingBatch { batch, answer };
        if self.state().apart.contains(&partition) {
            tokio::spawn(write_apart(new, Arc::clone(sessions), settings));
        } else if let Some(together) = self.put(new) {
            self.start(together, sessions, settings);
        }
        let written = loop {
            // Again and again: when it is overdue there may be no room, and nobody wakes it for few
            // events.
            let wait = settings.wait_for_others_max.max(WAIT_MIN);
            match tokio::time::timeout(wait, &mut written).await {
                Ok(written) => break written,
                Err(_) => {
                    let overdue = self.state().begin_for(partition);
                    if let Some(together) = overdue {
                        self.start(together, sessions, settings);
                    }
                }
            }
        };
        let written = written.unwrap_or_else(|_| {
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

    fn start(
        self: &Arc<Self>,
        together: Vec<WaitingBatch>,
        sessions: &Arc<Sessions>,
        settings: BatchWriterSettings,
    ) {
        let lane = Arc::clone(self);
        tokio::spawn(lane.run(together, Arc::clone(sessions), settings));
    }

    /// Lets the batch wait, and gives what a new task is to write now, if it is to begin.
    fn put(&self, batch: WaitingBatch) -> Option<Vec<WaitingBatch>> {
        let mut state = self.state();
        state.waiting.push_back(batch);
        state.begin()
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
            // A task of its own: a panic ends one transaction, whose callers are told, and not the
            // lane.
            let writing = tokio::spawn(write_together(together, Arc::clone(&sessions), settings));
            if let Err(died) = writing.await {
                tracing::error!(%died, "a transaction of batches died");
            }
            let next = {
                let mut state = self.state();
                state.end(&partitions);
                state.begin()
            };
            let Some(next) = next else { return };
            together = next;
        }
    }

    fn state(&self) -> MutexGuard<'_, LaneState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        // A lone one too: "fenced" may mean passed over, and only apart is it looked for what
        // spoilt it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use axs_application::port::batch_writer::{FinalResult, FinalisedEvent};
    use axs_application::port::change_log::ChangeLogKey;
    use axs_application::testkit::{EventBuilder, empty_batch, log_id};
    use axs_domain::fingerprint::Fingerprint;
    use axs_domain::id::{AccountId, Offset, ShardId};
    use axs_domain::text::IdempotencyKey;
    use axs_domain::time::Timestamp;

    struct Row {
        what: &'static str,
        /// Partition and events of each batch, in the order of coming.
        waiting: &'static [(i32, usize)],
        writing: &'static [i32],
        events_min: usize,
        /// The partitions that go together, and those that still wait.
        goes: &'static [i32],
        stays: &'static [i32],
    }

    const ROWS: [Row; 8] = [
        Row {
            what: "all go, in their order",
            waiting: &[(2, 1), (0, 1), (1, 1)],
            writing: &[],
            events_min: 0,
            goes: &[2, 0, 1],
            stays: &[],
        },
        Row {
            what: "of a partition one",
            waiting: &[(0, 1), (0, 1), (1, 1)],
            writing: &[],
            events_min: 0,
            goes: &[0, 1],
            stays: &[0],
        },
        Row {
            what: "a partition under way waits, those behind it do not",
            waiting: &[(0, 9), (1, 1)],
            writing: &[0],
            events_min: 1,
            goes: &[1],
            stays: &[0],
        },
        Row {
            what: "what waits for a partition counts for nothing",
            waiting: &[(0, 9), (1, 1)],
            writing: &[0],
            events_min: 2,
            goes: &[],
            stays: &[0, 1],
        },
        Row {
            what: "too few wait",
            waiting: &[(0, 1), (1, 1)],
            writing: &[2],
            events_min: 3,
            goes: &[],
            stays: &[0, 1],
        },
        Row {
            what: "just enough",
            waiting: &[(0, 1), (1, 2)],
            writing: &[2],
            events_min: 3,
            goes: &[0, 1],
            stays: &[],
        },
        Row {
            what: "one that is larger than the bound goes alone",
            waiting: &[(0, EVENTS_TOGETHER_MAX + 1), (1, 1)],
            writing: &[],
            events_min: 0,
            goes: &[0],
            stays: &[1],
        },
        Row {
            what: "before a large one the few are not too few",
            waiting: &[(0, 1), (1, EVENTS_TOGETHER_MAX)],
            writing: &[2],
            events_min: 3,
            goes: &[0],
            stays: &[1],
        },
    ];

    fn partitions(numbers: &[i32]) -> Vec<PartitionId> {
        numbers
            .iter()
            .map(|n| PartitionId::try_new(*n).unwrap())
            .collect()
    }

    fn state(transactions_max: usize, events_worth_a_transaction: usize) -> LaneState {
        LaneState::new(&BatchWriterSettings {
            transactions_max,
            events_worth_a_transaction,
            ..BatchWriterSettings::default()
        })
    }

    #[test]
    fn what_goes_together_row_by_row() {
        for row in ROWS {
            let mut state = state(1, 1);
            state.writing.extend(partitions(row.writing));
            state
                .waiting
                .extend(row.waiting.iter().map(|it| waiting(it.0, it.1)));
            let goes = state.next_together(row.events_min).unwrap_or_default();
            let of = |waiting: &WaitingBatch| waiting.batch.partition;
            assert_eq!(
                goes.iter().map(of).collect::<Vec<_>>(),
                partitions(row.goes),
                "{}",
                row.what
            );
            let stays: Vec<_> = state.waiting.iter().map(of).collect();
            assert_eq!(stays, partitions(row.stays), "{}", row.what);
        }
    }

    #[test]
    fn few_wait_for_an_end_and_many_for_a_free_transaction() {
        let mut state = state(2, 3);
        let put = |state: &mut LaneState, partition, events| {
            state.waiting.push_back(waiting(partition, events));
            state.begin().map(|together| together.len())
        };
        assert_eq!(put(&mut state, 0, 1), Some(1), "nothing is under way");
        assert_eq!(put(&mut state, 1, 2), None, "too few");
        assert_eq!(put(&mut state, 2, 1), Some(2), "enough, both together");
        assert_eq!(put(&mut state, 3, 9), None, "two are under way");
        state.end(&partitions(&[1, 2]));
        assert_eq!(state.begin().map(|it| it.len()), Some(1));
        assert_eq!(put(&mut state, 1, 1), None);
        state.end(&partitions(&[3]));
        assert!(state.begin().is_none(), "too few beside the first");
        state.end(&partitions(&[0]));
        assert_eq!(
            state.begin().map(|it| it.len()),
            Some(1),
            "the last leaves nothing behind"
        );
        state.end(&partitions(&[1]));
        assert!(state.begin().is_none());
        assert!(state.writing.is_empty() && state.transactions == 0);
    }

    #[test]
    fn a_batch_that_is_overdue_begins_with_all_that_wait_while_there_may_be_more_transactions() {
        let mut state = state(2, 100);
        // The last is another batch of the one that is written.
        for (nth, partition) in [0, 1, 2, 0].into_iter().enumerate() {
            state.waiting.push_back(waiting(partition, 1));
            let begun = state.begin().map(|together| together.len());
            assert_eq!(begun, (nth == 0).then_some(1));
        }
        let overdue = |state: &mut LaneState, partition: i32| {
            let begun = state.begin_for(partitions(&[partition])[0]);
            begun.map(|together| together.len())
        };
        assert_eq!(overdue(&mut state, 0), None, "one of it is being written");
        assert_eq!(overdue(&mut state, 3), None, "it does not wait");
        assert_eq!(overdue(&mut state, 2), Some(2), "with the other that waits");
        state.waiting.push_back(waiting(3, 1));
        assert_eq!(overdue(&mut state, 3), None, "two are under way");
        state.end(&partitions(&[1, 2]));
        assert!(state.begin().is_none(), "too few beside the first");
        assert_eq!(
            overdue(&mut state, 3),
            Some(1),
            "its turn comes all the same"
        );
    }

    /// A batch of so many events, which nobody waits for.
    fn waiting(partition: i32, events: usize) -> WaitingBatch {
        let event = FinalisedEvent {
            log_id: log_id(1),
            key: ChangeLogKey {
                shard_id: ShardId::MIN,
                account_id: AccountId::MIN,
                idempotency_key: IdempotencyKey::parse("k").unwrap(),
            },
            fingerprint: Fingerprint::of(&EventBuilder::new(1, "k").build()),
            logged_at: Timestamp::from_unix_micros(0),
            offset: Offset::MIN,
            result: FinalResult::Applied(Vec::new()),
        };
        let batch = DecidedBatch {
            events: vec![event; events],
            ..empty_batch(PartitionId::try_new(partition).unwrap())
        };
        let (answer, _) = oneshot::channel();
        let batch = Arc::new(batch);
        WaitingBatch { batch, answer }
    }
}
