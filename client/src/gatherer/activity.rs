//! What a client did so far, in numbers.

use super::settled::Settled;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the client was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// Requests sent, retries included.
    pub requests: u64,
    /// Events sent in them; an event counts with each of its tries.
    pub events_sent: u64,
    /// Tries of events that logged nothing and were or are made again: the server asked for a
    /// delay, or could not be reached.
    pub turned_away: u64,
    /// Tries of events whose outcome was unknown.
    pub unknown: u64,
}

/// The counts, while they are counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    events_sent: AtomicU64,
    turned_away: AtomicU64,
    unknown: AtomicU64,
}

impl Counters {
    pub(super) fn request(&self, events: usize) {
        add(&self.requests, 1);
        add(&self.events_sent, events);
    }

    pub(super) fn settled(&self, settled: &Settled) {
        add(&self.turned_away, settled.turned_away);
        add(&self.unknown, settled.unknown);
    }

    pub(super) fn read(&self) -> Activity {
        Activity {
            requests: self.requests.load(Ordering::Relaxed),
            events_sent: self.events_sent.load(Ordering::Relaxed),
            turned_away: self.turned_away.load(Ordering::Relaxed),
            unknown: self.unknown.load(Ordering::Relaxed),
        }
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}
