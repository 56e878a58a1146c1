//! A partition with leader rows and shards, log rows by plain SQL, and batches decided by hand.

use crate::support::{TestDatabase, on_database};
use axs_application::port::batch_writer::{
    BatchWriter, DeadLetter, DecidedBatch, FinalResult, FinalisedEvent, GuardedRead, GuardedWrite,
    WriteError, WriteReceipt,
};
use axs_application::port::change_log::{ChangeLogKey, RecordedReason};
use axs_application::port::partition_leadership::{PartitionLeadership, TakeOver};
use axs_domain::amount::Amount;
use axs_domain::balance::{BalanceKey, Delta, VersionedBalance};
use axs_domain::change::{Branch, CurrencyDelta};
use axs_domain::currency::CurrencyCode;
use axs_domain::decision::{BalanceWrite, LedgerEntry};
use axs_domain::fencing::Claim;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{AccountId, BalanceVersion, LogId, Offset, OwnerId, PartitionId, ShardId};
use axs_domain::incarnation::Incarnation;
use axs_domain::record_digest::RecordDigest;
use axs_domain::text::IdempotencyKey;
use axs_domain::time::Timestamp;
use axs_infrastructure::postgres::batch::{BatchWriterSettings, PgBatchWriter};
use axs_infrastructure::postgres::leadership::{LeadershipSettings, PgPartitionLeadership};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Long enough that no test outlives it.
pub const LEASE: Duration = Duration::from_secs(120);

/// Shards of partition 0; they live in two ranges of the tables.
pub const SHARDS: i32 = 4;

const LAYOUT: &str = "
    SELECT make_shard_range(0, 2);
    SELECT make_shard_range(2, 4);
    INSERT INTO partition_leader_locks (partition) SELECT generate_series(0, 3);
    INSERT INTO partition_leases (partition) SELECT generate_series(0, 3);";

pub fn partition(number: i32) -> PartitionId {
    PartitionId::try_new(number).unwrap()
}

pub fn offset(number: i64) -> Offset {
    Offset::try_new(number).unwrap()
}

pub fn shard_of(account: i64) -> ShardId {
    ShardId::try_new(i32::try_from(account % i64::from(SHARDS)).unwrap()).unwrap()
}

pub fn new_owner() -> OwnerId {
    OwnerId::new(Uuid::new_v4())
}

/// The history that the database is in.
pub async fn incarnation(test: &TestDatabase) -> Incarnation {
    Incarnation::new(test.number("SELECT database_incarnation()").await)
}

pub fn currency(code: &str) -> CurrencyCode {
    CurrencyCode::parse(code).unwrap()
}

pub fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

pub fn balance_key(account: i64, code: &str) -> BalanceKey {
    BalanceKey {
        account_id: AccountId::try_new(account).unwrap(),
        currency: currency(code),
    }
}

/// One process over the database.
pub struct Consumer {
    pub owner: OwnerId,
    pub leadership: PgPartitionLeadership,
    pub writer: PgBatchWriter,
}

impl Consumer {
    pub fn new(test: &TestDatabase) -> Self {
        Self::with_bounds(test, BatchWriterSettings::default())
    }

    pub fn with_bounds(test: &TestDatabase, bounds: BatchWriterSettings) -> Self {
        Self {
            owner: new_owner(),
            leadership: PgPartitionLeadership::new(
                test.database(),
                LeadershipSettings {
                    old_leader_patience: Duration::from_millis(200),
                },
            ),
            writer: PgBatchWriter::new(test.database(), bounds),
        }
    }

    pub async fn lead(&self, number: i32) -> Claim {
        match self
            .leadership
            .take_over(partition(number), self.owner, LEASE)
            .await
        {
            Ok(TakeOver::Taken { claim, .. }) => claim,
            other => panic!("partition {number} was not taken: {other:?}"),
        }
    }

    pub async fn write(&self, batch: DecidedBatch) -> Result<WriteReceipt, WriteError> {
        self.writer.write(Arc::new(batch)).await
    }
}

/// Runs a claim on a database with leader rows and tables for [`SHARDS`].
pub async fn on_partitions<C>(claim: impl FnOnce(TestDatabase) -> C + Send + 'static)
where
    C: Future<Output = ()> + Send + 'static,
{
    on_database(|test| async move {
        test.execute(LAYOUT).await;
        claim(test).await;
    })
    .await;
}

/// A log row, as the envelope of its event tells it.
#[derive(Debug, Clone)]
pub struct Log {
    pub log_id: LogId,
    pub key: ChangeLogKey,
    pub fingerprint: Fingerprint,
    pub logged_at: Timestamp,
}

impl Log {
    /// A row nobody wrote yet.
    pub fn new(account: i64, key: &str) -> Self {
        Self {
            log_id: LogId::new(Uuid::now_v7()),
            key: ChangeLogKey {
                shard_id: shard_of(account),
                account_id: AccountId::try_new(account).unwrap(),
                idempotency_key: IdempotencyKey::parse(key).unwrap(),
            },
            fingerprint: fingerprint(1),
            logged_at: Timestamp::from_unix_micros(1_700_000_000_123_456),
        }
    }

    /// The event decided with this result, seen at the offset.
    pub fn event(&self, at: i64, result: FinalResult) -> FinalisedEvent {
        FinalisedEvent {
            log_id: self.log_id,
            key: self.key.clone(),
            fingerprint: self.fingerprint,
            logged_at: self.logged_at,
            offset: offset(at),
            result,
        }
    }
}

pub fn fingerprint(number: u8) -> Fingerprint {
    let mut bytes = [number; axs_domain::fingerprint::FINGERPRINT_LENGTH];
    bytes[0] = 1;
    Fingerprint::restore(&bytes).unwrap()
}

/// Writes log rows, INIT.
pub async fn log_rows(test: &TestDatabase, logs: &[Log]) {
    let shards: Vec<i32> = logs.iter().map(|l| l.key.shard_id.value()).collect();
    let accounts: Vec<i64> = logs.iter().map(|l| l.key.account_id.value()).collect();
    let keys: Vec<&str> = logs
        .iter()
        .map(|l| l.key.idempotency_key.as_str())
        .collect();
    let ids: Vec<Uuid> = logs.iter().map(|l| l.log_id.uuid()).collect();
    let prints: Vec<&[u8]> = logs
        .iter()
        .map(|l| l.fingerprint.as_bytes().as_slice())
        .collect();
    let times: Vec<i64> = logs.iter().map(|l| l.logged_at.unix_micros()).collect();
    sqlx::query(
        "INSERT INTO balance_change_states
                (shard_id, account_id, idempotency_key, log_id, fingerprint, logged_at)
         SELECT s, a, k, i, f, timestamptz 'epoch' + t * interval '1 microsecond'
           FROM unnest($1::int[], $2::bigint[], $3::text[], $4::uuid[], $5::bytea[], $6::bigint[])
                AS row (s, a, k, i, f, t)",
    )
    .bind(shards)
    .bind(accounts)
    .bind(keys)
    .bind(ids)
    .bind(prints)
    .bind(times)
    .execute(test.database().operations())
    .await
    .unwrap();
}

/// One log row, written.
pub async fn log_row(test: &TestDatabase, account: i64, key: &str) -> Log {
    let log = Log::new(account, key);
    log_rows(test, std::slice::from_ref(&log)).await;
    log
}

/// A change of one currency, e.g. `("USD", "-5", "5")`.
pub type Change<'a> = (&'a str, &'a str, &'a str);

/// Decides batches by hand, on what earlier ones left.
pub struct Decider {
    pub claim: Claim,
    partition: PartitionId,
    next_offset: i64,
    balances: BTreeMap<BalanceKey, VersionedBalance>,
}

impl Decider {
    pub fn new(number: i32, claim: Claim) -> Self {
        Self {
            claim,
            partition: partition(number),
            next_offset: 0,
            balances: BTreeMap::new(),
        }
    }

    /// A batch that begins where the last one ended.
    pub fn batch(&mut self) -> BatchInHand<'_> {
        let begin = offset(self.next_offset);
        BatchInHand {
            batch: DecidedBatch {
                partition: self.partition,
                claim: self.claim,
                offset_before: begin,
                offset_after: begin,
                last_record: RecordDigest::of(b"key", b"payload"),
                events: Vec::new(),
                writes: Vec::new(),
                reads: Vec::new(),
                dead_letters: Vec::new(),
            },
            read: BTreeMap::new(),
            decider: self,
        }
    }

    /// What the batches so far leave.
    pub fn balance(&self, account: i64, code: &str) -> VersionedBalance {
        let key = balance_key(account, code);
        self.balances
            .get(&key)
            .copied()
            .unwrap_or(VersionedBalance::ABSENT)
    }

    /// Every balance that the batches so far leave.
    pub fn balances(&self) -> &BTreeMap<BalanceKey, VersionedBalance> {
        &self.balances
    }

    /// Reads on from another offset, as a new leader does.
    pub fn read_on_at(&mut self, number: i64) {
        self.next_offset = number;
    }
}

pub struct BatchInHand<'d> {
    decider: &'d mut Decider,
    batch: DecidedBatch,
    read: BTreeMap<BalanceKey, BalanceVersion>,
}

impl BatchInHand<'_> {
    /// The event is applied; each change is one ledger entry.
    pub fn apply(mut self, log: &Log, changes: &[Change<'_>]) -> Self {
        let entries = changes
            .iter()
            .enumerate()
            .map(|(change_index, (code, available, frozen))| {
                let key = balance_key(log.key.account_id.value(), code);
                let delta = Delta {
                    available: amount(available),
                    frozen: amount(frozen),
                };
                let balances = &mut self.decider.balances;
                let before = balances
                    .get(&key)
                    .copied()
                    .unwrap_or(VersionedBalance::ABSENT);
                let after = VersionedBalance {
                    balance: before.balance.plus(delta).unwrap(),
                    version: before.version.next().unwrap(),
                };
                self.read.entry(key).or_insert(before.version);
                balances.insert(key, after);
                LedgerEntry {
                    change_index,
                    branch: Branch::Primary,
                    applied: CurrencyDelta {
                        currency: key.currency,
                        delta,
                    },
                    after,
                }
            })
            .collect();
        self.finish_event(log, FinalResult::Applied(entries))
    }

    /// The event is refused for lack of funds in one currency, on the version that stands.
    pub fn reject(mut self, log: &Log, code: &str) -> Self {
        let key = balance_key(log.key.account_id.value(), code);
        let version = self
            .decider
            .balance(log.key.account_id.value(), code)
            .version;
        self.batch.reads.push(GuardedRead {
            shard_id: log.key.shard_id,
            key,
            version,
        });
        let reason = RecordedReason {
            code: 1,
            message: format!("asked for 100 {code}, 0 available"),
        };
        self.finish_event(log, FinalResult::Rejected(reason))
    }

    /// The event ends as told.
    pub fn finish_event(mut self, log: &Log, result: FinalResult) -> Self {
        let at = self.decider.next_offset;
        self.decider.next_offset += 1;
        self.batch.events.push(log.event(at, result));
        self
    }

    /// The record has no effect.
    pub fn bury(mut self, make: impl FnOnce(Offset) -> DeadLetter) -> Self {
        let at = offset(self.decider.next_offset);
        self.decider.next_offset += 1;
        self.batch.dead_letters.push(make(at));
        self
    }

    /// The batch as the worker would hand it over.
    pub fn decided(mut self) -> DecidedBatch {
        self.batch.writes = self
            .read
            .iter()
            .map(|(key, version_read)| GuardedWrite {
                shard_id: shard_of(key.account_id.value()),
                key: *key,
                write: BalanceWrite {
                    version_read: *version_read,
                    after: self.decider.balances[key],
                },
            })
            .collect();
        self.batch.offset_after = offset(self.decider.next_offset);
        self.batch
    }
}
