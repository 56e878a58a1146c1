//! What the database holds, and what one batch does to it.

use super::StoreBreaks;
use axs_application::port::batch_writer::{
    Culprit, CulpritKind, DeadLetter, DecidedBatch, FinalResult, FinalisedEvent, WriteError,
};
use axs_application::port::change_log::{ChangeLogKey, ChangeLogRecord, RecordedReason};
use axs_application::port::layout_store::StoredLayout;
use axs_application::testkit::INCARNATION;
use axs_domain::account::Account;
use axs_domain::balance::{Balance, BalanceKey, VersionedBalance};
use axs_domain::currency::{Currency, CurrencyCode};
use axs_domain::decision::LedgerEntry;
use axs_domain::fencing::{Claim, Fence};
use axs_domain::id::{AccountId, LayoutEpoch, Offset, OwnerId, PartitionId, ShardId};
use axs_domain::log_status::LogStatus;
use axs_domain::record_digest::RecordDigest;
use axs_domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use tokio_util::sync::CancellationToken;

pub type ShardedKey = (ShardId, BalanceKey);
pub type TxId = u64;

/// The leader row of a partition.
#[derive(Debug, Clone)]
pub struct Leader {
    pub fence: Fence,
    pub stored_offset: Offset,
    pub stored_record: Option<RecordDigest>,
    pub results_offset: Offset,
    /// How far the relay has come, under which layout.
    pub relay_mark: Option<(LayoutEpoch, Timestamp)>,
    pub relay_generation: i64,
}

#[derive(Debug, Clone, Copy)]
pub struct Lease {
    pub claim: Claim,
    pub expires_at: Timestamp,
}

/// A ledger entry with its place.
#[derive(Debug, Clone, Copy)]
pub struct LedgerRow {
    pub partition: PartitionId,
    pub offset: Offset,
    pub shard_id: ShardId,
    pub account_id: AccountId,
    pub entry: LedgerEntry,
}

/// Everything the database holds.
pub struct StoreState {
    pub layout: StoredLayout,
    pub accounts: BTreeMap<AccountId, Account>,
    pub currencies: BTreeMap<CurrencyCode, Currency>,
    pub rows: BTreeMap<ChangeLogKey, ChangeLogRecord>,
    /// Keys that an open transaction has written and not committed.
    pub reserved: BTreeMap<ChangeLogKey, TxId>,
    /// Open log transactions, and when each began.
    pub open: BTreeMap<TxId, Timestamp>,
    pub next_tx: TxId,
    pub leaders: BTreeMap<PartitionId, Leader>,
    pub leases: BTreeMap<PartitionId, Lease>,
    /// Leases locked by a take-over on its way.
    pub taking: BTreeSet<PartitionId>,
    pub consumers: BTreeMap<OwnerId, Timestamp>,
    pub balances: BTreeMap<ShardedKey, VersionedBalance>,
    /// Every balance that ever stood, in the order of the versions from 1.
    pub history: BTreeMap<ShardedKey, Vec<Balance>>,
    pub ledger: Vec<LedgerRow>,
    pub dead_letters: Vec<(PartitionId, DeadLetter)>,
    /// Who holds the leader row in an open transaction, and how it is ended.
    pub holders: BTreeMap<PartitionId, (TxId, CancellationToken)>,
    /// Idempotency keys that the database refuses to finalise as data.
    pub refused_keys: BTreeSet<String>,
    /// How often the server was stopped.
    pub crashes: u64,
}

impl StoreState {
    pub fn laid_out(layout: StoredLayout) -> Self {
        let leader = Leader {
            fence: Fence::unclaimed(INCARNATION),
            stored_offset: Offset::MIN,
            stored_record: None,
            results_offset: Offset::MIN,
            relay_mark: None,
            relay_generation: 0,
        };
        let partitions = layout.layout.partitions();
        Self {
            leaders: partitions.map(|p| (p, leader.clone())).collect(),
            layout,
            accounts: BTreeMap::new(),
            currencies: BTreeMap::new(),
            rows: BTreeMap::new(),
            reserved: BTreeMap::new(),
            open: BTreeMap::new(),
            next_tx: 0,
            leases: BTreeMap::new(),
            taking: BTreeSet::new(),
            consumers: BTreeMap::new(),
            balances: BTreeMap::new(),
            history: BTreeMap::new(),
            ledger: Vec::new(),
            dead_letters: Vec::new(),
            holders: BTreeMap::new(),
            refused_keys: BTreeSet::new(),
            crashes: 0,
        }
    }

    pub fn begin(&mut self) -> TxId {
        self.next_tx += 1;
        self.next_tx
    }

    /// What a stopped server forgets: open transactions.
    pub fn crash(&mut self) {
        self.crashes += 1;
        self.reserved.clear();
        self.open.clear();
        for (_, end) in self.holders.values() {
            end.cancel();
        }
    }

    /// The leader row, if it admits the claim.
    pub fn admit(
        &self,
        partition: PartitionId,
        claim: Claim,
        breaks: StoreBreaks,
    ) -> Result<&Leader, WriteError> {
        let leader = self.leaders.get(&partition).ok_or(WriteError::Fenced)?;
        if !breaks.token_not_checked {
            leader.fence.admit(claim).map_err(|_| WriteError::Fenced)?;
        }
        Ok(leader)
    }

    fn culprit_of(&self, event: &FinalisedEvent, breaks: StoreBreaks) -> Option<CulpritKind> {
        match self.rows.get(&event.key) {
            None => Some(CulpritKind::NoLogRow),
            Some(row) if row.log_id != event.log_id => Some(CulpritKind::NoLogRow),
            Some(row)
                if row.fingerprint != event.fingerprint || row.logged_at != event.logged_at =>
            {
                Some(CulpritKind::DiffersFromLog)
            }
            Some(row) if row.status != LogStatus::Init && !breaks.init_guard_left_out => {
                Some(CulpritKind::NotInit)
            }
            Some(_) => None,
        }
    }

    /// The events that are not what their rows are; of sound copies the first is none.
    fn culprits(&self, batch: &DecidedBatch, breaks: StoreBreaks) -> Vec<Culprit> {
        let mut sound = BTreeSet::new();
        let judge = |event: &FinalisedEvent| {
            let kind = match self.culprit_of(event, breaks) {
                None if !sound.insert(event.key.clone()) && !breaks.init_guard_left_out => {
                    Some(CulpritKind::NotInit)
                }
                kind => kind,
            };
            kind.map(|kind| Culprit {
                offset: event.offset,
                kind,
            })
        };
        batch.events.iter().filter_map(judge).collect()
    }

    fn version_of(&self, key: ShardedKey) -> VersionedBalance {
        let absent = VersionedBalance::ABSENT;
        self.balances.get(&key).copied().unwrap_or(absent)
    }

    /// Whether the batch fits what stands.
    pub fn check(&self, batch: &DecidedBatch, breaks: StoreBreaks) -> Result<(), WriteError> {
        let refused = |event: &&FinalisedEvent| {
            let key = event.key.idempotency_key.as_str();
            self.refused_keys.contains(key) && !matches!(event.result, FinalResult::Parked(_))
        };
        let culprits = self.culprits(batch, breaks);
        if !culprits.is_empty() {
            return Err(WriteError::Culprits(culprits));
        }
        if let Some(event) = batch.events.iter().find(refused) {
            return Err(WriteError::RefusedData {
                sqlstate: "22003".to_owned(),
                message: format!("will not have {}", event.key.idempotency_key),
            });
        }
        let writes = batch.writes.iter();
        let writes = writes.map(|w| (w.shard_id, w.key, w.write.version_read));
        let reads = batch.reads.iter().map(|r| (r.shard_id, r.key, r.version));
        for (shard, key, expected) in writes.chain(reads) {
            let found = self.version_of((shard, key)).version;
            if found != expected {
                return Err(WriteError::Moved(format!(
                    "{} of account {} is at version {found}, decided on {expected}",
                    key.currency, key.account_id
                )));
            }
        }
        Ok(())
    }

    /// Everything that the batch changes.
    pub fn apply(&mut self, batch: &DecidedBatch, now: Timestamp) {
        for write in &batch.writes {
            let key = (write.shard_id, write.key);
            self.balances.insert(key, write.write.after);
        }
        for event in &batch.events {
            self.finalise(batch.partition, event, now);
        }
        let letters = batch.dead_letters.iter().cloned();
        let letters = letters.map(|letter| (batch.partition, letter));
        self.dead_letters.extend(letters);
        if let Some(leader) = self.leaders.get_mut(&batch.partition) {
            leader.stored_offset = batch.offset_after;
            leader.stored_record = Some(batch.last_record);
        }
    }

    fn finalise(&mut self, partition: PartitionId, event: &FinalisedEvent, now: Timestamp) {
        let Some(row) = self.rows.get_mut(&event.key) else {
            return;
        };
        let (status, reason): (_, Option<&RecordedReason>) = match &event.result {
            FinalResult::Applied(_) => (LogStatus::Applied, None),
            FinalResult::Rejected(reason) => (LogStatus::Rejected, Some(reason)),
            FinalResult::Parked(reason) => (LogStatus::Parked, Some(reason)),
        };
        row.status = status;
        row.reason = reason.cloned();
        row.decided_at = Some(now);
        row.position = Some((partition, event.offset));
        let FinalResult::Applied(entries) = &event.result else {
            return;
        };
        row.entries.extend(entries.iter().copied());
        for entry in entries {
            let key = BalanceKey {
                account_id: event.key.account_id,
                currency: entry.applied.currency,
            };
            let history = self.history.entry((event.key.shard_id, key)).or_default();
            history.push(entry.after.balance);
            self.ledger.push(LedgerRow {
                partition,
                offset: event.offset,
                shard_id: event.key.shard_id,
                account_id: event.key.account_id,
                entry: *entry,
            });
        }
    }
}
