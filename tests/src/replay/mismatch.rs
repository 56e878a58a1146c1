//! What is not as the model says.

use std::fmt;

/// Examples kept for a person; beyond them only the number counts.
const EXAMPLES_MAX: usize = 20;

/// Everything that is not as the model says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mismatches {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<String>,
}

impl Mismatches {
    /// Notes one.
    pub fn add(&mut self, text: impl Into<String>) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(text.into());
        }
    }

    /// Notes one when the two differ.
    pub fn compare<T: PartialEq + fmt::Debug>(&mut self, what: &str, found: &T, expected: &T) {
        if found != expected {
            self.add(format!("{what}: {found:?}, the model says {expected:?}"));
        }
    }

    /// Takes in those of another comparison.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        let room = EXAMPLES_MAX.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }

    /// Whether everything is as the model says.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for Mismatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mismatches", self.count)?;
        for example in &self.examples {
            write!(f, "\n  {example}")?;
        }
        Ok(())
    }
}
