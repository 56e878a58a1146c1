//! A store in memory that keeps the promises of the real one, and fails when told to.

mod reads;

use super::draft::ShardedKey;
use crate::port::balance_cache::{BalanceCache, CacheError, CommittedBalance};
use crate::port::balance_store::{AccountBalances, BalancesSnapshot};
use crate::port::batch_writer::{
    BatchWriter, Culprit, CulpritKind, DeadLetter, DecidedBatch, FinalResult, FinalisedEvent,
    WriteError, WriteReceipt,
};
use crate::port::change_log::{ChangeLogKey, ChangeLogRecord, PARKED_REASON_CODE};
use crate::port::clock::Clock;
use crate::port::store_error::StoreError;
use crate::testkit::INCARNATION;
use async_trait::async_trait;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::fencing::{Claim, Fence};
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{AccountId, LogId, Offset, OwnerId, PartitionId, ShardId};
use axs_domain::incarnation::Incarnation;
use axs_domain::log_status::LogStatus;
use axs_domain::time::{Monotonic, Timestamp};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// PostgreSQL's time in the fakes: nothing is younger than the grace.
pub(crate) const SCANNED_TO: i64 = 1_000_000_000;

/// A log row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) log_id: LogId,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) logged_at: Timestamp,
    pub(crate) payload: Bytes,
    pub(crate) status: LogStatus,
    pub(crate) reason: Option<String>,
}

/// How the next write goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// Nothing is written.
    Error(WriteError),
    /// All is written, and nobody is told.
    CommittedUnknown,
    /// Nothing is written, and nobody is told.
    LostUnknown,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) fence: Fence,
    pub(crate) stored_offset: Offset,
    pub(crate) rows: HashMap<ChangeLogKey, Row>,
    pub(crate) balances: HashMap<ShardedKey, VersionedBalance>,
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// Every batch that was committed, in order.
    pub(crate) committed: Vec<Arc<DecidedBatch>>,
    /// How many writes were begun.
    pub(crate) writes_begun: usize,
    /// How many writes the store itself found to be decided on what does not stand.
    pub(crate) moved: usize,
    /// How many keys each load asked for.
    pub(crate) loads: Vec<usize>,
    /// What goes wrong with the next writes.
    pub(crate) troubles: VecDeque<Option<Trouble>>,
    /// What goes wrong with the next settlings.
    pub(crate) settle_troubles: VecDeque<WriteError>,
    /// Events with these keys are refused as data unless parked.
    pub(crate) refused_keys: HashSet<String>,
    /// The relay's stored mark, how often it was lowered, and up to where no row can still come.
    pub(crate) relay_mark: Option<Timestamp>,
    pub(crate) relay_generation: i64,
    pub(crate) relay_settled_to: Option<Timestamp>,
    /// Up to where a scan may read, in microseconds.
    pub(crate) relay_until: i64,
    /// Microseconds of the log that one page of a scan reads at most.
    pub(crate) relay_part: Option<i64>,
    /// Where each scan of the relay began.
    pub(crate) relay_scans: Vec<Option<Timestamp>>,
}

/// The store.
#[derive(Debug)]
pub(crate) struct FakeStore {
    pub(crate) state: Mutex<State>,
    /// Each write waits for a permit.
    pub(crate) gate: Semaphore,
}

impl FakeStore {
    pub(crate) fn new(fence: Fence) -> Self {
        Self {
            state: Mutex::new(State {
                fence,
                stored_offset: Offset::MIN,
                rows: HashMap::new(),
                balances: HashMap::new(),
                dead_letters: Vec::new(),
                committed: Vec::new(),
                writes_begun: 0,
                moved: 0,
                loads: Vec::new(),
                troubles: VecDeque::new(),
                settle_troubles: VecDeque::new(),
                refused_keys: HashSet::new(),
                relay_mark: None,
                relay_generation: 0,
                relay_settled_to: Some(Timestamp::from_unix_micros(SCANNED_TO)),
                relay_until: SCANNED_TO,
                relay_part: None,
                relay_scans: Vec::new(),
            }),
            gate: Semaphore::new(1_000_000),
        }
    }

    /// The status of every row, by key text.
    pub(crate) fn statuses(&self) -> BTreeMap<String, LogStatus> {
        let state = self.state.lock().unwrap();
        state
            .rows
            .iter()
            .map(|(key, row)| (key.idempotency_key.as_str().to_owned(), row.status))
            .collect()
    }

    /// `available` of an account in USD, and its version.
    pub(crate) fn usd(&self, account: i64) -> (String, i64) {
        let state = self.state.lock().unwrap();
        let found = state.balances.iter().find(|((_, key), _)| {
            key.account_id.value() == account && key.currency.as_str() == "USD"
        });
        found.map_or(("-".to_owned(), 0), |(_, stored)| {
            (stored.balance.available.to_string(), stored.version.value())
        })
    }
}

impl State {
    fn culprits(&self, batch: &DecidedBatch) -> Vec<Culprit> {
        let wrong = |event: &FinalisedEvent| match self.rows.get(&event.key) {
            None => Some(CulpritKind::NoLogRow),
            Some(row)
                if row.log_id != event.log_id
                    || row.fingerprint != event.fingerprint
                    || row.logged_at != event.logged_at =>
            {
                Some(CulpritKind::DiffersFromLog)
            }
            Some(row) if row.status != LogStatus::Init => Some(CulpritKind::NotInit),
            Some(_) => None,
        };
        let culprit = |event: &FinalisedEvent| {
            wrong(event).map(|kind| Culprit {
                offset: event.offset,
                kind,
            })
        };
        batch.events.iter().filter_map(culprit).collect()
    }

    fn check(&self, batch: &DecidedBatch) -> Result<(), WriteError> {
        if self.fence.admit(batch.claim).is_err() {
            return Err(WriteError::Fenced);
        }
        if self.stored_offset != batch.offset_before {
            return Err(WriteError::Moved(format!(
                "stored offset {}",
                self.stored_offset
            )));
        }
        if let Some(refused) = batch.events.iter().find(|event| {
            self.refused_keys
                .contains(event.key.idempotency_key.as_str())
                && !matches!(event.result, FinalResult::Parked(_))
        }) {
            return Err(WriteError::RefusedData {
                sqlstate: "22003".to_owned(),
                message: format!("will not have {}", refused.key.idempotency_key),
            });
        }
        let culprits = self.culprits(batch);
        if !culprits.is_empty() {
            return Err(WriteError::Culprits(culprits));
        }
        let version = |shard: ShardId, key: BalanceKey| {
            self.balances
                .get(&(shard, key))
                .map_or(VersionedBalance::ABSENT.version, |stored| stored.version)
        };
        let writes = batch
            .writes
            .iter()
            .map(|w| (w.shard_id, w.key, w.write.version_read));
        let reads = batch.reads.iter().map(|r| (r.shard_id, r.key, r.version));
        for (shard, key, expected) in writes.chain(reads) {
            if version(shard, key) != expected {
                return Err(WriteError::Moved(format!("{key:?} is not at {expected}")));
            }
        }
        Ok(())
    }

    /// What the types can't say of a batch. A breach is a bug of the worker, so it panics.
    fn check_shape(&self, batch: &DecidedBatch) {
        assert!(batch.offset_after > batch.offset_before, "the offset moves");
        let mut offsets: Vec<_> = batch.events.iter().map(|event| event.offset).collect();
        offsets.extend(batch.dead_letters.iter().map(|letter| letter.offset));
        assert!(
            offsets
                .iter()
                .all(|o| (batch.offset_before..batch.offset_after).contains(o)),
            "offsets lie inside the batch"
        );
        assert!(batch.events.is_sorted_by_key(|event| event.offset));
        let written: HashSet<_> = batch.writes.iter().map(|w| (w.shard_id, w.key)).collect();
        assert_eq!(written.len(), batch.writes.len(), "one row each");
        assert!(
            batch
                .reads
                .iter()
                .all(|r| !written.contains(&(r.shard_id, r.key))),
            "a balance is read or written, not both"
        );
        // Entries follow each other from the version read to the version written.
        let mut at: HashMap<ShardedKey, VersionedBalance> = HashMap::new();
        for event in &batch.events {
            if let FinalResult::Parked(reason) = &event.result {
                assert_eq!(reason.code, PARKED_REASON_CODE);
            }
            let FinalResult::Applied(entries) = &event.result else {
                continue;
            };
            for entry in entries {
                let key = BalanceKey {
                    account_id: event.key.account_id,
                    currency: entry.applied.currency,
                };
                let sharded = (event.key.shard_id, key);
                let before = at
                    .get(&sharded)
                    .or_else(|| self.balances.get(&sharded))
                    .copied()
                    .unwrap_or(VersionedBalance::ABSENT);
                assert_eq!(
                    before.balance.plus(entry.applied.delta),
                    Some(entry.after.balance)
                );
                assert_eq!(before.version.next(), Some(entry.after.version));
                at.insert(sharded, entry.after);
            }
        }
        let after: HashMap<ShardedKey, VersionedBalance> = batch
            .writes
            .iter()
            .map(|w| ((w.shard_id, w.key), w.write.after))
            .collect();
        assert_eq!(at, after, "what is written is what the entries say");
    }

    fn apply(&mut self, batch: &Arc<DecidedBatch>) {
        self.check_shape(batch);
        for guarded in &batch.writes {
            self.balances
                .insert((guarded.shard_id, guarded.key), guarded.write.after);
        }
        for event in &batch.events {
            let row = self.rows.get_mut(&event.key).unwrap();
            let (status, reason) = match &event.result {
                FinalResult::Applied(_) => (LogStatus::Applied, None),
                FinalResult::Rejected(reason) => (LogStatus::Rejected, Some(reason)),
                FinalResult::Parked(reason) => (LogStatus::Parked, Some(reason)),
            };
            row.status = status;
            row.reason = reason.map(|reason| reason.message.clone());
        }
        self.dead_letters.extend(batch.dead_letters.iter().cloned());
        self.stored_offset = batch.offset_after;
        self.committed.push(Arc::clone(batch));
    }
}

#[async_trait]
impl BatchWriter for FakeStore {
    async fn write(&self, batch: Arc<DecidedBatch>) -> Result<WriteReceipt, WriteError> {
        self.state.lock().unwrap().writes_begun += 1;
        self.gate.acquire().await.unwrap().forget();
        let mut shard_of = HashMap::new();
        for event in &batch.events {
            let shard = shard_of
                .entry(event.key.account_id)
                .or_insert(event.key.shard_id);
            assert_eq!(*shard, event.key.shard_id, "an account is decided once");
        }
        let mut state = self.state.lock().unwrap();
        let trouble = state.troubles.pop_front().flatten();
        if let Some(Trouble::Error(error)) = trouble {
            return Err(error);
        }
        if matches!(trouble, Some(Trouble::LostUnknown)) {
            return Err(WriteError::OutcomeUnknown("lost".to_owned()));
        }
        let checked = state.check(&batch);
        state.moved += usize::from(matches!(checked, Err(WriteError::Moved(_))));
        checked?;
        state.apply(&batch);
        if matches!(trouble, Some(Trouble::CommittedUnknown)) {
            return Err(WriteError::OutcomeUnknown("lost".to_owned()));
        }
        Ok(WriteReceipt {
            decided_at: Timestamp::from_unix_micros(SCANNED_TO),
        })
    }

    async fn settle(&self, _partition: PartitionId, claim: Claim) -> Result<Offset, WriteError> {
        let mut state = self.state.lock().unwrap();
        if let Some(error) = state.settle_troubles.pop_front() {
            return Err(error);
        }
        state
            .fence
            .admit(claim)
            .map_err(|_| WriteError::Fenced)
            .map(|()| state.stored_offset)
    }
}

/// Tokio's clock, which tests pause.
#[derive(Debug)]
pub(crate) struct TokioClock(Instant);

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(self.0.elapsed())
    }
}

/// A cache that remembers, and fails as often as told.
#[derive(Debug, Default)]
pub(crate) struct FakeCache {
    pub(crate) balances: Mutex<HashMap<BalanceKey, VersionedBalance>>,
    pub(crate) failures: Mutex<usize>,
    /// The next write ends its task.
    pub(crate) panics: AtomicBool,
}

#[async_trait]
impl BalanceCache for FakeCache {
    async fn read(
        &self,
        _incarnation: Incarnation,
        accounts: Vec<(ShardId, AccountId)>,
    ) -> Result<Vec<Option<AccountBalances>>, CacheError> {
        Ok(accounts.iter().map(|_| None).collect())
    }

    async fn write(&self, balances: Vec<CommittedBalance>) -> Result<(), CacheError> {
        assert!(!self.panics.load(Ordering::SeqCst), "as the test wants");
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(CacheError {
                address: "redis://cache".to_owned(),
                reason: "away".to_owned(),
            });
        }
        let mut known = self.balances.lock().unwrap();
        for balance in balances {
            known.insert(balance.key, balance.stored);
        }
        Ok(())
    }

    async fn fill(&self, _snapshot: BalancesSnapshot) -> Result<(), CacheError> {
        Ok(())
    }
}

/// An owner with this number.
pub(crate) fn owner(number: u128) -> OwnerId {
    OwnerId::parse(&format!("{number:032x}")).unwrap()
}

/// An offset.
pub(crate) fn offset(value: i64) -> Offset {
    Offset::try_new(value).unwrap()
}

/// Lets every task that can run do so, `rounds` times over. Paused time stands still.
pub(crate) async fn let_others_run() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Waits, in paused time, until the condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}
