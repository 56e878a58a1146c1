//! Layer 5 of 5: what clients call. Sees use cases only.

use super::config::{ConfigModule, ProcessConfig};
use super::service::ServiceModule;
use crate::settings::SettingsError;
use axs_application::usecase::find_event::FindEvent;
use axs_application::usecase::open_accounts::OpenAccounts;
use axs_application::usecase::read_balances::ReadBalances;
use axs_application::usecase::register_currencies::RegisterCurrencies;
use axs_application::usecase::submit_balance_changes::SubmitBalanceChanges;
use axs_interfaces::grpc::api::{AccountBalanceGrpc, AccountBalanceGrpcParameters};
use axs_interfaces::grpc::settings::GrpcSettings;
use shaku::{HasComponent, module};
use std::sync::Arc;
use std::time::Duration;

module! {
    pub ApiModule {
        components = [#[lazy] AccountBalanceGrpc],
        providers = [],
        use ServiceModule {
            components = [
                dyn FindEvent, dyn OpenAccounts, dyn ReadBalances, dyn RegisterCurrencies,
                dyn SubmitBalanceChanges
            ],
            providers = []
        }
    }
}

/// The module over the use cases.
///
/// # Errors
/// An address that can't be read.
pub fn api_module(
    config: &Arc<ConfigModule>,
    service: &Arc<ServiceModule>,
) -> anyhow::Result<ApiModule> {
    let config: &dyn ProcessConfig = HasComponent::resolve_ref(config.as_ref());
    let section = &config.settings().grpc;
    let settings = GrpcSettings {
        listen: section
            .listen
            .parse()
            .map_err(SettingsError::at("grpc.listen"))?,
        batch_items_max: config.settings().write_side.batch_items_max,
        request_bytes_max: section.message_bytes_max,
        response_bytes_max: section.message_bytes_max,
        connections_max: section.connections_max,
        connection_streams_max: section.connection_requests_max,
        connection_requests_max: usize::try_from(section.connection_requests_max)
            .unwrap_or(usize::MAX),
        request_timeout: Duration::from_millis(section.request_timeout_ms),
        drain_timeout: Duration::from_millis(section.drain_ms),
    };
    Ok(ApiModule::builder(Arc::clone(service))
        .with_component_parameters::<AccountBalanceGrpc>(AccountBalanceGrpcParameters { settings })
        .build())
}
