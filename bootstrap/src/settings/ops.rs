//! Liveness, readiness and metrics.

use serde::Deserialize;
use validator::Validate;

/// Liveness, readiness and metrics.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct OpsSection {
    /// Where it listens: `address:port`.
    pub listen: String,
    /// How long one look at a dependency may take.
    #[validate(range(min = 10, max = 60000))]
    pub probe_timeout_ms: u64,
}

impl OpsSection {
    /// What the bounds alone can't say.
    pub(super) fn problems(&self) -> Vec<String> {
        listen_problem("ops.listen", &self.listen)
            .into_iter()
            .collect()
    }
}

/// What is wrong with an address to listen on, if anything.
pub(super) fn listen_problem(key: &str, listen: &str) -> Option<String> {
    listen.parse::<std::net::SocketAddr>().err().map(|_| {
        format!("{key} is {listen:?}; expected an address and a port such as 127.0.0.1:9090")
    })
}
