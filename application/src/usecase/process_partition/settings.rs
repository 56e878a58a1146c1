//! Bounds of a worker.

use std::num::NonZeroUsize;
use std::time::Duration;

/// The most records of one batch that a setting may ask for.
pub const BATCH_EVENTS_LIMIT: usize = 20_000;

/// How a worker collects, remembers and gives up.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// The most records of one batch, 1 to [`BATCH_EVENTS_LIMIT`].
    pub batch_events_max: NonZeroUsize,
    /// How long a batch waits for more records after its first when nothing is in flight.
    pub batch_linger: Duration,
    /// The longest time that a batch that is not full waits after the beginning of the one before
    /// it. It waits less when that one was written quickly.
    pub batch_interval: Duration,
    /// The most balances that the memory of one partition holds.
    pub memory_balances_max: NonZeroUsize,
    /// Whether a leader that begins fills its memory ahead of the events.
    pub preload_balances: bool,
    /// The most records in a row that may become dead letters or be parked before the partition
    /// stops: that many are no accident but the wrong topic, a lost database or a broken rule.
    pub poison_in_a_row_max: NonZeroUsize,
    /// The most times in a row that one batch is tried again before the partition stops.
    pub write_retries_max: u32,
}
