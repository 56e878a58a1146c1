//! What clients were told, held against what is so: I2, I8 and I11.

use super::facts::{Facts, Logged, REJECTED};
use crate::faults::invariant::{Invariant, Violations};
use crate::faults::journal::{Answer, Sent};
use crate::faults::watch::{Given, is_final, note_result};
use crate::model::{Content, Key};
use axs_proto::v1::RefusalCode;
use std::collections::BTreeMap;

pub(super) fn check(facts: &Facts, sent: &[Sent], given: &mut Given, violations: &mut Violations) {
    let contents = logged_contents(facts);
    let mut settled: BTreeMap<(Key, Option<String>), bool> = BTreeMap::new();
    for one in sent {
        let key = one.key();
        let content = Content::of(&one.event);
        let row = facts.logged.get(&key);
        let is_logged = row.is_some() && contents.get(&key) == content.as_ref();
        let ambiguous = matches!(one.answer, Answer::Unknown(_));
        let slot = settled.entry((key.clone(), content.as_ref().map(|it| format!("{it:?}"))));
        let definite = slot.or_insert(true);
        // The last word counts: what was ambiguous was sent again later.
        *definite = !ambiguous;
        match &one.answer {
            Answer::Accepted { log_id, state, .. } => {
                accepted(row, is_logged, &key, log_id, violations);
                // A new event is pending, and the watch may have seen its result since.
                if is_final(state) {
                    note_result(given, violations, log_id, (**state).clone());
                }
            }
            Answer::Refused(code) => {
                let reused = *code == RefusalCode::KeyReused;
                // With other content the key is known, and the refused content is not the logged.
                violations.unless(!is_logged, Invariant::I11, || {
                    format!("{key:?} was refused as {code:?} and is logged: {row:?}")
                });
                violations.unless(!reused || row.is_some(), Invariant::I11, || {
                    format!("{key:?} was refused as reused, and nobody ever used it")
                });
            }
            Answer::TurnedAway | Answer::Unknown(_) => {}
        }
    }
    for ((key, content), definite) in settled {
        violations.unless(definite, Invariant::I11, || {
            format!("{key:?} was never settled: {content:?}")
        });
    }
    unasked(facts, sent, violations);
}

fn accepted(
    row: Option<&Logged>,
    is_logged: bool,
    key: &Key,
    log_id: &str,
    violations: &mut Violations,
) {
    let Some(row) = row else {
        return violations.add(Invariant::I2, format!("{key:?} was accepted and is lost"));
    };
    violations.unless(row.log_id.to_string() == log_id, Invariant::I2, || {
        format!("{key:?} was accepted as {log_id}, and is {}", row.log_id)
    });
    violations.unless(is_logged, Invariant::I11, || {
        format!("{key:?} was accepted, and what is logged has other content")
    });
    violations.unless((1..=REJECTED).contains(&row.status), Invariant::I2, || {
        format!("{key:?} was accepted and has no result: {row:?}")
    });
}

/// What is on the topic under each key is what was logged: the log row itself is not published
/// contract.
fn logged_contents(facts: &Facts) -> BTreeMap<Key, Content> {
    let mut contents = BTreeMap::new();
    for row in facts.logged.values() {
        let records = facts.records.get(&row.log_id).into_iter().flatten();
        let mut own = records.filter(|it| Some(it.offset) == row.record_offset);
        if let Some(content) = own.next().and_then(|it| Content::of(&it.event)) {
            contents.insert(row.key(), content);
        }
    }
    contents
}

/// Nothing is logged that nobody sent.
fn unasked(facts: &Facts, sent: &[Sent], violations: &mut Violations) {
    let asked: std::collections::BTreeSet<Key> = sent.iter().map(Sent::key).collect();
    for key in facts.logged.keys() {
        violations.unless(asked.contains(key), Invariant::I11, || {
            format!("{key:?} is logged, and nobody sent it")
        });
    }
}
