//! The layers of one process, stacked.

use super::api::{ApiModule, api_module};
use super::clients::Clients;
use super::config::{ConfigModule, ProcessConfig, config_module};
use super::infra::{InfraModule, infra_module};
use super::repo::{RepoModule, repo_module};
use super::service::{ServiceModule, service_module};
use crate::settings::Settings;
use shaku::HasComponent;
use std::sync::Arc;

/// All five modules over one set of clients. Nothing in them is built before it is resolved.
pub struct Layers {
    config: Arc<ConfigModule>,
    /// Connections.
    pub infra: Arc<InfraModule>,
    /// Stores.
    pub repo: Arc<RepoModule>,
    /// Use cases.
    pub service: Arc<ServiceModule>,
    /// What clients call.
    pub api: Arc<ApiModule>,
}

impl Layers {
    /// Stacks the modules.
    ///
    /// # Errors
    /// Settings whose parts don't fit together.
    pub fn stack(settings: Settings, clients: Clients) -> anyhow::Result<Self> {
        let config = Arc::new(config_module(settings));
        let infra = Arc::new(infra_module(&config, clients));
        let repo = Arc::new(repo_module(&config, &infra)?);
        let service = Arc::new(service_module(&config, &infra, &repo)?);
        let api = Arc::new(api_module(&config, &service)?);
        Ok(Self {
            config,
            infra,
            repo,
            service,
            api,
        })
    }

    /// The settings, and who this process is.
    pub fn config(&self) -> &dyn ProcessConfig {
        HasComponent::resolve_ref(self.config.as_ref())
    }
}
