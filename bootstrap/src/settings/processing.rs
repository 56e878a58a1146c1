//! The consumer's way from topic to balances.

use serde::Deserialize;
use validator::Validate;

/// The consumer's way from topic to balances.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ProcessingSection {
    /// Events of one batch.
    #[validate(range(min = 1, max = 20000))]
    pub batch_events_max: usize,
    /// How long a batch gathers records after its first while nothing is being written.
    #[validate(range(min = 0, max = 10000))]
    pub batch_linger_ms: u64,
    /// The longest time that a batch which is not full waits after the beginning of the one before
    /// it; it waits less where that one was written quickly.
    #[validate(range(min = 0, max = 10000))]
    pub batch_interval_ms: u64,
    /// Transactions that write batches at once; those of batches written apart come on top. While
    /// one is under way, few events wait and share the next; many begin another.
    #[validate(range(min = 1, max = 64))]
    pub transactions_max: usize,
    /// Batches of records read ahead and not yet taken, for each partition.
    #[validate(range(min = 1, max = 64))]
    pub read_ahead_batches_max: usize,
    /// Retries of one write or one load before its partition stops and rests.
    #[validate(range(min = 1, max = 1000))]
    pub store_retries_max: u32,
    /// Balances that a leader remembers, for each partition.
    #[validate(range(min = 1000, max = 100000000))]
    pub memory_balances_max: usize,
    /// Whether a leader that begins reads balances into memory ahead of the first events that need
    /// them.
    pub preload_balances: bool,
    /// Records in a row that may become dead letters or be parked before the partition stops.
    #[validate(range(min = 1, max = 100000))]
    pub poison_in_a_row_max: usize,
    /// How old a row must be before the relay looks at it. Longer than any log transaction: above
    /// `database.statement_timeout_ms`.
    #[validate(range(min = 1000, max = 3600000))]
    pub relay_grace_ms: u64,
    /// How often the relay looks.
    #[validate(range(min = 100, max = 3600000))]
    pub relay_interval_ms: u64,
    /// Rows that one look of the relay takes.
    #[validate(range(min = 1, max = 100000))]
    pub relay_batch_max: u32,
    /// How long a stopping consumer may take to finish its batches.
    #[validate(range(min = 100, max = 600000))]
    pub drain_ms: u64,
}
