//! Reads of balances.

use serde::Deserialize;
use validator::Validate;

/// Reads of balances.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ReadingSection {
    /// Reads of this process that ask PostgreSQL at once; more are refused.
    #[validate(range(min = 1, max = 1000))]
    pub store_reads_max: u32,
    /// How long a read waits for its turn at PostgreSQL.
    #[validate(range(min = 0, max = 60000))]
    pub store_wait_ms: u64,
    /// Accounts that are being filled into the cache at once; more are left to a later read.
    #[validate(range(min = 1, max = 1000))]
    pub cache_fills_max: u32,
}
