//! How many of what: submitted = duplicates + refused + applied + rejected.

use crate::model::{Expected, Outcome};
use crate::script::Script;

/// Counts of a script or of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events sent, copies and faulty ones included.
    pub submitted: u64,
    /// Events that were known under their key.
    pub duplicates: u64,
    /// Events that were not taken.
    pub refused: u64,
    /// New events that took effect.
    pub applied: u64,
    /// New events that were decided to have no effect.
    pub rejected: u64,
}

impl Tally {
    /// What the script must come to.
    #[must_use]
    pub fn expected(script: &Script) -> Self {
        let mut tally = Self::default();
        for item in &script.items {
            tally.submitted += 1;
            match item.expected {
                Expected::Accepted { duplicate: true } => tally.duplicates += 1,
                Expected::Accepted { duplicate: false } => {}
                Expected::Refused(_) => tally.refused += 1,
            }
        }
        for (_, outcome) in script.model.outcomes() {
            match outcome {
                Outcome::Applied(_) => tally.applied += 1,
                Outcome::Rejected(_) => tally.rejected += 1,
            }
        }
        tally
    }
}
