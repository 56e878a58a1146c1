//! What a load counts.

use super::answer::Answer;
use anyhow::Result;
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest latency that is told apart, in microseconds; what took longer counts as this.
pub const LATENCY_MAX_US: u64 = 120_000_000;

/// Digits of a latency that are kept.
const LATENCY_DIGITS: u8 = 3;

/// An empty histogram of latencies in microseconds.
///
/// # Errors
/// Never with these bounds.
pub fn latencies() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(
        1,
        LATENCY_MAX_US,
        LATENCY_DIGITS,
    )?)
}

/// Counts that can be read while the load runs.
#[derive(Debug, Default)]
pub struct Counters {
    accepted: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    turned_away: AtomicU64,
    stop: AtomicBool,
}

impl Counters {
    /// Events logged so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Ends the load after the requests that are under way.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, answer: Answer, turned_away: u64) {
        self.accepted.fetch_add(answer.accepted, Ordering::Relaxed);
        self.refused.fetch_add(answer.refused, Ordering::Relaxed);
        self.unknown.fetch_add(answer.unknown, Ordering::Relaxed);
        self.turned_away.fetch_add(turned_away, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed) + self.unknown.load(Ordering::Relaxed)
    }

    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }
}

/// A load that has ended.
#[derive(Debug)]
pub struct LoadOutcome {
    /// When the first request was sent.
    pub began: Instant,
    /// When the last answer came.
    pub ended: Instant,
    /// Events that are logged.
    pub accepted: u64,
    /// Requests that were turned away for the backlog, and sent again.
    pub turned_away: u64,
    /// Submit to LOGGED, in microseconds: from the time of sending in a closed loop, from the time
    /// of the schedule in an open one.
    pub logged: Histogram<u64>,
    /// CPU of the thread that made the load.
    pub cpu: Duration,
}
