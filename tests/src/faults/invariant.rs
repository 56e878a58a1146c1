//! The promises, by their numbers.

use std::collections::BTreeMap;
use std::fmt;

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Money is conserved per currency.
    I1,
    /// No acknowledged event is lost.
    I2,
    /// None applies twice.
    I3,
    /// All changes of an event or none.
    I4,
    /// No limit broken, even in passing.
    I5,
    /// No write under an old token takes effect.
    I6,
    /// Per account, effects follow offset order, and what one API process accepted in sequence
    /// stays in sequence.
    I7,
    /// A result, once given, never changes.
    I8,
    /// The cache is never newer than PostgreSQL and converges.
    I9,
    /// Balances equal the replay of the log.
    I10,
    /// A definite refusal never applies; sending the same key again settles an ambiguous answer.
    I11,
    /// After healing, everything becomes final within a bound.
    I12,
}

impl Invariant {
    /// All of them, in order.
    pub const ALL: [Self; 12] = [
        Self::I1,
        Self::I2,
        Self::I3,
        Self::I4,
        Self::I5,
        Self::I6,
        Self::I7,
        Self::I8,
        Self::I9,
        Self::I10,
        Self::I11,
        Self::I12,
    ];
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}

/// Examples kept for a person, of each invariant.
const EXAMPLES_MAX: usize = 5;

/// Broken promises.
#[derive(Debug, Clone, Default)]
pub struct Violations(BTreeMap<Invariant, (u64, Vec<String>)>);

impl Violations {
    /// Notes one.
    pub fn add(&mut self, invariant: Invariant, what: impl Into<String>) {
        let (count, examples) = self.0.entry(invariant).or_default();
        *count += 1;
        if examples.len() < EXAMPLES_MAX {
            examples.push(what.into());
        }
    }

    /// Notes one unless it holds.
    pub fn unless(&mut self, holds: bool, invariant: Invariant, what: impl FnOnce() -> String) {
        if !holds {
            self.add(invariant, what());
        }
    }

    /// Takes in others.
    pub fn merge(&mut self, other: Self) {
        for (invariant, (count, found)) in other.0 {
            let (total, examples) = self.0.entry(invariant).or_default();
            *total += count;
            let room = EXAMPLES_MAX.saturating_sub(examples.len());
            examples.extend(found.into_iter().take(room));
        }
    }

    /// How often the promise was broken.
    #[must_use]
    pub fn of(&self, invariant: Invariant) -> u64 {
        self.0.get(&invariant).map_or(0, |(count, _)| *count)
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (invariant, (count, examples)) in &self.0 {
            writeln!(f, "    {invariant} broken {count} times")?;
            for example in examples {
                writeln!(f, "      {example}")?;
            }
        }
        Ok(())
    }
}
