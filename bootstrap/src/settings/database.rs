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
    /// Connections of the bulk path; a consumer uses one for each transaction of batches.
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
        let text = self.url.expose();
        if password_ends_the_host(text) {
            return vec![format!(
                "database.url has a / ? or # in front of its @: {ESCAPES}"
            )];
        }
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => Vec::new(),
            _ => vec![format!(
                "database.url is not a postgres:// address; {ESCAPES}"
            )],
        }
    }
}

/// How a password that is no plain word is written.
const ESCAPES: &str = "inside a user or a password write %2F for /, %3F for ?, %23 for #, %40 for @ and %25 \
                       for %";

/// Whether a password is not escaped, so that the host would end inside it: an @ stands behind the
/// first / or #, or behind a ? that begins no `key=value`, and none before. An address like that
/// may well be read, as one of another host.
fn password_ends_the_host(address: &str) -> bool {
    let Some((_, rest)) = address.split_once("://") else {
        return false;
    };
    let Some(end) = rest.find(['/', '?', '#']) else {
        return false;
    };
    let (host, behind) = rest.split_at(end);
    let Some((before_at, _)) = behind.split_once('@') else {
        return false;
    };
    let is_query = before_at
        .split_once('?')
        .is_some_and(|(_, query)| query.contains('='));
    !host.contains('@') && !is_query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_not_escaped_is_told_from_an_address_that_is_sound() {
        let rows = [
            ("postgres://axs:secret@db:5432/axs", false),
            ("postgres://axs:se%2Fcret@db:5432/axs", false),
            ("postgres://db/axs?user=me@server", false),
            ("postgres://db/axs", false),
            ("postgres:///axs?host=/var/run/postgresql", false),
            ("postgres://axs:se@cret@db:5432/axs", false),
            ("postgres://axs:12/34@db:5432/axs", true),
            ("postgres://axs:12#34@db:5432/axs", true),
            ("postgres://axs:12?34@db:5432/axs", true),
            ("postgres://axs:a/b@db/axs?sslmode=require", true),
        ];
        for (address, wrong) in rows {
            assert_eq!(password_ends_the_host(address), wrong, "{address}");
        }
    }
}
