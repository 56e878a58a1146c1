//! Whether Redis answers.

use super::pools::RedisPools;
use async_trait::async_trait;
use axs_application::port::readiness_probe::{ProbeFailure, ReadinessProbe};
use redis::Pipeline;
use std::fmt::Display;
use std::sync::Arc;

/// Sends PING on a connection for beats.
pub struct RedisProbe {
    pools: Arc<dyn RedisPools>,
}

impl RedisProbe {
    /// Asks through these connections.
    #[must_use]
    pub const fn new(pools: Arc<dyn RedisPools>) -> Self {
        Self { pools }
    }
}

#[async_trait]
impl ReadinessProbe for RedisProbe {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn address(&self) -> String {
        self.pools.beats().address().to_owned()
    }

    async fn check(&self) -> Result<(), ProbeFailure> {
        let failure = |reason: &dyn Display| ProbeFailure {
            reason: reason.to_string(),
        };
        let pool = self.pools.beats();
        let mut pipeline = Pipeline::new();
        pipeline.cmd("PING");
        let answers = pool.run(&mut pipeline).await.map_err(|e| failure(&e))?;
        match answers.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(failure(&pool.failed(&error))),
            None => Err(failure(&pool.failed(&"no answer to PING"))),
        }
    }
}
