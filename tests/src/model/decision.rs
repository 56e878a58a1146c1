//! How an event ends: every change in order, all or none.

use super::Holding;
use super::content::{Content, Move};
use super::units::{UNITS_MAX_DIGITS, print};
use num_bigint::BigInt;
use std::collections::BTreeMap;

/// How an event must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every change took effect: one entry for each.
    Applied(Vec<Entry>),
    /// Nothing took effect.
    Rejected(Reason),
}

/// What one change must leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What moved.
    pub movement: Move,
    /// Whether it was the second choice.
    pub fallback_taken: bool,
    /// The balance after it.
    pub after: Holding,
}

/// Why nothing took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The published number.
    pub code: i32,
    /// The published word.
    pub name: &'static str,
    /// Words that the message must hold: the change's place, currencies and figures.
    pub words: Vec<String>,
}

/// Why one movement can't be.
struct Lack {
    code: i32,
    name: &'static str,
    words: Vec<String>,
}

const INSUFFICIENT_AVAILABLE: i32 = 1;
const INSUFFICIENT_FROZEN: i32 = 2;
const BALANCE_OVERFLOW: i32 = 3;

type Holdings = BTreeMap<(i64, String), Holding>;

/// Decides the event on the holdings, which it moves only when all of it applies.
pub fn decide(content: &Content, holdings: &mut Holdings) -> Outcome {
    // Worked on a copy of what the event touches, so that a refusal leaves no trace.
    let mut touched = Holdings::new();
    let mut entries = Vec::new();
    for (index, (primary, fallback)) in content.changes.iter().enumerate() {
        let before = |wanted: &Move, touched: &Holdings| {
            let key = (content.account, wanted.currency.clone());
            let holding = touched.get(&key).or_else(|| holdings.get(&key));
            holding.cloned().unwrap_or_default()
        };
        let mut lacks = Vec::new();
        let mut taken = None;
        let choices = std::iter::once((primary, false)).chain(fallback.iter().map(|m| (m, true)));
        for (wanted, is_fallback) in choices {
            match moved(&before(wanted, &touched), wanted) {
                Ok(after) => {
                    taken = Some((wanted, is_fallback, after));
                    break;
                }
                Err(lack) => {
                    let may_fall_back = lack.code == INSUFFICIENT_AVAILABLE;
                    lacks.push(lack);
                    if !may_fall_back {
                        break;
                    }
                }
            }
        }
        let Some((wanted, fallback_taken, after)) = taken else {
            return Outcome::Rejected(reason(index, lacks));
        };
        touched.insert((content.account, wanted.currency.clone()), after.clone());
        entries.push(Entry {
            movement: wanted.clone(),
            fallback_taken,
            after,
        });
    }
    holdings.extend(touched);
    Outcome::Applied(entries)
}

/// The first lack gives the code; the message names all that were tried.
fn reason(index: usize, lacks: Vec<Lack>) -> Reason {
    let (code, name) = lacks.first().map_or((0, ""), |lack| (lack.code, lack.name));
    let mut words = vec![format!("changes[{index}]")];
    if lacks.len() > 1 {
        words.push("fallback".to_owned());
    }
    words.extend(lacks.into_iter().flat_map(|lack| lack.words));
    Reason { code, name, words }
}

fn moved(before: &Holding, wanted: &Move) -> Result<Holding, Lack> {
    let after = Holding {
        available: &before.available + &wanted.available,
        frozen: &before.frozen + &wanted.frozen,
        version: before.version + 1,
    };
    let zero = BigInt::ZERO;
    let lack = |code, name, delta: &BigInt, part: &BigInt| Lack {
        code,
        name,
        words: vec![print(&-delta), wanted.currency.clone(), print(part)],
    };
    if wanted.available < zero && after.available < zero {
        return Err(lack(
            INSUFFICIENT_AVAILABLE,
            "INSUFFICIENT_AVAILABLE",
            &wanted.available,
            &before.available,
        ));
    }
    if wanted.frozen < zero && after.frozen < zero {
        return Err(lack(
            INSUFFICIENT_FROZEN,
            "INSUFFICIENT_FROZEN",
            &wanted.frozen,
            &before.frozen,
        ));
    }
    let too_large = |part: &BigInt| part.magnitude().to_string().len() > UNITS_MAX_DIGITS;
    if too_large(&after.available) || too_large(&after.frozen) {
        return Err(Lack {
            code: BALANCE_OVERFLOW,
            name: "BALANCE_OVERFLOW",
            words: vec![wanted.currency.clone()],
        });
    }
    Ok(after)
}
