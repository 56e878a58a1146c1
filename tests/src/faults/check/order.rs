//! Where events were decided: I3 and I7.

use super::facts::{Facts, Logged};
use crate::faults::invariant::{Invariant, Violations};
use crate::faults::journal::{Answer, Sent};
use crate::model::Key;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(facts: &Facts, sent: &[Sent], violations: &mut Violations) {
    for row in facts.logged.values() {
        decided_at_its_first_record(facts, row, violations);
    }
    accepted_in_sequence(facts, sent, violations);
}

/// A copy of a record never decides: the first one did.
fn decided_at_its_first_record(facts: &Facts, row: &Logged, violations: &mut Violations) {
    let (Some(partition), Some(offset)) = (row.partition, row.record_offset) else {
        return;
    };
    let first = facts.records.get(&row.log_id).and_then(|all| all.first());
    match first {
        Some(first) if (first.partition, first.offset) == (partition, offset) => {}
        first => violations.add(
            Invariant::I7,
            format!(
                "{:?} was decided at {partition}/{offset}; its first record is {:?}",
                row.key(),
                first.map(|it| (it.partition, it.offset))
            ),
        ),
    }
}

/// What one API process accepted for an account, one answer after another, was decided in that
/// order. Only fresh acceptances count: of a known key, the first sending decides. A key that went
/// to two processes is left out: the second knows nothing of what still waits in the first, and
/// clients are told so.
fn accepted_in_sequence(facts: &Facts, sent: &[Sent], violations: &mut Violations) {
    let mut processes: BTreeMap<Key, BTreeSet<usize>> = BTreeMap::new();
    for one in sent {
        processes.entry(one.key()).or_default().insert(one.api);
    }
    let mut newest: BTreeMap<(usize, i64), (i64, String)> = BTreeMap::new();
    let alone = |one: &&Sent| processes.get(&one.key()).is_some_and(|all| all.len() == 1);
    for one in sent.iter().filter(|one| one.in_sequence).filter(alone) {
        let Answer::Accepted {
            duplicate: false, ..
        } = one.answer
        else {
            continue;
        };
        let key = one.key();
        let Some(offset) = facts.logged.get(&key).and_then(|row| row.record_offset) else {
            continue;
        };
        let before = newest.insert((one.api, one.event.account_id), (offset, key.1.clone()));
        if let Some((earlier, earlier_key)) = before {
            violations.unless(earlier < offset, Invariant::I7, || {
                format!(
                    "API {} accepted {earlier_key} of account {} before {}; they were decided at {earlier} and {offset}",
                    one.api, one.event.account_id, key.1
                )
            });
        }
    }
}
