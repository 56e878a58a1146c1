//! A server of mocks, and its client.

use async_trait::async_trait;
use axs_application::port::readiness_probe::{ProbeFailure, ReadinessProbe};
use axs_application::usecase::find_event::{FindEvent, MockFindEvent};
use axs_application::usecase::open_accounts::{MockOpenAccounts, OpenAccounts};
use axs_application::usecase::read_balances::{MockReadBalances, ReadBalances};
use axs_application::usecase::register_currencies::{MockRegisterCurrencies, RegisterCurrencies};
use axs_application::usecase::submit_balance_changes::{
    MockSubmitBalanceChanges, SubmitBalanceChanges,
};
use axs_interfaces::grpc::api::AccountBalanceGrpc;
use axs_interfaces::grpc::server::{Drain, GrpcError, GrpcServer};
use axs_interfaces::grpc::settings::GrpcSettings;
use axs_interfaces::ops::readiness::{Dependency, Need, ProbeTiming, ReadinessBoard};
use axs_proto::v1;
use axs_proto::v1::account_balance_service_client::AccountBalanceServiceClient;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub type Client = AccountBalanceServiceClient<Channel>;

/// The use cases behind a server. A mock without expectations fails the call that reaches it.
pub struct UseCases {
    pub submit: Arc<dyn SubmitBalanceChanges>,
    pub open: Arc<dyn OpenAccounts>,
    pub register: Arc<dyn RegisterCurrencies>,
    pub read: Arc<dyn ReadBalances>,
    pub find: Arc<dyn FindEvent>,
}

impl Default for UseCases {
    fn default() -> Self {
        Self {
            submit: Arc::new(MockSubmitBalanceChanges::new()),
            open: Arc::new(MockOpenAccounts::new()),
            register: Arc::new(MockRegisterCurrencies::new()),
            read: Arc::new(MockReadBalances::new()),
            find: Arc::new(MockFindEvent::new()),
        }
    }
}

/// A dependency that can be switched off.
#[derive(Clone)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    pub fn set(&self, up: bool) {
        self.0.store(up, Ordering::SeqCst);
    }
}

#[async_trait]
impl ReadinessProbe for Switch {
    fn name(&self) -> &'static str {
        "postgresql"
    }

    fn address(&self) -> String {
        "db.example:5432".to_owned()
    }

    async fn check(&self) -> Result<(), ProbeFailure> {
        if self.0.load(Ordering::SeqCst) {
            return Ok(());
        }
        let reason = "switched off".to_owned();
        Err(ProbeFailure { reason })
    }
}

/// A running server.
pub struct Running {
    pub at: SocketAddr,
    pub postgresql: Switch,
    pub shutdown: CancellationToken,
    pub serving: JoinHandle<Result<Drain, GrpcError>>,
}

const MESSAGE_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// Settings for a port of the system's choice.
pub fn settings() -> GrpcSettings {
    GrpcSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        batch_items_max: 1_000,
        request_bytes_max: MESSAGE_BYTES_MAX,
        response_bytes_max: MESSAGE_BYTES_MAX,
        connections_max: 4_096,
        connection_streams_max: 512,
        connection_requests_max: 256,
        request_timeout: Duration::from_secs(10),
        drain_timeout: Duration::from_secs(10),
    }
}

pub fn run(use_cases: UseCases, settings: GrpcSettings) -> Running {
    let postgresql = Switch(Arc::new(AtomicBool::new(true)));
    let dependency = Dependency {
        probe: Arc::new(postgresql.clone()),
        need: Need::Required,
    };
    let board = ReadinessBoard::new(vec![dependency], None, ProbeTiming::default());
    let api = AccountBalanceGrpc::new(
        use_cases.submit,
        use_cases.open,
        use_cases.register,
        use_cases.read,
        use_cases.find,
        settings.clone(),
    );
    let server = GrpcServer::bind(settings).unwrap();
    let at = server.local_addr();
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(server.serve(Arc::new(api), Arc::new(board), shutdown.clone()));
    Running {
        at,
        postgresql,
        shutdown,
        serving,
    }
}

impl Running {
    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.at)).unwrap();
        endpoint.connect().await.unwrap()
    }

    pub async fn client(&self) -> Client {
        AccountBalanceServiceClient::new(self.channel().await)
    }
}

/// A client of a server over these use cases.
pub async fn client(use_cases: UseCases) -> Client {
    run(use_cases, settings()).client().await
}

/// Checks that the request as a whole was refused, for exactly these fields.
pub fn assert_invalid(status: &Status, fields: &[&str]) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let found: Vec<&str> = violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(found, fields, "{status:?}");
    assert!(status.message().contains(fields[0]), "{status:?}");
}

/// The fields that a refusal names.
pub fn fields(refusal: &v1::Refusal) -> Vec<&str> {
    refusal
        .violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect()
}
