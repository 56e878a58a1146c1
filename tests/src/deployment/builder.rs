//! From an empty server to a deployment that is migrated and laid out.

use super::{Deployment, Environment};
use crate::binary;
use crate::database::Database;
use crate::server::Servers;
use crate::topic::Topic;
use anyhow::{Result, ensure};

/// A pool of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolShape {
    /// Its name.
    pub name: &'static str,
    /// Its shards.
    pub shards: usize,
    /// Its partitions.
    pub partitions: usize,
}

/// Settings of tests: small pools, since many deployments share one server, and short waits.
const SMALL: [(&str, &str); 5] = [
    ("AXS__DATABASE__WRITER_CONNECTIONS_MAX", "6"),
    ("AXS__DATABASE__QUERY_CONNECTIONS_MAX", "5"),
    ("AXS__DATABASE__OPERATIONS_CONNECTIONS_MAX", "3"),
    ("AXS__CACHE__CONNECTIONS_MAX", "3"),
    ("AXS__LEASE__TTL_MS", "3000"),
];

/// What a deployment shall be.
#[derive(Debug, Clone)]
pub struct DeploymentBuilder {
    name: String,
    pools: Vec<PoolShape>,
    settings: Vec<(String, String)>,
    apis: usize,
    consumers: usize,
}

impl DeploymentBuilder {
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            pools: vec![
                PoolShape {
                    name: "retail",
                    shards: 6,
                    partitions: 2,
                },
                PoolShape {
                    name: "whale",
                    shards: 2,
                    partitions: 1,
                },
            ],
            settings: SMALL.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(),
            apis: 0,
            consumers: 0,
        }
    }

    /// Other pools than the small ones of tests.
    #[must_use]
    pub fn pools(mut self, pools: &[PoolShape]) -> Self {
        self.pools = pools.to_vec();
        self
    }

    /// The product's own settings instead of those of tests.
    #[must_use]
    pub fn with_default_settings(mut self) -> Self {
        self.settings.clear();
        self
    }

    /// One more setting of every process.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// So many API processes.
    #[must_use]
    pub const fn apis(mut self, count: usize) -> Self {
        self.apis = count;
        self
    }

    /// So many consumers.
    #[must_use]
    pub const fn consumers(mut self, count: usize) -> Self {
        self.consumers = count;
        self
    }

    /// Makes the database, and a deployment without schema, layout or processes.
    ///
    /// # Errors
    /// A server is away, or the binary can't be built.
    pub async fn prepare(&self) -> Result<Deployment> {
        let servers = Servers::from_env()?;
        let binary = binary::bootstrap()?;
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("axs_t_{}_{}", self.name, &unique[..8]);
        let folder = tempfile::Builder::new().prefix(&name).tempdir()?;
        let database = Database::create(&servers, &name).await?;
        let topic = Topic::named(&servers, &name);
        let results = Topic::named(&servers, &format!("{name}_results"));
        let mut environment = Environment::default();
        environment.set("AXS__DATABASE__URL", &database.url);
        environment.set("AXS__CACHE__URL", &servers.redis);
        environment.set("AXS__CACHE__KEY_PREFIX", &name);
        environment.set("AXS__KAFKA__BROKERS", &servers.brokers);
        environment.set("AXS__KAFKA__EVENTS_TOPIC", &topic.name);
        environment.set("AXS__KAFKA__RESULTS_TOPIC", &results.name);
        for (setting, value) in &self.settings {
            environment.set(setting, value);
        }
        Ok(Deployment {
            servers,
            database,
            topic,
            results,
            environment,
            apis: Vec::new(),
            consumers: Vec::new(),
            key_prefix: name,
            binary,
            folder: Some(folder),
            started: 0,
            finished: false,
        })
    }

    /// Runs `migrate` and `layout init` on a prepared deployment.
    ///
    /// # Errors
    /// One of them fails: with its output.
    pub async fn lay_out(&self, deployment: &Deployment) -> Result<()> {
        let ran = deployment.run(&["migrate"]).await?;
        ensure!(ran.code == Some(0), "bootstrap migrate {ran}");
        let partitions = self.pools.iter().map(|pool| pool.partitions).sum();
        deployment.topic.prepare(partitions).await?;
        deployment.results.prepare(partitions).await?;
        let pools: Vec<String> = self
            .pools
            .iter()
            .map(|pool| format!("{}={}/{}", pool.name, pool.shards, pool.partitions))
            .collect();
        let mut arguments = vec!["layout", "init"];
        for pool in &pools {
            arguments.extend(["--pool", pool]);
        }
        let ran = deployment.run(&arguments).await?;
        ensure!(ran.code == Some(0), "bootstrap layout init {ran}");
        Ok(())
    }

    /// All of it: the database migrated, laid out, and every process ready.
    ///
    /// # Errors
    /// A server is away, a command fails, or a process is not ready in time.
    pub async fn start(self) -> Result<Deployment> {
        let mut deployment = self.prepare().await?;
        self.lay_out(&deployment).await?;
        deployment.start(self.apis, self.consumers).await?;
        Ok(deployment)
    }
}
