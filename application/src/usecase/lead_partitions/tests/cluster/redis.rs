//! Redis, which hears the leaders.

use super::Cluster;
use crate::port::balance_cache::CacheError;
use crate::port::leader_beat::LeaderBeat;
use async_trait::async_trait;
use axs_domain::id::{OwnerId, PartitionId};
use std::time::Duration;
use tokio::time::Instant;

#[async_trait]
impl LeaderBeat for Cluster {
    async fn beat(
        &self,
        _owner: OwnerId,
        partitions: Vec<PartitionId>,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        self.with(|state| {
            if state.redis_away {
                return Err(no_redis());
            }
            for partition in partitions {
                state.beats.insert(partition, Instant::now() + ttl);
            }
            Ok(())
        })
    }

    async fn silent(&self, partitions: Vec<PartitionId>) -> Result<Vec<PartitionId>, CacheError> {
        self.with(|state| {
            if state.redis_away {
                return Err(no_redis());
            }
            let now = Instant::now();
            let heard = |at: Option<&Instant>| at.is_some_and(|until| *until > now);
            Ok(partitions
                .into_iter()
                .filter(|partition| !heard(state.beats.get(partition)))
                .collect())
        })
    }
}

fn no_redis() -> CacheError {
    CacheError {
        address: "redis://cache".to_owned(),
        reason: "away".to_owned(),
    }
}
