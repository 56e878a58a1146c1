//! The gRPC server: the service, health and reflection behind one bounded listener.

use super::api::AccountBalanceApi;
use super::dispatch::Dispatch;
use super::listener::Listener;
use super::request_metrics::RequestMetricsLayer;
use super::settings::GrpcSettings;
use crate::ops::readiness::ReadinessBoard;
use axs_proto::v1::account_balance_service_server::SERVICE_NAME;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

/// How often the health answers are brought up to date with the readiness.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// How much longer than [`GrpcSettings::request_timeout`] the transport waits: the handler's own
/// answer says what a timeout means, the transport's only ends a request that never came whole.
const TRANSPORT_GRACE: Duration = Duration::from_secs(1);

/// After how long a silence a peer is asked, by an HTTP/2 ping, whether it lives: often enough to
/// keep a connection through the middleboxes that forget one after a minute.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How long the answer to that ping may take before the connection is closed, so that a dead peer
/// gives its place back within half a minute.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the health protocol can be asked for: the server as a whole, and the service.
const HEALTH_NAMES: [&str; 2] = ["", SERVICE_NAME];

/// The gRPC server could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// The address is taken or not this host's. Free it, or set `grpc.listen` to another.
    #[error("grpc.listen: can't listen on {address}")]
    Listen {
        /// The address that was set.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The contract's own descriptors can't be served: a broken build.
    #[error("the contract's descriptors can't be reflected")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport failed.
    #[error("the gRPC server on {address} failed")]
    Serve {
        /// Where it listened.
        address: SocketAddr,
        /// What the transport said.
        source: tonic::transport::Error,
    },
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// Every request under way was answered.
    Complete,
    /// [`GrpcSettings::drain_timeout`] passed first. What was written stays written.
    CutOff,
}

/// A gRPC server that listens, but does not answer yet.
pub struct GrpcServer {
    listener: Listener,
    address: SocketAddr,
    settings: GrpcSettings,
}

impl GrpcServer {
    /// Begins to listen. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`GrpcError::Listen`], which names the address and the setting.
    pub fn bind(settings: GrpcSettings) -> Result<Self, GrpcError> {
        let refused = |source| GrpcError::Listen {
            address: settings.listen,
            source,
        };
        let listener = Listener::bind(settings.listen).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self {
            listener,
            address,
            settings,
        })
    }

    /// Where it listens: the port that the system chose, where the setting said 0.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`; then takes no new connection, says NOT_SERVING, and lets what is
    /// under way end within [`GrpcSettings::drain_timeout`]: requests, and the work of clients that
    /// went away.
    ///
    /// # Errors
    /// [`GrpcError`].
    pub async fn serve(
        self,
        api: Arc<dyn AccountBalanceApi>,
        board: Arc<ReadinessBoard>,
        shutdown: CancellationToken,
    ) -> Result<Drain, GrpcError> {
        let settings = self.settings;
        let address = self.address;
        let (reporter, health) = health_reporter();
        set_status(&reporter, ServingStatus::NotServing).await;
        let reporting = report_health(reporter, board, shutdown.clone());
        let service = api
            .service()
            .max_decoding_message_size(settings.request_bytes_max)
            .max_encoding_message_size(settings.response_bytes_max);
        let others = Routes::new(health)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?);
        let serving = Server::builder()
            .max_concurrent_streams(Some(settings.connection_streams_max))
            .concurrency_limit_per_connection(settings.connection_requests_max)
            .timeout(settings.request_timeout + TRANSPORT_GRACE)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .layer(RequestMetricsLayer::default())
            .serve_with_incoming_shutdown(
                Dispatch::new(service, others),
                self.listener.accept(settings.connections_max),
                shutdown.clone().cancelled_owned(),
            );
        let serving = async {
            tokio::select! {
                ended = serving => ended?,
                never = reporting => match never {},
            }
            let under_way = api.under_way();
            under_way.close();
            under_way.wait().await;
            Ok(())
        };
        within_drain(serving, &shutdown, settings.drain_timeout)
            .await
            .map_err(|source| GrpcError::Serve { address, source })
    }
}

/// The server's end, or the drain's. A graceful shutdown can wait for ever for a peer.
async fn within_drain<E>(
    serving: impl Future<Output = Result<(), E>>,
    shutdown: &CancellationToken,
    drain_timeout: Duration,
) -> Result<Drain, E> {
    let too_long = async {
        shutdown.cancelled().await;
        tokio::time::sleep(drain_timeout).await;
    };
    tokio::select! {
        ended = serving => ended.map(|()| Drain::Complete),
        () = too_long => Ok(Drain::CutOff),
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(axs_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Keeps the health answers as the readiness is; at shutdown says NOT_SERVING and ends the
/// watches, which would hold up the drain.
async fn report_health(
    mut reporter: HealthReporter,
    board: Arc<ReadinessBoard>,
    shutdown: CancellationToken,
) -> Infallible {
    let keep_up_to_date = async {
        loop {
            let status = match board.report().await.ready {
                true => ServingStatus::Serving,
                false => ServingStatus::NotServing,
            };
            set_status(&reporter, status).await;
            tokio::time::sleep(HEALTH_INTERVAL).await;
        }
    };
    tokio::select! {
        never = keep_up_to_date => match never {},
        () = shutdown.cancelled() => {}
    }
    set_status(&reporter, ServingStatus::NotServing).await;
    for name in HEALTH_NAMES {
        reporter.clear_service_status(name).await;
    }
    std::future::pending().await
}

async fn set_status(reporter: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        reporter.set_service_status(name, status).await;
    }
}
