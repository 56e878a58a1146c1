//! Beats in Redis: a key for each partition that lives as long as its beat is heard.

use super::key_prefix::KeyPrefix;
use super::pools::{RedisPool, RedisPools};
use async_trait::async_trait;
use axs_application::port::balance_cache::CacheError;
use axs_application::port::leader_beat::LeaderBeat;
use axs_domain::id::{OwnerId, PartitionId};
use redis::{Pipeline, Value};
use shaku::Component;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The shortest time that Redis can keep a key.
const TTL_MIN: Duration = Duration::from_millis(1);

/// Beats by SET with an expiry, listens by EXISTS.
#[derive(Component)]
#[shaku(interface = LeaderBeat)]
pub struct RedisLeaderBeat {
    #[shaku(inject)]
    pools: Arc<dyn RedisPools>,
    /// What all keys of this deployment begin with.
    #[shaku(default = unreachable!("the prefix is given by whoever builds the container"))]
    key_prefix: KeyPrefix,
    /// The events topic, which no two deployments share though they may share the prefix.
    #[shaku(default = unreachable!("the topic is given by whoever builds the container"))]
    events_topic: String,
}

impl fmt::Debug for RedisLeaderBeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLeaderBeat")
            .field("key_prefix", &self.key_prefix)
            .field("events_topic", &self.events_topic)
            .finish_non_exhaustive()
    }
}

impl RedisLeaderBeat {
    /// Beats on these connections, for the partitions of this topic.
    #[must_use]
    pub const fn new(
        pools: Arc<dyn RedisPools>,
        key_prefix: KeyPrefix,
        events_topic: String,
    ) -> Self {
        Self {
            pools,
            key_prefix,
            events_topic,
        }
    }

    fn key(&self, partition: PartitionId) -> String {
        format!(
            "{{{}:beats}}:{}:{partition}",
            self.key_prefix, self.events_topic
        )
    }

    fn pool(&self) -> &RedisPool {
        self.pools.beats()
    }
}

#[async_trait]
impl LeaderBeat for RedisLeaderBeat {
    async fn beat(
        &self,
        owner: OwnerId,
        partitions: Vec<PartitionId>,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        if partitions.is_empty() {
            return Ok(());
        }
        let millis = ttl.max(TTL_MIN).as_millis().to_string();
        let mut pipeline = Pipeline::with_capacity(partitions.len());
        for partition in partitions {
            // Nobody reads the owner but people.
            pipeline
                .cmd("SET")
                .arg(self.key(partition))
                .arg(owner.to_string())
                .arg("PX")
                .arg(&millis);
        }
        let outcomes = self.pool().run(&mut pipeline).await?;
        outcomes
            .into_iter()
            .try_for_each(|outcome| outcome.map(|_| ()))
            .map_err(|error| self.pool().failed(&error))
    }

    async fn silent(&self, partitions: Vec<PartitionId>) -> Result<Vec<PartitionId>, CacheError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(partitions.len());
        for partition in &partitions {
            pipeline.cmd("EXISTS").arg(self.key(*partition));
        }
        let answers = self.pool().run(&mut pipeline).await?;
        if answers.len() != partitions.len() {
            return Err(self
                .pool()
                .failed(&"Redis did not answer for every partition"));
        }
        let mut silent = Vec::new();
        for (partition, answer) in partitions.into_iter().zip(answers) {
            match answer {
                Ok(Value::Int(0)) => silent.push(partition),
                Ok(_) => {}
                Err(error) => return Err(self.pool().failed(&error)),
            }
        }
        Ok(silent)
    }
}
