//! The events that a client holds, by account.
//!
//! An account is a lane: its events stand in the order in which they were handed over, and only
//! one request carries any of them at a time. Everything here is plain data under one lock; no
//! time passes in it.

use crate::answer::Answer;
use crate::error::{Cause, SubmitError};
use bytes::Bytes;
use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, VecDeque};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What a caller gets.
pub(super) type Reply = Result<Answer, SubmitError>;

/// An event that is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) id: u64,
    pub(super) account: i64,
    /// The event on the wire.
    pub(super) event: Bytes,
    pub(super) reply: oneshot::Sender<Reply>,
    /// Tries that came to nothing.
    pub(super) tries: u32,
    /// Whether one of them may have logged it.
    pub(super) maybe_logged: bool,
    /// What the last of them came to.
    pub(super) cause: Option<Box<Cause>>,
}

impl Held {
    /// The error of a caller who gives up.
    pub(super) fn given_up(self) -> SubmitError {
        let cause = self.cause.map_or(Cause::NotSent, |cause| *cause);
        SubmitError::new(self.maybe_logged, cause)
    }
}

/// What an account's waiting events wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// A request: the account is among the ready ones.
    Ready,
    /// The end of the request that carries earlier ones.
    InFlight,
    /// This moment, after which an earlier try is repeated.
    Resting(Instant),
}

#[derive(Debug)]
struct Lane {
    waiting: VecDeque<Held>,
    hold: Hold,
}

/// All lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    by_account: HashMap<i64, Lane>,
    /// The accounts whose events may go, each once, longest waiting first.
    ready: VecDeque<i64>,
}

impl Lanes {
    /// Whether an event may go.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Adds an event behind those of its account.
    pub(super) fn push(&mut self, held: Held) {
        let account = held.account;
        match self.by_account.entry(account) {
            Slot::Occupied(mut lane) => lane.get_mut().waiting.push_back(held),
            Slot::Vacant(slot) => {
                slot.insert(Lane {
                    waiting: VecDeque::from([held]),
                    hold: Hold::Ready,
                });
                self.ready.push_back(account);
            }
        }
    }

    /// Takes what may go, up to these bounds: whole lanes as far as they fit, those of an account
    /// side by side and in their order. An event that is larger than the bound goes alone.
    pub(super) fn take(&mut self, events_max: usize, bytes_max: usize) -> Vec<Held> {
        let mut taken: Vec<Held> = Vec::new();
        let mut bytes = 0;
        while taken.len() < events_max
            && let Some(account) = self.ready.pop_front()
        {
            let Some(lane) = self.by_account.get_mut(&account) else {
                continue;
            };
            let before = taken.len();
            while taken.len() < events_max
                && let Some(next) = lane.waiting.front()
                && (taken.is_empty() || bytes + next.event.len() <= bytes_max)
                && let Some(next) = lane.waiting.pop_front()
            {
                bytes += next.event.len();
                taken.push(next);
            }
            if taken.len() == before {
                self.ready.push_front(account);
                break;
            }
            lane.hold = Hold::InFlight;
        }
        taken
    }

    /// The request that carried events of the account has ended. `again` are those of them that
    /// are to be sent again, in their order: they stand before all others of the account, which
    /// wait with them until `rest_until`.
    pub(super) fn end_flight(
        &mut self,
        account: i64,
        again: Vec<Held>,
        rest_until: Option<Instant>,
    ) {
        let Slot::Occupied(mut slot) = self.by_account.entry(account) else {
            return;
        };
        let lane = slot.get_mut();
        for held in again.into_iter().rev() {
            lane.waiting.push_front(held);
        }
        if lane.waiting.is_empty() {
            slot.remove();
        } else if let Some(until) = rest_until {
            lane.hold = Hold::Resting(until);
        } else {
            lane.hold = Hold::Ready;
            self.ready.push_back(account);
        }
    }

    /// Ends the rest of these accounts, as far as its time has come.
    pub(super) fn wake(&mut self, accounts: &[i64], now: Instant) {
        for account in accounts {
            if let Some(lane) = self.by_account.get_mut(account)
                && let Hold::Resting(until) = lane.hold
                && until <= now
            {
                lane.hold = Hold::Ready;
                self.ready.push_back(*account);
            }
        }
    }

    /// Takes an event out that waits; `None` when it is under way or answered.
    pub(super) fn withdraw(&mut self, account: i64, id: u64) -> Option<Held> {
        let Slot::Occupied(mut slot) = self.by_account.entry(account) else {
            return None;
        };
        let lane = slot.get_mut();
        let at = lane.waiting.iter().position(|held| held.id == id)?;
        let held = lane.waiting.remove(at)?;
        if lane.waiting.is_empty() && lane.hold != Hold::InFlight {
            if lane.hold == Hold::Ready
                && let Some(at) = self.ready.iter().position(|it| *it == account)
            {
                self.ready.remove(at);
            }
            slot.remove();
        }
        Some(held)
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
