//! A pooled connection that knows when it is broken.
//!
//! The ready-made manager of bb8-redis never calls a connection broken, so that a dead one would
//! stay in the pool until its lifetime ends, and it can't set the response timeout.

use bb8_redis::bb8::ManageConnection;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, cmd};
use std::sync::Arc;
use tokio::sync::watch;

/// Makes connections with the timeouts of the settings.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    client: Client,
    config: AsyncConnectionConfig,
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
    pub(super) fn new(client: Client, config: AsyncConnectionConfig) -> Self {
        let (failure, _) = watch::channel(String::new());
        Self {
            client,
            config,
            failure: Arc::new(failure),
        }
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
        let redis = self
            .client
            .get_multiplexed_async_connection_with_config(&self.config)
            .await
            .inspect_err(|error| {
                self.failure.send_replace(error.to_string());
            })?;
        Ok(Connection {
            redis,
            is_broken: false,
        })
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), RedisError> {
        let pong: String = cmd("PING").query_async(&mut connection.redis).await?;
        if pong == "PONG" {
            Ok(())
        } else {
            Err((ErrorKind::UnexpectedReturnType, "no PONG after PING").into())
        }
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.is_broken
    }
}
