//! What must come of the topic: one event after another, in the order of the offsets, alone.
//!
//! Twice: by the domain's own decision, which must give every row exactly its result; and by plain
//! sums that share nothing with it, so that a mistake of the decision is one here too.

use crate::fleet::Servers;
use axs_application::port::batch_writer::DeadLetterReason;
use axs_application::port::change_log::ChangeLogKey;
use axs_application::port::event_codec::EventCodec;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::book::BalanceBook;
use axs_domain::change::CurrencyDelta;
use axs_domain::decision::{Outcome, balance_keys, decide};
use axs_domain::event::BalanceChangeEvent;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{Offset, PartitionId};
use axs_domain::time::Timestamp;
use std::collections::BTreeMap;

/// How an event must have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    Decided(Outcome),
    Parked,
}

/// What must stand at the end.
#[derive(Default)]
pub struct Model {
    /// By the key of the row: where it took effect, and how it ended.
    pub ends: BTreeMap<ChangeLogKey, (PartitionId, Offset, Expected)>,
    pub dead: BTreeMap<(PartitionId, Offset), DeadLetterReason>,
    /// What the plain sums make of each balance: available, frozen, changes.
    pub purses: BTreeMap<BalanceKey, (i128, i128, i64)>,
    /// The same by the domain.
    pub book: BTreeMap<BalanceKey, VersionedBalance>,
    /// Where the plain sums disagree with the domain.
    pub disagreements: Vec<String>,
}

impl Model {
    pub fn of(servers: &Servers) -> Self {
        let mut model = Self::default();
        for partition in servers.broker.partitions() {
            for (place, record) in servers.broker.log(partition).into_iter().enumerate() {
                let offset = Offset::try_new(i64::try_from(place).unwrap()).unwrap();
                let envelope = servers.codec.decode_envelope(record.payload);
                let Ok(envelope) = envelope else {
                    let why = DeadLetterReason::Undecodable;
                    model.dead.insert((partition, offset), why);
                    continue;
                };
                let key = ChangeLogKey {
                    shard_id: envelope.header.shard_id,
                    account_id: envelope.event.account_id(),
                    idempotency_key: envelope.event.idempotency_key().clone(),
                };
                let state = servers.store.state();
                let home = state.layout.layout.partition_of(key.shard_id);
                let row = state.rows.get(&key);
                let fingerprint = Fingerprint::of(&envelope.event);
                let dead = match row {
                    _ if home != Some(partition) => Some(DeadLetterReason::WrongPartition),
                    None => Some(DeadLetterReason::NoLogRow),
                    Some(row) if row.log_id != envelope.header.log_id => {
                        Some(DeadLetterReason::NoLogRow)
                    }
                    Some(row)
                        if row.fingerprint != fingerprint
                            || row.logged_at != envelope.header.logged_at =>
                    {
                        Some(DeadLetterReason::DiffersFromLog)
                    }
                    Some(_) => None,
                };
                if let Some(reason) = dead {
                    model.dead.insert((partition, offset), reason);
                    continue;
                }
                if model.ends.contains_key(&key) {
                    continue;
                }
                let parked = state.refused_keys.contains(key.idempotency_key.as_str());
                drop(state);
                let end = if parked {
                    Expected::Parked
                } else {
                    let logged_at = envelope.header.logged_at;
                    Expected::Decided(model.apply(servers, &envelope.event, logged_at))
                };
                model.ends.insert(key, (partition, offset, end));
            }
        }
        model
    }

    fn apply(
        &mut self,
        servers: &Servers,
        event: &BalanceChangeEvent,
        logged_at: Timestamp,
    ) -> Outcome {
        let mut book = BalanceBook::default();
        for key in balance_keys(event) {
            let known = self.book.get(&key).copied();
            book.put(key, known.unwrap_or(VersionedBalance::ABSENT));
        }
        let mut decision = decide([(event, logged_at)], &book, &servers.rules).unwrap();
        for (key, write) in decision.writes {
            self.book.insert(key, write.after);
        }
        let outcome = decision.outcomes.remove(0);
        let summed = self.sum_up(servers, event);
        if summed != matches!(outcome, Outcome::Applied(_)) {
            let key = event.idempotency_key();
            let what = format!("{key}: the sums say {summed}, the domain {outcome:?}");
            self.disagreements.push(what);
        }
        outcome
    }

    /// All changes or none, by plain sums; `false` when one lacks funds.
    fn sum_up(&mut self, servers: &Servers, event: &BalanceChangeEvent) -> bool {
        let mut touched: BTreeMap<BalanceKey, (i128, i128, i64)> = BTreeMap::new();
        for change in event.changes() {
            let mut parts = vec![change.primary];
            parts.extend(change.fallback);
            let mut taken = false;
            for (nth, part) in parts.iter().enumerate() {
                let key = BalanceKey {
                    account_id: event.account_id(),
                    currency: part.currency,
                };
                let standing = self.purses.get(&key).copied().unwrap_or_default();
                let purse = touched.get(&key).copied().unwrap_or(standing);
                let credit = servers.rules.credit_limit(key.account_id, key.currency);
                match moved(purse, part, credit.units()) {
                    Ok(after) => {
                        touched.insert(key, after);
                        taken = true;
                        servers.world.tally.add("fallbacks taken", nth as u64);
                        break;
                    }
                    // Only want of available funds lets the fallback be tried.
                    Err(Lack::Frozen) => break,
                    Err(Lack::Available) => {}
                }
            }
            if !taken {
                return false;
            }
        }
        self.purses.extend(touched);
        true
    }
}

enum Lack {
    Available,
    Frozen,
}

fn moved(
    (available, frozen, changes): (i128, i128, i64),
    part: &CurrencyDelta,
    credit: i128,
) -> Result<(i128, i128, i64), Lack> {
    let after = (
        available + part.delta.available.units(),
        frozen + part.delta.frozen.units(),
        changes + 1,
    );
    if part.delta.available.units() < 0 && after.0 < -credit {
        Err(Lack::Available)
    } else if part.delta.frozen.units() < 0 && after.1 < 0 {
        Err(Lack::Frozen)
    } else {
        Ok(after)
    }
}
