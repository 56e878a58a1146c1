//! The independent model: big integers in maps, written from the design's sentences.
//!
//! It clones the world for every event, which is why nobody could run it, and why it is easy to
//! believe.

use super::spec::{BalanceSpec, EventSpec, MoveSpec, REFUSED_UNITS, Scenario, SpecKey};
use num_bigint::BigInt;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelBalance {
    pub available: BigInt,
    pub frozen: BigInt,
    pub version: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelReason {
    LacksAvailable {
        asked: BigInt,
        available: BigInt,
        credit: BigInt,
    },
    LacksFrozen {
        asked: BigInt,
        frozen: BigInt,
    },
    OutOfRange,
    Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelOutcome {
    /// For each change: whether its fallback was taken, and the balance after it.
    Applied(Vec<(bool, &'static str, ModelBalance)>),
    Rejected {
        change: usize,
        currency: &'static str,
        primary: ModelReason,
        fallback: Option<ModelReason>,
    },
}

pub struct Model {
    pub balances: BTreeMap<SpecKey, ModelBalance>,
    credit: BTreeMap<SpecKey, i128>,
    /// Every balance that was looked at, and every one that was moved.
    pub looked_at: BTreeSet<SpecKey>,
    pub moved: BTreeSet<SpecKey>,
}

impl Model {
    pub fn of(scenario: &Scenario) -> Self {
        let balance = |spec: &BalanceSpec| ModelBalance {
            available: spec.available.into(),
            frozen: spec.frozen.into(),
            version: spec.version,
        };
        Self {
            balances: scenario
                .balances
                .iter()
                .map(|(key, spec)| (*key, balance(spec)))
                .collect(),
            credit: scenario.credit.clone(),
            looked_at: BTreeSet::new(),
            moved: BTreeSet::new(),
        }
    }

    pub fn run(&mut self, event: &EventSpec) -> ModelOutcome {
        let before_the_event = self.balances.clone();
        let mut applied = Vec::new();
        let mut touched = Vec::new();
        for (index, change) in event.changes.iter().enumerate() {
            let first = self.attempt(event.account, &change.primary);
            let taken = match (&first, &change.fallback) {
                (Ok(after), _) => Ok((false, change.primary.currency, after.clone())),
                (Err(ModelReason::LacksAvailable { .. }), Some(fallback)) => {
                    match self.attempt(event.account, fallback) {
                        Ok(after) => Ok((true, fallback.currency, after)),
                        Err(reason) => Err(Some(reason)),
                    }
                }
                (Err(_), _) => Err(None),
            };
            match (taken, first) {
                (Ok(line), _) => {
                    touched.push((event.account, line.1));
                    self.balances
                        .insert((event.account, line.1), line.2.clone());
                    applied.push(line);
                }
                (Err(fallback), Err(primary)) => {
                    self.balances = before_the_event;
                    let currency = change.primary.currency;
                    return ModelOutcome::Rejected {
                        change: index,
                        currency,
                        primary,
                        fallback,
                    };
                }
                (Err(_), Ok(_)) => unreachable!("a primary that applies is taken"),
            }
        }
        self.moved.extend(touched);
        ModelOutcome::Applied(applied)
    }

    fn attempt(&mut self, account: i64, part: &MoveSpec) -> Result<ModelBalance, ModelReason> {
        let key = (account, part.currency);
        self.looked_at.insert(key);
        let before = &self.balances[&key];
        let credit = BigInt::from(self.credit.get(&key).copied().unwrap_or(0));
        let available = &before.available + part.available;
        let frozen = &before.frozen + part.frozen;
        if part.available < 0 && &available + &credit < BigInt::ZERO {
            let asked = -BigInt::from(part.available);
            let available = before.available.clone();
            return Err(ModelReason::LacksAvailable {
                asked,
                available,
                credit,
            });
        }
        if part.frozen < 0 && frozen < BigInt::ZERO {
            let asked = -BigInt::from(part.frozen);
            return Err(ModelReason::LacksFrozen {
                asked,
                frozen: before.frozen.clone(),
            });
        }
        let bound = BigInt::from(10).pow(36);
        if [&available, &frozen]
            .into_iter()
            .any(|part| part.magnitude() >= bound.magnitude())
        {
            return Err(ModelReason::OutOfRange);
        }
        if part.available == REFUSED_UNITS {
            return Err(ModelReason::Rule);
        }
        Ok(ModelBalance {
            available,
            frozen,
            version: before.version + 1,
        })
    }
}
