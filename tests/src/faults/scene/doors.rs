//! The way of a process to the servers, which a row may close.

use super::Scene;
use crate::proxy::{Protocol, Proxy};
use anyhow::{Context, Result};

/// The three servers behind proxies, for processes that are to lose them.
#[derive(Debug)]
pub struct Doors {
    /// PostgreSQL.
    pub postgres: Proxy,
    /// Kafka.
    pub kafka: Proxy,
    /// Redis.
    pub redis: Proxy,
    pub(super) settings: Vec<(String, String)>,
}

impl Scene {
    /// Doors to the three servers, open.
    ///
    /// # Errors
    /// No port is free, or a server has no address.
    pub async fn doors(&self) -> Result<Doors> {
        let servers = &self.deployment.servers;
        let host_port = |url: &url::Url, port: u16| {
            format!(
                "{}:{}",
                url.host_str().unwrap_or("127.0.0.1"),
                url.port().unwrap_or(port)
            )
        };
        let postgres =
            Proxy::before(&host_port(&servers.database, 5432), Protocol::Postgres).await?;
        let redis = Proxy::before(&host_port(&servers.redis, 6379), Protocol::Plain).await?;
        let kafka = Proxy::before(&servers.brokers, Protocol::Kafka).await?;
        let through = |url: &url::Url, proxy: &Proxy| -> Result<String> {
            let mut url = url.clone();
            url.set_ip_host(proxy.address().ip())
                .ok()
                .context("an address")?;
            url.set_port(Some(proxy.address().port()))
                .ok()
                .context("an address")?;
            Ok(url.to_string())
        };
        let settings = vec![
            (
                "AXS__DATABASE__URL".to_owned(),
                through(&self.deployment.database.url, &postgres)?,
            ),
            (
                "AXS__CACHE__URL".to_owned(),
                through(&servers.redis, &redis)?,
            ),
            (
                "AXS__KAFKA__BROKERS".to_owned(),
                kafka.address().to_string(),
            ),
        ];
        Ok(Doors {
            postgres,
            kafka,
            redis,
            settings,
        })
    }

    /// Keeps doors until the row ends: processes are still behind them.
    pub fn keep(&mut self, doors: Doors) {
        self.doors.push(doors);
    }
}
