//! PostgreSQL: the truth.

use super::Secret;
use serde::Deserialize;
use url::Url;
use validator::Validate;

/// PostgreSQL: the truth.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSection {
    /// Where PostgreSQL is: `postgres://user:password@host:port/database`, or with
    /// `?host=/folder` for a Unix socket.
    pub url: Secret,
    /// Connections of the bulk path; a consumer uses one for each batch being written.
    #[validate(range(min = 1, max = 1000))]
    pub writer_connections_max: u32,
    /// Connections for everything a client asks.
    #[validate(range(min = 1, max = 1000))]
    pub query_connections_max: u32,
    /// Connections for leases and heartbeats, which must not wait behind batches.
    #[validate(range(min = 1, max = 100))]
    pub operations_connections_max: u32,
    /// How long one connection attempt, and the wait for a free connection, may take.
    #[validate(range(min = 100, max = 60000))]
    pub connect_timeout_ms: u64,
    /// How long one statement may run. Below the relay's grace time.
    #[validate(range(min = 100, max = 600000))]
    pub statement_timeout_ms: u64,
    /// How long a command waits at its start for PostgreSQL before it gives up.
    #[validate(range(min = 0, max = 600000))]
    pub start_wait_ms: u64,
}

impl DatabaseSection {
    /// What the bounds alone can't say.
    pub(super) fn problems(&self) -> Vec<String> {
        match Url::parse(self.url.expose()) {
            Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => Vec::new(),
            _ => vec!["database.url is not a postgres:// address".into()],
        }
    }
}
