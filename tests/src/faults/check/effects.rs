//! What events did: the model decides each again, in the order of offsets. I1, I3, I4, I5, I7 and
//! I10.

use super::facts::{APPLIED, BalanceRow, EntryRow, Facts, Logged, REJECTED};
use crate::faults::invariant::{Invariant, Violations};
use crate::model::{CurrencyTerms, Entry, Model, Outcome};
use crate::script::Script;
use axs_proto::v1::BalanceChangeEvent;
use num_bigint::BigInt;
use std::collections::BTreeMap;

pub(super) fn check(facts: &Facts, script: &Script, violations: &mut Violations) {
    let mut model = furnished(script);
    let mut decided: Vec<(&Logged, &BalanceChangeEvent)> = facts
        .logged
        .values()
        .filter(|row| matches!(row.status, APPLIED | REJECTED))
        .filter_map(|row| {
            let records = facts.records.get(&row.log_id)?;
            let own = records
                .iter()
                .find(|it| Some(it.offset) == row.record_offset)?;
            Some((row, &own.event))
        })
        .collect();
    decided.sort_by_key(|(row, _)| (row.partition, row.record_offset));
    for (row, event) in decided {
        model.take(event);
        one_event(facts, &model, row, event, violations);
    }
    balances(facts, &model, violations);
    money(facts, &model, violations);
    for (log_id, entries) in &facts.entries {
        let known = facts.logged.values().any(|row| row.log_id == *log_id);
        violations.unless(known, Invariant::I4, || {
            format!("entries without an event: {log_id} {entries:?}")
        });
    }
}

fn furnished(script: &Script) -> Model {
    let mut model = Model::default();
    for currency in &script.currencies {
        let terms = CurrencyTerms {
            decimals: u32::try_from(currency.decimals).unwrap_or(0),
            active: currency.active,
        };
        model.register(&currency.code, terms);
    }
    for account in &script.accounts {
        model.open(account.account_id, account.user_id);
    }
    model
}

fn one_event(
    facts: &Facts,
    model: &Model,
    row: &Logged,
    event: &BalanceChangeEvent,
    violations: &mut Violations,
) {
    let key = row.key();
    let none = Vec::new();
    let entries = facts.entries.get(&row.log_id).unwrap_or(&none);
    let wanted = if row.status == APPLIED {
        event.changes.len()
    } else {
        0
    };
    violations.unless(entries.len() <= wanted, Invariant::I3, || {
        format!("{key:?} has {} entries, {wanted} at most", entries.len())
    });
    violations.unless(entries.len() >= wanted, Invariant::I4, || {
        format!("{key:?} has {} entries, {wanted} are all", entries.len())
    });
    for entry in entries {
        let [_, _, available, frozen] = &entry.amounts;
        let sound = *available >= BigInt::ZERO && *frozen >= BigInt::ZERO;
        violations.unless(sound, Invariant::I5, || {
            format!("{key:?} left less than nothing: {entry:?}")
        });
    }
    let outcome = model.outcome(key.0, &key.1);
    let agrees = match outcome {
        Some(Outcome::Applied(expected)) => {
            row.status == APPLIED
                && entries.len() == expected.len()
                && entries
                    .iter()
                    .zip(expected)
                    .enumerate()
                    .all(|(index, (found, expected))| is_as_expected(index, found, expected))
        }
        Some(Outcome::Rejected(reason)) => {
            row.status == REJECTED && row.reason_code.map(i32::from) == Some(reason.code)
        }
        None => false,
    };
    violations.unless(agrees, Invariant::I7, || {
        format!("{row:?} with {entries:?}; in the order of offsets the model says {outcome:?}")
    });
}

fn is_as_expected(index: usize, found: &EntryRow, expected: &Entry) -> bool {
    let wanted = [
        &expected.movement.available,
        &expected.movement.frozen,
        &expected.after.available,
        &expected.after.frozen,
    ];
    usize::try_from(found.change_index) == Ok(index)
        && found.currency == expected.movement.currency
        && found.fallback_taken == expected.fallback_taken
        && found.version == expected.after.version
        && found.amounts.iter().eq(wanted)
}

/// Every balance is what the log comes to, and nothing has a balance that never moved.
fn balances(facts: &Facts, model: &Model, violations: &mut Violations) {
    let mut expected: BTreeMap<(i64, String), BalanceRow> = BTreeMap::new();
    for account in model.accounts() {
        for (currency, holding) in model.holdings_of(account) {
            let row = BalanceRow {
                available: holding.available.clone(),
                frozen: holding.frozen.clone(),
                version: holding.version,
            };
            expected.insert((account, currency.to_owned()), row);
        }
    }
    let keys = expected.keys().chain(facts.balances.keys());
    let keys: std::collections::BTreeSet<_> = keys.collect();
    for key in keys {
        let (found, wanted) = (facts.balances.get(key), expected.get(key));
        violations.unless(found == wanted, Invariant::I10, || {
            format!("{key:?} is {found:?}, the replay of the log comes to {wanted:?}")
        });
    }
}

/// All the money of each currency is what the applied changes brought in.
fn money(facts: &Facts, model: &Model, violations: &mut Violations) {
    let mut totals: BTreeMap<&str, [BigInt; 2]> = BTreeMap::new();
    for ((_, currency), balance) in &facts.balances {
        totals.entry(currency).or_default()[0] += &balance.available + &balance.frozen;
    }
    for entry in facts.entries.values().flatten() {
        let [available, frozen, _, _] = &entry.amounts;
        totals.entry(&entry.currency).or_default()[1] += available + frozen;
    }
    for (currency, [owned, moved]) in totals {
        let expected = model.total(currency);
        let sound = owned == moved && owned == expected;
        violations.unless(sound, Invariant::I1, || {
            format!(
                "{currency}: balances hold {owned}, entries moved {moved}, the model has {expected}"
            )
        });
    }
}
