//! A pooled connection that knows when it is broken.
//!
//! bb8-redis makes the connections and checks them. Added here is what its manager leaves out: it
//! calls no connection broken, so that a dead one would stay in the pool until its lifetime ends;
//! its timeouts are the client's own, a second to connect and half a second to answer; and bb8
//! keeps the reason of a failure from those who wait for a connection.

use bb8_redis::RedisConnectionManager;
use bb8_redis::bb8::ManageConnection;
use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, RedisError};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// Makes connections with the timeouts of the settings.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    manager: RedisConnectionManager,
    connect_timeout: Duration,
    response_timeout: Duration,
    /// Why connecting failed last. bb8 keeps such errors from those who wait for a connection,
    /// and lets them wait for nothing.
    failure: Arc<watch::Sender<String>>,
}

/// A connection and whether it may be used again.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) redis: MultiplexedConnection,
    pub(super) is_broken: bool,
}

impl Connector {
    /// # Errors
    /// The address can't be used.
    pub(super) fn try_new(
        redis: &ConnectionInfo,
        connect_timeout: Duration,
        response_timeout: Duration,
    ) -> Result<Self, RedisError> {
        let (failure, _) = watch::channel(String::new());
        Ok(Self {
            manager: RedisConnectionManager::new(redis.clone())?,
            connect_timeout,
            response_timeout,
            failure: Arc::new(failure),
        })
    }

    /// Changes whenever connecting fails, to the reason.
    pub(super) fn failures(&self) -> watch::Receiver<String> {
        self.failure.subscribe()
    }
}

impl ManageConnection for Connector {
    type Connection = Connection;
    type Error = RedisError;

    async fn connect(&self) -> Result<Connection, RedisError> {
        let mut redis = timeout(self.connect_timeout, self.manager.connect())
            .await
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
            .inspect_err(|error| {
                self.failure.send_replace(error.to_string());
            })?;
        redis.set_response_timeout(self.response_timeout);
        Ok(Connection {
            redis,
            is_broken: false,
        })
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), RedisError> {
        self.manager.is_valid(&mut connection.redis).await
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.is_broken
    }
}
