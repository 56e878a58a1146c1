//! A generated session of an exchange: seeded, so that the same seed gives the same events.
//!
//! Traders of two pools deposit, hold, trade, cancel and pay fees in a coin with another one to
//! fall back on. Some overspend, some repeat themselves, some send what must be refused.

mod fault;
mod market;
mod trader;

use crate::script::Script;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use trader::Floor;

/// What a session shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPlan {
    /// The least number of events; a trade's second side may add one more.
    pub events: usize,
    /// The same seed gives the same session.
    pub seed: u64,
    /// Accounts of the pool `retail`.
    pub retail_accounts: i64,
    /// Accounts of the pool `whale`, which trade far more each.
    pub whale_accounts: i64,
}

impl SessionPlan {
    /// A plan of so many events over 400 retail accounts and 20 whales.
    #[must_use]
    pub const fn new(events: usize, seed: u64) -> Self {
        Self {
            events,
            seed,
            retail_accounts: 400,
            whale_accounts: 20,
        }
    }
}

/// What happens next on the floor, and how often of a hundred.
const ACTIONS: [(Action, u32); 11] = [
    (Action::Deposit, 8),
    (Action::Hold, 34),
    (Action::Trade, 20),
    (Action::Cancel, 14),
    (Action::Overspend, 5),
    (Action::OverRelease, 2),
    (Action::Basket, 2),
    (Action::Overflow, 1),
    (Action::Replay, 7),
    (Action::ReuseKey, 2),
    (Action::Fault, 5),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Deposit,
    Hold,
    Trade,
    Cancel,
    Overspend,
    OverRelease,
    Basket,
    Overflow,
    Replay,
    ReuseKey,
    Fault,
}

/// Generates the session: its events, and what must come of them.
#[must_use]
pub fn generate(plan: SessionPlan) -> Script {
    let mut floor = Floor::open(StdRng::seed_from_u64(plan.seed), plan);
    while floor.script.items.len() < plan.events {
        match next_action(&mut floor) {
            Action::Deposit => floor.deposit(),
            Action::Hold => floor.hold(),
            Action::Trade => floor.trade(),
            Action::Cancel => floor.cancel(),
            Action::Overspend => floor.overspend(),
            Action::OverRelease => floor.over_release(),
            Action::Basket => floor.basket(),
            Action::Overflow => floor.overflow(),
            Action::Replay => floor.replay(),
            Action::ReuseKey => floor.reuse_key(),
            Action::Fault => fault::push(&mut floor),
        }
    }
    floor.script
}

fn next_action(floor: &mut Floor) -> Action {
    ACTIONS
        .choose_weighted(&mut floor.rng, |(_, weight)| *weight)
        .map_or(Action::Hold, |(action, _)| *action)
}

impl Floor {
    /// An account: whales come far more often than their number.
    fn someone(&mut self) -> i64 {
        if self.rng.random_bool(0.4) {
            trader::WHALE_BASE + self.rng.random_range(1..=self.plan.whale_accounts)
        } else {
            self.rng.random_range(1..=self.plan.retail_accounts)
        }
    }
}

#[cfg(test)]
mod tests;
