//! A batch in the making: records decided one chunk after another. Pure.

use super::item::{AdmittedEvent, EventIdentity, Item, Verdict};
use super::reason::storable;
use crate::port::batch_writer::{
    DeadLetter, DecidedBatch, FinalResult, FinalisedEvent, GuardedRead, GuardedWrite,
};
use crate::port::change_log::{PARKED_REASON_CODE, RecordedReason};
use crate::usecase::left_out;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::book::BalanceBook;
use axs_domain::decision::{BatchDecision, Outcome, balance_keys, decide};
use axs_domain::fencing::Claim;
use axs_domain::id::{AccountId, BalanceVersion, Offset, PartitionId, ShardId};
use axs_domain::rule::BalanceRuleSet;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A balance with the shard that its account is said to live on. The shard is part of the name:
/// a forged record may claim another one, and must not be mistaken for the account.
pub(super) type ShardedKey = (ShardId, BalanceKey);

/// Records with the decision over them, not yet written.
#[derive(Debug, Default)]
pub(super) struct Draft {
    items: Vec<Item>,
    events: Vec<FinalisedEvent>,
    writes: BTreeMap<ShardedKey, GuardedWrite>,
    reads: BTreeMap<ShardedKey, BalanceVersion>,
    identities: HashSet<EventIdentity>,
    shard_of: HashMap<AccountId, ShardId>,
    copies: u64,
}

/// Why a chunk could not be taken in. The draft is as before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DraftError {
    /// Deciding these items panics: a rule is broken for them. Park them, then take the chunk in
    /// again.
    Panics(Vec<usize>),
    /// The book lacks a balance that the caller was told of.
    Missing(String),
}

impl Draft {
    pub(super) const fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The records, given back to be decided again.
    pub(super) fn into_items(self) -> Vec<Item> {
        self.items
    }

    /// The balance after the draft, if the draft moves it.
    pub(super) fn after_image(&self, key: &ShardedKey) -> Option<VersionedBalance> {
        self.writes.get(key).map(|guarded| guarded.write.after)
    }

    /// Every balance that the draft moves.
    pub(super) fn writes(&self) -> impl Iterator<Item = &GuardedWrite> {
        self.writes.values()
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// The refusals among the decisions, for a worker that keeps what it must throw away.
    pub(super) fn refusals(&self) -> HashMap<Offset, RecordedReason> {
        let refusal = |event: &FinalisedEvent| match &event.result {
            FinalResult::Rejected(reason) => Some((event.offset, reason.clone())),
            _ => None,
        };
        self.events.iter().filter_map(refusal).collect()
    }

    /// Records skipped as copies.
    pub(super) const fn copies(&self) -> u64 {
        self.copies
    }

    /// The stored offset after the draft.
    pub(super) fn offset_after(&self) -> Option<Offset> {
        self.items.last().map(|item| item.offset().next())
    }

    /// How many of the items may share this draft: up to the first whose account another record
    /// claims to live on another shard. One of the two is forged; apart, each meets its own log
    /// row, and no decision about the real one rests on the other.
    pub(super) fn compatible(&self, items: &[Item]) -> usize {
        let mut fresh: HashMap<AccountId, ShardId> = HashMap::new();
        items
            .iter()
            .position(|item| {
                item.identity().is_some_and(|identity| {
                    let key = &identity.key;
                    let known = self
                        .shard_of
                        .get(&key.account_id)
                        .copied()
                        .unwrap_or_else(|| *fresh.entry(key.account_id).or_insert(key.shard_id));
                    known != key.shard_id
                })
            })
            .unwrap_or(items.len())
    }

    /// Which items are copies of an event of this draft, of `in_flight`, or of an earlier item.
    pub(super) fn copies_among(&self, items: &[Item], in_flight: Option<&Self>) -> Vec<bool> {
        let mut fresh = HashSet::new();
        let second_copy = left_out::second_copy();
        items
            .iter()
            .map(|item| {
                item.identity()
                    .filter(|_| !second_copy)
                    .is_some_and(|identity| {
                        self.identities.contains(identity)
                            || in_flight.is_some_and(|batch| batch.identities.contains(identity))
                            || !fresh.insert(identity)
                    })
            })
            .collect()
    }

    /// The balances that deciding the items may look at, each once.
    pub(super) fn keys_of(items: &[Item], copies: &[bool]) -> Vec<ShardedKey> {
        let mut seen = HashSet::new();
        to_decide(items, copies)
            .flat_map(|(_, admitted)| {
                let shard = admitted.identity.key.shard_id;
                balance_keys(&admitted.event).map(move |key| (shard, key))
            })
            .filter(|key| seen.insert(*key))
            .collect()
    }

    /// Decides the items on the book and takes them in, in order.
    ///
    /// The book holds, for each of [`Draft::keys_of`], the balance after this draft. The items
    /// are [`Draft::compatible`].
    ///
    /// # Errors
    /// [`DraftError`], with the items given back.
    pub(super) fn take_in(
        &mut self,
        items: Vec<Item>,
        copies: &[bool],
        book: &BalanceBook,
        rules: &BalanceRuleSet,
    ) -> Result<(), (Vec<Item>, DraftError)> {
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let events = to_decide(&items, copies)
                .map(|(_, admitted)| (&admitted.event, admitted.identity.logged_at));
            decide(events, book, rules)
        }));
        let decision = match decided {
            Ok(Ok(decision)) => decision,
            Ok(Err(missing)) => return Err((items, DraftError::Missing(missing.to_string()))),
            Err(_) => {
                let culprits = panicking(&items, copies, book.clone(), rules);
                return Err((items, DraftError::Panics(culprits)));
            }
        };
        self.merge(items, copies, decision);
        Ok(())
    }

    fn merge(&mut self, items: Vec<Item>, copies: &[bool], decision: BatchDecision) {
        let BatchDecision {
            outcomes,
            writes,
            reads,
        } = decision;
        let mut outcomes = outcomes.into_iter();
        for (item, copy) in items.iter().zip(copies) {
            let Some(identity) = item.identity() else {
                continue;
            };
            self.shard_of
                .insert(identity.key.account_id, identity.key.shard_id);
            if *copy {
                self.copies += 1;
                continue;
            }
            let result = match &item.verdict {
                Verdict::Parked(_, reason) if reason.code != PARKED_REASON_CODE => {
                    FinalResult::Rejected(reason.clone())
                }
                Verdict::Parked(_, reason) => FinalResult::Parked(reason.clone()),
                _ => match outcomes.next() {
                    Some(Outcome::Applied(entries)) => FinalResult::Applied(entries),
                    Some(Outcome::Rejected(rejection)) => FinalResult::Rejected(RecordedReason {
                        code: rejection.code().number(),
                        message: storable(&rejection.to_string()),
                    }),
                    // `decide` gives one outcome for each event.
                    None => continue,
                },
            };
            self.identities.insert(identity.clone());
            self.events.push(FinalisedEvent {
                log_id: identity.log_id,
                key: identity.key.clone(),
                fingerprint: identity.fingerprint,
                logged_at: identity.logged_at,
                offset: item.offset(),
                result,
            });
        }
        for (key, write) in writes {
            let Some(shard_id) = self.shard_of.get(&key.account_id).copied() else {
                continue;
            };
            // What the draft moved or looked at before keeps the version it was first read at.
            match self.writes.get_mut(&(shard_id, key)) {
                Some(earlier) => earlier.write.after = write.after,
                None => {
                    self.reads.remove(&(shard_id, key));
                    self.writes.insert(
                        (shard_id, key),
                        GuardedWrite {
                            shard_id,
                            key,
                            write,
                        },
                    );
                }
            }
        }
        for (key, version) in reads {
            let Some(shard_id) = self.shard_of.get(&key.account_id).copied() else {
                continue;
            };
            if !self.writes.contains_key(&(shard_id, key)) {
                self.reads.insert((shard_id, key), version);
            }
        }
        self.items.extend(items);
    }

    /// The batch as it is to be written on top of `offset_before`, to which the events move over;
    /// `None` when there is nothing. What is sealed takes nothing more in.
    pub(super) fn seal(
        &mut self,
        partition: PartitionId,
        claim: Claim,
        offset_before: Offset,
    ) -> Option<DecidedBatch> {
        Some(DecidedBatch {
            partition,
            claim,
            offset_before,
            offset_after: self.offset_after()?,
            last_record: self.items.last()?.digest(),
            events: std::mem::take(&mut self.events),
            writes: self.writes.values().copied().collect(),
            reads: self
                .reads
                .iter()
                .map(|((shard_id, key), version)| GuardedRead {
                    shard_id: *shard_id,
                    key: *key,
                    version: *version,
                })
                .collect(),
            dead_letters: self.items.iter().filter_map(dead_letter).collect(),
        })
    }
}

fn dead_letter(item: &Item) -> Option<DeadLetter> {
    match &item.verdict {
        Verdict::Dead {
            reason,
            log_id,
            message,
        } => Some(DeadLetter {
            offset: item.offset(),
            log_id: *log_id,
            reason: *reason,
            message: message.clone(),
            record_key: item.record.key.clone(),
            payload: item.record.payload.clone(),
        }),
        _ => None,
    }
}

/// The events that are to be decided, with their places among the items.
fn to_decide<'a>(
    items: &'a [Item],
    copies: &'a [bool],
) -> impl Iterator<Item = (usize, &'a AdmittedEvent)> {
    items
        .iter()
        .zip(copies)
        .enumerate()
        .filter(|(_, (_, copy))| !**copy)
        .filter_map(|(place, (item, _))| item.event().map(|admitted| (place, admitted)))
}

/// The places of the items on which deciding panics, each on what the sound ones before it left.
fn panicking(
    items: &[Item],
    copies: &[bool],
    mut book: BalanceBook,
    rules: &BalanceRuleSet,
) -> Vec<usize> {
    let mut culprits = Vec::new();
    for (place, admitted) in to_decide(items, copies) {
        let decided = catch_unwind(AssertUnwindSafe(|| {
            decide(
                [(&admitted.event, admitted.identity.logged_at)],
                &book,
                rules,
            )
        }));
        match decided {
            Ok(Ok(decision)) => {
                for (key, write) in decision.writes {
                    book.put(key, write.after);
                }
            }
            Ok(Err(_)) => {}
            Err(_) => culprits.push(place),
        }
    }
    culprits
}

/// The reason that an event is parked with.
pub(super) fn parked_because(why: &str) -> RecordedReason {
    RecordedReason {
        code: PARKED_REASON_CODE,
        message: storable(why),
    }
}
