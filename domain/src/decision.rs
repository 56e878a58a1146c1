//! The decision: events in order → outcomes, balances after, versions read and written.
//!
//! Pure and repeatable: the same events over the same book give the same decision, so a batch
//! can be thrown away and decided again.

use crate::balance::{BalanceKey, VersionedBalance};
use crate::book::BalanceBook;
use crate::change::{BalanceChange, Branch, CurrencyDelta};
use crate::event::BalanceChangeEvent;
use crate::id::BalanceVersion;
use crate::rejection::{EventRejection, Rejection};
use crate::rule::{BalanceRuleSet, NonNegative, RuleContext};
use crate::time::Timestamp;
use std::collections::{BTreeMap, HashMap};

/// What one applied change leaves: the fact, with the balance after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Which change of the event, from 0.
    pub change_index: usize,
    /// Which of its branches took effect.
    pub branch: Branch,
    /// The currency and how it moved.
    pub applied: CurrencyDelta,
    /// The balance after this change, and its version.
    pub after: VersionedBalance,
}

/// The result of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every change took effect: one entry for each, in order.
    Applied(Vec<LedgerEntry>),
    /// No change took effect.
    Rejected(EventRejection),
}

/// A balance that a batch moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceWrite {
    /// The version that the batch was decided on; 0 when no row exists yet.
    pub version_read: BalanceVersion,
    /// The balance after the batch.
    pub after: VersionedBalance,
}

/// The decision over a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchDecision {
    /// One outcome for each event, in order.
    pub outcomes: Vec<Outcome>,
    /// Every balance that moves, by key.
    pub writes: BTreeMap<BalanceKey, BalanceWrite>,
    /// The version of every balance that was only looked at: a rejection rests on it, so it must
    /// still stand when the batch is written.
    pub reads: BTreeMap<BalanceKey, BalanceVersion>,
}

/// A balance that the decision needs and the book lacks. Load it, then decide again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the balance of account {} in {} was not loaded", .0.account_id, .0.currency)]
pub struct MissingBalance(pub BalanceKey);

/// The balances that deciding the event may look at: each change's and each fallback's, in order.
/// A key that the event names twice comes twice.
pub fn balance_keys(event: &BalanceChangeEvent) -> impl Iterator<Item = BalanceKey> + '_ {
    let account_id = event.account_id();
    event
        .changes()
        .iter()
        .flat_map(|change| {
            std::iter::once(change.primary.currency)
                .chain(change.fallback.iter().map(|fallback| fallback.currency))
        })
        .map(move |currency| BalanceKey {
            account_id,
            currency,
        })
}

/// Decides the events in order, each on what the earlier ones left.
///
/// The caller has dropped the copies: an event given twice takes effect twice.
///
/// # Errors
/// [`MissingBalance`] when the decision comes to a balance that the book lacks. A book that holds
/// every key of [`balance_keys`] never lacks one.
pub fn decide<'a>(
    events: impl IntoIterator<Item = (&'a BalanceChangeEvent, Timestamp)>,
    book: &BalanceBook,
    rules: &BalanceRuleSet,
) -> Result<BatchDecision, MissingBalance> {
    let mut batch = BatchInProgress {
        book,
        moved: HashMap::new(),
        decision: BatchDecision::default(),
    };
    for (event, logged_at) in events {
        let outcome = batch.decide_event(event, logged_at, rules)?;
        batch.decision.outcomes.push(outcome);
    }
    Ok(batch.finish())
}

struct BatchInProgress<'b> {
    book: &'b BalanceBook,
    moved: HashMap<BalanceKey, VersionedBalance>,
    decision: BatchDecision,
}

impl BatchInProgress<'_> {
    fn decide_event(
        &mut self,
        event: &BalanceChangeEvent,
        logged_at: Timestamp,
        rules: &BalanceRuleSet,
    ) -> Result<Outcome, MissingBalance> {
        // What this event has moved so far; merged into the batch only when all of it applies.
        let mut moved_by_event: HashMap<BalanceKey, VersionedBalance> = HashMap::new();
        let mut entries = Vec::with_capacity(event.changes().len());
        for (change_index, change) in event.changes().iter().enumerate() {
            let attempt =
                |part: &CurrencyDelta,
                 decision: &mut BatchDecision|
                 -> Result<Result<VersionedBalance, Rejection>, MissingBalance> {
                    let key = BalanceKey {
                        account_id: event.account_id(),
                        currency: part.currency,
                    };
                    let stored = self.book.find(&key).ok_or(MissingBalance(key))?;
                    decision.reads.insert(key, stored.version);
                    let before = moved_by_event
                        .get(&key)
                        .or_else(|| self.moved.get(&key))
                        .copied()
                        .unwrap_or(stored);
                    Ok(try_change(event, logged_at, part, before, rules))
                };
            let taken = choose_branch(change, |part| attempt(part, &mut self.decision))?;
            match taken {
                Ok((branch, applied, after)) => {
                    let key = BalanceKey {
                        account_id: event.account_id(),
                        currency: applied.currency,
                    };
                    moved_by_event.insert(key, after);
                    entries.push(LedgerEntry {
                        change_index,
                        branch,
                        applied,
                        after,
                    });
                }
                Err((primary, fallback)) => {
                    return Ok(Outcome::Rejected(EventRejection {
                        change_index,
                        primary,
                        fallback,
                    }));
                }
            }
        }
        self.moved.extend(moved_by_event);
        Ok(Outcome::Applied(entries))
    }

    fn finish(self) -> BatchDecision {
        let Self {
            moved,
            mut decision,
            ..
        } = self;
        for (key, after) in moved {
            // Every moved balance was read first, so the version is there.
            if let Some(version_read) = decision.reads.remove(&key) {
                decision.writes.insert(
                    key,
                    BalanceWrite {
                        version_read,
                        after,
                    },
                );
            }
        }
        decision
    }
}

type Taken = (Branch, CurrencyDelta, VersionedBalance);
type Refused = (Rejection, Option<Rejection>);

/// The primary, or else, when it lacks available funds and only then, the fallback. Greedy: a
/// branch that was taken is never given back for the sake of a later change.
fn choose_branch<E>(
    change: &BalanceChange,
    mut attempt: impl FnMut(&CurrencyDelta) -> Result<Result<VersionedBalance, Rejection>, E>,
) -> Result<Result<Taken, Refused>, E> {
    let primary = match attempt(&change.primary)? {
        Ok(after) => return Ok(Ok((Branch::Primary, change.primary, after))),
        Err(rejection) => rejection,
    };
    let lacks_funds = matches!(primary, Rejection::InsufficientAvailable { .. });
    match change.fallback.as_ref().filter(|_| lacks_funds) {
        None => Ok(Err((primary, None))),
        Some(fallback) => Ok(match attempt(fallback)? {
            Ok(after) => Ok((Branch::Fallback, *fallback, after)),
            Err(rejection) => Err((primary, Some(rejection))),
        }),
    }
}

fn try_change(
    event: &BalanceChangeEvent,
    logged_at: Timestamp,
    part: &CurrencyDelta,
    before: VersionedBalance,
    rules: &BalanceRuleSet,
) -> Result<VersionedBalance, Rejection> {
    let currency = part.currency;
    let credit = rules.credit_limit(event.account_id(), currency);
    let overflow = Rejection::BalanceOverflow { currency };
    let Some(after) = before.balance.plus(part.delta) else {
        // Lacking funds is the truer reason, and the one that lets the fallback be tried.
        return Err(
            NonNegative::lack(currency, before.balance, part.delta, credit).unwrap_or(overflow),
        );
    };
    rules.check(&RuleContext {
        event,
        logged_at,
        currency,
        delta: part.delta,
        before: before.balance,
        after,
        credit,
    })?;
    let version = before.version.next().ok_or(overflow)?;
    Ok(VersionedBalance {
        balance: after,
        version,
    })
}
