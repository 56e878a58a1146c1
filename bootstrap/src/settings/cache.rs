//! Redis: the fast read side and the leaders' beat.

use super::Secret;
use serde::Deserialize;
use url::Url;
use validator::Validate;

/// Redis: the fast read side and the leaders' beat.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct CacheSection {
    /// Where Redis is: `redis://:password@host:port/db`.
    pub url: Secret,
    /// In front of every key, so that deployments can share a Redis.
    pub key_prefix: String,
    /// Connections for the cache; the beat has two of its own.
    #[validate(range(min = 1, max = 1000))]
    pub connections_max: u32,
    /// How long one round trip may take before the database is asked instead.
    #[validate(range(min = 10, max = 60000))]
    pub timeout_ms: u64,
    /// How long a filled account is served before it is read from the database again.
    #[validate(range(min = 1, max = 604800))]
    pub fill_ttl_s: u64,
}

impl CacheSection {
    /// What the bounds alone can't say.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        // Not rediss: the Redis client is built without TLS.
        if !Url::parse(self.url.expose()).is_ok_and(|url| url.scheme() == "redis") {
            problems.push("cache.url is not a redis:// address".into());
        }
        if self.key_prefix.is_empty() || self.key_prefix.contains(['{', '}']) {
            problems.push("cache.key_prefix must be a text without braces".into());
        }
        problems
    }
}
