//! What was really hit.

use crate::world::lock;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

/// Figures that begin so are the largest of all runs; the others are sums.
const LONGEST: &str = "longest: ";

/// Counts by name.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<&'static str, u64>>);

impl Tally {
    pub fn count(&self, what: &'static str) {
        self.add(what, 1);
    }

    pub fn add(&self, what: &'static str, times: u64) {
        *lock(&self.0).entry(what).or_default() += times;
    }

    pub fn take_in(&self, other: &Self) {
        for (what, times) in lock(&other.0).iter() {
            if what.starts_with(LONGEST) {
                self.raise(what, *times);
            } else {
                self.add(what, *times);
            }
        }
    }

    /// The highest of both.
    pub fn raise(&self, what: &'static str, value: u64) {
        let mut counts = lock(&self.0);
        let entry = counts.entry(what).or_default();
        *entry = (*entry).max(value);
    }

    /// Those that must have been hit and were not.
    pub fn never_hit(&self) -> Vec<&'static str> {
        let counts = lock(&self.0);
        MUST_BE_HIT
            .iter()
            .copied()
            .filter(|what| counts.get(what).is_none_or(|times| *times == 0))
            .collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, times) in lock(&self.0).iter() {
            writeln!(f, "  {times:>10}  {what}")?;
        }
        Ok(())
    }
}

/// A run over some hundred seeds that hits one of these never proves less than it says.
const MUST_BE_HIT: &[&str] = &[
    "acknowledged events",
    "ambiguous answers settled by the same key",
    "answers given again",
    "appends committed late",
    "appends visible only past the relay's grace",
    "appends with a lost answer, applied",
    "batches that arrive late",
    "batches refused for their data",
    "broker outages",
    "cache flushes",
    "cache outages",
    "cache writes that arrived late",
    "clocks an hour ahead",
    "clocks an hour behind",
    "commits unknown, applied",
    "commits unknown, applied late",
    "commits unknown, lost",
    "culprits: differs from the log",
    "culprits: no log row",
    "culprits: not INIT",
    "dead letters",
    "deadlocks and serialization failures",
    "definite refusals",
    "deliveries failed, not landed",
    "deliveries failed, landed",
    "deliveries without an offset",
    "events applied",
    "events parked",
    "events rejected",
    "fallbacks taken",
    "fenced writes",
    "holders of the leader row ended",
    "leaders stopped in the middle of a batch",
    "processes drained",
    "processes killed: api",
    "processes killed: consumer",
    "processes paused beyond the lease",
    "producers renewed",
    "published results",
    "records delivered again",
    "relay marks moved",
    "refusals given again",
    "relayed events",
    "results published again",
    "slow answers",
    "sources broken",
    "store outages",
    "take-overs",
    "take-overs from another owner",
    "transactions torn by a crash",
];
