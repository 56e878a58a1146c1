//! How long leadership lasts.

use serde::Deserialize;
use validator::Validate;

/// How long leadership lasts.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct LeaseSection {
    /// The lease: a dead leader is replaced within it. Heartbeats go out at a third of it; a leader
    /// that isn't confirmed for two thirds of it stops on its own.
    #[validate(range(min = 300, max = 300000))]
    pub ttl_ms: u64,
    /// How long a partition that could not be led is left alone.
    #[validate(range(min = 100, max = 600000))]
    pub retry_after_refusal_ms: u64,
}
