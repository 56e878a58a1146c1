//! The connections to Redis: two pools, so that a big write to the cache never delays a beat.

use super::connection::{Connection, Connector};
use axs_application::port::balance_cache::CacheError;
use bb8_redis::bb8::{Pool, PooledConnection, RunError};
use redis::{ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError, RedisResult, Value};
use shaku::{Component, Interface};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How Redis is reached, and within which bounds.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// `redis://user:password@host:port/database`.
    pub url: String,
    /// The most connections for the cache. At least 1.
    pub cache_connections: u32,
    /// The most connections for beats and probes. At least 1.
    pub beat_connections: u32,
    /// How long connecting may take. More than a second is taken for a second.
    pub connect_timeout: Duration,
    /// How long a caller waits for a connection of a pool.
    pub checkout_timeout: Duration,
    /// How long Redis may take to answer a pipeline.
    pub response_timeout: Duration,
}

/// The address is not printed: it may hold a password.
impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("cache_connections", &self.cache_connections)
            .field("beat_connections", &self.beat_connections)
            .field("connect_timeout", &self.connect_timeout)
            .field("checkout_timeout", &self.checkout_timeout)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}

/// The address can't be read. The text names the reason and never the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Redis address can't be read: {reason}")]
pub struct RedisSettingsError {
    /// What is wrong with it.
    pub reason: String,
}

fn unreadable(error: &RedisError) -> RedisSettingsError {
    RedisSettingsError {
        reason: error.to_string(),
    }
}

/// Connections for one kind of work. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RedisPool {
    pool: Pool<Connector>,
    connector: Connector,
    address: Arc<str>,
}

impl RedisPool {
    fn lazy(
        redis: &ConnectionInfo,
        settings: &RedisSettings,
        connections: u32,
    ) -> Result<Self, RedisSettingsError> {
        if connections == 0 || settings.checkout_timeout.is_zero() {
            return Err(RedisSettingsError {
                reason: "a pool needs a connection, and time to give it out".to_owned(),
            });
        }
        let connector =
            Connector::try_new(redis, settings.connect_timeout, settings.response_timeout)
                .map_err(|error| unreadable(&error))?;
        let pool = Pool::builder()
            .max_size(connections)
            .connection_timeout(settings.checkout_timeout)
            // No PING for each use: a connection that failed is not given back.
            .test_on_check_out(false)
            // A caller falls back to the database at once rather than wait for Redis.
            .retry_connection(false)
            .build_unchecked(connector.clone());
        Ok(Self {
            pool,
            connector,
            address: redis.addr().to_string().into(),
        })
    }

    /// Where Redis is, without its password.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a pipeline in one round trip, and gives an answer or an error for each command.
    ///
    /// Repeated once on a new connection when the pooled one turns out to be dead, as all are
    /// after a restart of Redis: everything sent through this may be done twice.
    pub(super) async fn run(
        &self,
        pipeline: &mut Pipeline,
    ) -> Result<Vec<RedisResult<Value>>, CacheError> {
        pipeline.ignore_errors();
        let mut connection = self.checkout().await?;
        match attempt(&mut connection, pipeline).await {
            Err(error) if error.is_connection_dropped() => {
                // Given back, and thereby out of the pool, before another one is made.
                drop(connection);
                let mut fresh = self
                    .pool
                    .dedicated_connection()
                    .await
                    .map_err(|error| self.failed(&error))?;
                attempt(&mut fresh, pipeline).await
            }
            outcome => outcome,
        }
        .map_err(|error| self.failed(&error))
    }

    /// A connection; fails as soon as connecting fails, be it for somebody else.
    async fn checkout(&self) -> Result<PooledConnection<'_, Connector>, CacheError> {
        let mut failures = self.connector.failures();
        tokio::select! {
            // A connection that is there is taken, whatever fails meanwhile.
            biased;
            connection = self.pool.get() => connection.map_err(|error| match error {
                RunError::User(error) => self.failed(&error),
                RunError::TimedOut => self.failed(&"no connection within the checkout timeout"),
            }),
            Ok(()) = failures.changed() => {
                let reason = failures.borrow().clone();
                Err(self.failed(&reason))
            }
        }
    }

    pub(super) fn failed(&self, reason: &dyn fmt::Display) -> CacheError {
        CacheError {
            address: self.address.to_string(),
            reason: reason.to_string(),
        }
    }
}

async fn attempt(
    connection: &mut Connection,
    pipeline: &Pipeline,
) -> Result<Vec<RedisResult<Value>>, RedisError> {
    // Until the answer is here: a caller that is dropped meanwhile leaves it on the way.
    connection.is_broken = true;
    let outcome = pipeline.query_async(&mut connection.redis).await;
    connection.is_broken = outcome.is_err();
    outcome
}

/// Gives the adapters their connections.
pub trait RedisPools: Interface {
    /// Connections for the cache.
    fn cache(&self) -> &RedisPool;

    /// Connections for beats and probes.
    fn beats(&self) -> &RedisPool;
}

/// [`RedisPools`] from the settings.
#[derive(Component, Clone, Debug)]
#[shaku(interface = RedisPools)]
pub struct RedisConnections {
    /// Connections for the cache.
    #[shaku(default = unreachable!("the pools are given by whoever builds the container"))]
    cache: RedisPool,
    /// Connections for beats and probes.
    #[shaku(default = unreachable!("the pools are given by whoever builds the container"))]
    beats: RedisPool,
}

/// The server of this address, and how it is spoken to.
fn server(url: &str) -> Result<ConnectionInfo, RedisSettingsError> {
    let redis = url
        .into_connection_info()
        .map_err(|error| unreadable(&error))?;
    // The end of a long pipeline would wait in the kernel until the rest of it is acknowledged, up
    // to the 40 ms of a delayed ACK.
    let tcp = redis.tcp_settings().clone().set_nodelay(true);
    Ok(redis.set_tcp_settings(tcp))
}

impl RedisConnections {
    /// The pools of these settings. Connects only when a connection is asked for.
    ///
    /// # Errors
    /// [`RedisSettingsError`] when the address can't be read or a bound is zero.
    pub fn try_new(settings: &RedisSettings) -> Result<Self, RedisSettingsError> {
        let redis = server(&settings.url)?;
        Ok(Self {
            cache: RedisPool::lazy(&redis, settings, settings.cache_connections)?,
            beats: RedisPool::lazy(&redis, settings, settings.beat_connections)?,
        })
    }

    /// The same as parameters of the component.
    #[must_use]
    pub fn into_parameters(self) -> RedisConnectionsParameters {
        RedisConnectionsParameters {
            cache: self.cache,
            beats: self.beats,
        }
    }
}

impl RedisPools for RedisConnections {
    fn cache(&self) -> &RedisPool {
        &self.cache
    }

    fn beats(&self) -> &RedisPool {
        &self.beats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> RedisSettings {
        RedisSettings {
            url: url.to_owned(),
            cache_connections: 1,
            beat_connections: 1,
            connect_timeout: Duration::from_secs(1),
            checkout_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn nothing_waits_in_the_kernel_for_what_was_sent_before_it() {
        let redis = server("redis://127.0.0.1:6379/").unwrap();
        assert!(redis.tcp_settings().nodelay());
    }

    #[tokio::test]
    async fn no_password_is_ever_printed() {
        let settings = settings("redis://user:hunter2@127.0.0.1:6379/");
        let pools = RedisConnections::try_new(&settings).unwrap();
        assert_eq!(pools.cache().address(), "127.0.0.1:6379");
        for printed in [
            format!("{settings:?}"),
            pools.cache().failed(&"").to_string(),
        ] {
            assert!(!printed.contains("hunter2"), "{printed}");
        }
        let unreadable = self::settings("no://user:hunter2@127.0.0.1/");
        let error = RedisConnections::try_new(&unreadable).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn a_pool_without_connections_or_time_is_refused() {
        let no_connection = RedisSettings {
            beat_connections: 0,
            ..settings("redis://127.0.0.1/")
        };
        assert!(RedisConnections::try_new(&no_connection).is_err());
        let no_time = RedisSettings {
            checkout_timeout: Duration::ZERO,
            ..settings("redis://127.0.0.1/")
        };
        assert!(RedisConnections::try_new(&no_time).is_err());
    }
}
