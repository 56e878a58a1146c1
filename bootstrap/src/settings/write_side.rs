//! The API's way from request to log to topic.

use serde::Deserialize;
use validator::Validate;

/// The API's way from request to log to topic.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct WriteSideSection {
    /// Items of one request.
    #[validate(range(min = 1, max = 10000))]
    pub batch_items_max: usize,
    /// Events of one commit to the change log.
    #[validate(range(min = 1, max = 10000))]
    pub commit_events_max: usize,
    /// Events logged by this process and not yet reported by Kafka. When it is full, new work is
    /// refused with RESOURCE_EXHAUSTED. At least `batch_items_max`.
    #[validate(range(min = 100, max = 1000000))]
    pub publish_window_events: u32,
    /// How long a request waits for room in the window.
    #[validate(range(min = 0, max = 60000))]
    pub window_wait_ms: u64,
    /// The delay that a refused client is told to wait.
    #[validate(range(min = 1, max = 600000))]
    pub retry_after_ms: u64,
    /// How long a PUBLISHED request waits for Kafka's report.
    #[validate(range(min = 1, max = 60000))]
    pub published_wait_ms: u64,
    /// Undecided events of one partition beyond which its new work is refused with BACKLOG_FULL.
    #[validate(range(min = 1, max = 1000000000))]
    pub backlog_events_max: i64,
    /// Accounts whose shard this process remembers.
    #[validate(range(min = 1, max = 100000000))]
    pub account_cache_entries: usize,
    /// Whether a process that begins reads accounts into memory ahead of the first requests for
    /// them.
    pub preload_accounts: bool,
    /// How old this process's copies of the currencies and of the layout may be.
    #[validate(range(min = 100, max = 600000))]
    pub lookup_refresh_ms: u64,
}
