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
    /// How long to wait for the first record of a batch before looking around.
    #[validate(range(min = 1, max = 60000))]
    pub first_wait_ms: u64,
    /// How long to gather more records once there is one.
    #[validate(range(min = 0, max = 10000))]
    pub next_wait_ms: u64,
    /// Balances that a leader remembers, for each partition.
    #[validate(range(min = 1000, max = 100000000))]
    pub memory_balances_max: usize,
    /// Records read ahead and not yet taken, for each partition.
    #[validate(range(min = 1, max = 100000))]
    pub source_records_max: usize,
    /// Dead letters in a row that stop a partition.
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
