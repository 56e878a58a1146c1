//! Reads of balances.

use serde::Deserialize;
use validator::Validate;

/// Reads of balances.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ReadingSection {
    /// Accounts of one request.
    #[validate(range(min = 1, max = 10000))]
    pub accounts_max: usize,
    /// Reads of this process that ask PostgreSQL at once; more are refused.
    #[validate(range(min = 1, max = 1000))]
    pub store_reads_max: usize,
    /// How long a read waits for its turn at PostgreSQL.
    #[validate(range(min = 0, max = 60000))]
    pub store_wait_ms: u64,
}
