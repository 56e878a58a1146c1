//! Batches decided by hand, on what earlier ones left.

use super::{balance_key, offset};
use crate::port::batch_writer::{
    DeadLetter, DecidedBatch, FinalResult, FinalisedEvent, GuardedRead, GuardedWrite,
};
use crate::port::change_log::{ChangeLogKey, RecordedReason};
use crate::testkit::amount;
use axs_domain::balance::{BalanceKey, Delta, VersionedBalance};
use axs_domain::change::{Branch, CurrencyDelta};
use axs_domain::decision::{BalanceWrite, LedgerEntry};
use axs_domain::fencing::Claim;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{BalanceVersion, LogId, Offset, PartitionId, ShardId};
use axs_domain::record_digest::RecordDigest;
use axs_domain::time::Timestamp;
use std::collections::BTreeMap;

/// A log row, as the envelope of its event tells it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is what its type names")]
pub struct RowToDecide {
    pub log_id: LogId,
    pub key: ChangeLogKey,
    pub fingerprint: Fingerprint,
    pub logged_at: Timestamp,
}

type Place = (ShardId, BalanceKey);

/// Decides batches by hand.
#[derive(Debug)]
pub struct Decider {
    claim: Claim,
    partition: PartitionId,
    next_offset: i64,
    balances: BTreeMap<Place, VersionedBalance>,
}

impl Decider {
    /// Begins at offset 0, where no balance stands.
    #[must_use]
    pub const fn new(partition: PartitionId, claim: Claim) -> Self {
        Self {
            claim,
            partition,
            next_offset: 0,
            balances: BTreeMap::new(),
        }
    }

    /// Reads on from another offset, as a new leader does.
    pub const fn read_on_at(&mut self, number: i64) {
        self.next_offset = number;
    }

    /// A batch that begins where the last one ended.
    #[must_use]
    pub fn batch(&mut self) -> BatchInHand<'_> {
        let begin = offset(self.next_offset);
        BatchInHand {
            batch: DecidedBatch {
                partition: self.partition,
                claim: self.claim,
                offset_before: begin,
                offset_after: begin,
                last_record: RecordDigest::of(b"key", &self.next_offset.to_be_bytes()),
                events: Vec::new(),
                writes: Vec::new(),
                reads: Vec::new(),
                dead_letters: Vec::new(),
            },
            read: BTreeMap::new(),
            decider: self,
        }
    }
}

/// A batch that is being decided.
#[derive(Debug)]
pub struct BatchInHand<'d> {
    decider: &'d mut Decider,
    batch: DecidedBatch,
    read: BTreeMap<Place, BalanceVersion>,
}

impl BatchInHand<'_> {
    /// The event is applied: available USD changes by this much.
    #[must_use]
    pub fn apply(mut self, row: &RowToDecide, usd: &str) -> Self {
        let place = (
            row.key.shard_id,
            balance_key(row.key.account_id.value(), "USD"),
        );
        let delta = Delta {
            available: amount(usd),
            ..Delta::default()
        };
        let before = self.stands(place);
        let after = VersionedBalance {
            balance: before.balance.plus(delta).unwrap(),
            version: before.version.next().unwrap(),
        };
        self.read.entry(place).or_insert(before.version);
        self.decider.balances.insert(place, after);
        let entry = LedgerEntry {
            change_index: 0,
            branch: Branch::Primary,
            applied: CurrencyDelta {
                currency: place.1.currency,
                delta,
            },
            after,
        };
        self.finish_event(row, FinalResult::Applied(vec![entry]))
    }

    /// The event is refused for lack of USD, on the version that stands.
    #[must_use]
    pub fn reject(mut self, row: &RowToDecide) -> Self {
        let key = balance_key(row.key.account_id.value(), "USD");
        let version = self.stands((row.key.shard_id, key)).version;
        self.batch.reads.push(GuardedRead {
            shard_id: row.key.shard_id,
            key,
            version,
        });
        let reason = RecordedReason {
            code: 1,
            message: "asked for 100 USD, 0 available".to_owned(),
        };
        self.finish_event(row, FinalResult::Rejected(reason))
    }

    /// The event ends as told.
    #[must_use]
    pub fn finish_event(mut self, row: &RowToDecide, result: FinalResult) -> Self {
        let at = self.next();
        self.batch.events.push(FinalisedEvent {
            log_id: row.log_id,
            key: row.key.clone(),
            fingerprint: row.fingerprint,
            logged_at: row.logged_at,
            offset: at,
            result,
        });
        self
    }

    /// The record has no effect.
    #[must_use]
    pub fn bury(mut self, make: impl FnOnce(Offset) -> DeadLetter) -> Self {
        let at = self.next();
        self.batch.dead_letters.push(make(at));
        self
    }

    /// The record is skipped.
    #[must_use]
    pub fn skip(mut self) -> Self {
        self.next();
        self
    }

    /// The batch as the worker would hand it over.
    #[must_use]
    pub fn decided(mut self) -> DecidedBatch {
        let balances = &self.decider.balances;
        self.batch.writes = self
            .read
            .iter()
            .map(|(place, version_read)| GuardedWrite {
                shard_id: place.0,
                key: place.1,
                write: BalanceWrite {
                    version_read: *version_read,
                    after: balances[place],
                },
            })
            .collect();
        self.batch.offset_after = offset(self.decider.next_offset);
        self.batch
    }

    fn stands(&self, place: Place) -> VersionedBalance {
        let known = self.decider.balances.get(&place).copied();
        known.unwrap_or(VersionedBalance::ABSENT)
    }

    fn next(&mut self) -> Offset {
        let at = offset(self.decider.next_offset);
        self.decider.next_offset += 1;
        at
    }
}
