//! Stretches of the topic whose results are acknowledged, until their cache writes are out. Pure
//! but for the tickets.

use crate::usecase::process_partition::CacheTicket;
use axs_domain::id::Offset;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Beyond so many stretches those that are out are merged with the ones before them. What is left
/// has cache writes waiting, whose number is bounded.
pub(super) const STRETCHES_MAX: usize = 1_024;

/// Offsets up to `to`, from the end of the stretch before.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) to: Offset,
    pub(super) cache: CacheTicket,
    /// Not before the commits of the stretch.
    pub(super) since: Instant,
}

/// How far results and cache writes are out.
#[derive(Debug)]
pub(super) struct Outlet {
    /// After this time no answer of the cache is older than the commit.
    moot_after: Duration,
    acknowledged: Offset,
    out: Offset,
    waiting: VecDeque<Stretch>,
}

impl Outlet {
    pub(super) const fn new(results_offset: Offset, moot_after: Duration) -> Self {
        Self {
            moot_after,
            acknowledged: results_offset,
            out: results_offset,
            waiting: VecDeque::new(),
        }
    }

    /// Up to where every result is acknowledged.
    pub(super) const fn acknowledged(&self) -> Offset {
        self.acknowledged
    }

    /// Whether every cache write is out, as last looked at.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many stretches wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the next stretch, whose results are acknowledged.
    pub(super) fn push(&mut self, stretch: Stretch) {
        self.acknowledged = stretch.to;
        self.waiting.push_back(stretch);
    }

    /// Up to where results and cache writes are out now.
    pub(super) fn out_at(&mut self, now: Instant) -> Offset {
        while let Some(stretch) = self.waiting.front()
            && self.is_out(stretch, now)
        {
            self.out = stretch.to;
            self.waiting.pop_front();
        }
        if self.waiting.len() > STRETCHES_MAX {
            self.merge(now);
        }
        self.out
    }

    fn is_out(&self, stretch: &Stretch, now: Instant) -> bool {
        stretch.cache.is_out() || now.duration_since(stretch.since) >= self.moot_after
    }

    fn merge(&mut self, now: Instant) {
        let mut kept: VecDeque<Stretch> = VecDeque::new();
        for stretch in std::mem::take(&mut self.waiting) {
            let out = self.is_out(&stretch, now);
            match kept.back_mut() {
                Some(before) if out => before.to = stretch.to,
                // Both wait for time alone, the later one longer.
                Some(before) if before.cache.was_dropped() && stretch.cache.was_dropped() => {
                    *before = stretch;
                }
                _ => kept.push_back(stretch),
            }
        }
        self.waiting = kept;
    }
}
