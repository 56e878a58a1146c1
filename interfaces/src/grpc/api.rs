//! The component that turns the use cases into the gRPC service.

use super::handler::AccountBalanceHandler;
use super::settings::GrpcSettings;
use axs_application::usecase::find_event::FindEvent;
use axs_application::usecase::open_accounts::OpenAccounts;
use axs_application::usecase::read_balances::ReadBalances;
use axs_application::usecase::register_currencies::RegisterCurrencies;
use axs_application::usecase::submit_balance_changes::SubmitBalanceChanges;
use axs_proto::v1::account_balance_service_server::AccountBalanceServiceServer;
use shaku::{Component, Interface};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Gives the gRPC service.
pub trait AccountBalanceApi: Interface {
    /// The service, for a server. Its bounds on messages are the server's to set.
    fn service(&self) -> AccountBalanceServiceServer<AccountBalanceHandler>;

    /// The settings it works by.
    fn settings(&self) -> &GrpcSettings;

    /// The requests that are being worked on, those included whose client went away.
    fn under_way(&self) -> &TaskTracker;
}

/// The gRPC service over the use cases.
#[derive(Component)]
#[shaku(interface = AccountBalanceApi)]
pub struct AccountBalanceGrpc {
    #[shaku(inject)]
    submit: Arc<dyn SubmitBalanceChanges>,
    #[shaku(inject)]
    open: Arc<dyn OpenAccounts>,
    #[shaku(inject)]
    register: Arc<dyn RegisterCurrencies>,
    #[shaku(inject)]
    read: Arc<dyn ReadBalances>,
    #[shaku(inject)]
    find: Arc<dyn FindEvent>,
    /// The settings of the server.
    #[shaku(default = unreachable!("the settings are given by whoever builds the container"))]
    settings: GrpcSettings,
    #[shaku(force_default)]
    under_way: TaskTracker,
}

impl AccountBalanceGrpc {
    /// The service over these use cases.
    #[must_use]
    pub fn new(
        submit: Arc<dyn SubmitBalanceChanges>,
        open: Arc<dyn OpenAccounts>,
        register: Arc<dyn RegisterCurrencies>,
        read: Arc<dyn ReadBalances>,
        find: Arc<dyn FindEvent>,
        settings: GrpcSettings,
    ) -> Self {
        Self {
            submit,
            open,
            register,
            read,
            find,
            settings,
            under_way: TaskTracker::new(),
        }
    }
}

impl AccountBalanceApi for AccountBalanceGrpc {
    fn service(&self) -> AccountBalanceServiceServer<AccountBalanceHandler> {
        AccountBalanceServiceServer::new(AccountBalanceHandler {
            submit: Arc::clone(&self.submit),
            open: Arc::clone(&self.open),
            register: Arc::clone(&self.register),
            read: Arc::clone(&self.read),
            find: Arc::clone(&self.find),
            batch_items_max: self.settings.batch_items_max,
            detached: super::detached::Detached {
                under_way: self.under_way.clone(),
                limit: self.settings.request_timeout,
            },
        })
    }

    fn settings(&self) -> &GrpcSettings {
        &self.settings
    }

    fn under_way(&self) -> &TaskTracker {
        &self.under_way
    }
}
