//! The ops HTTP server. For the operators' network: it has no authentication.

use super::readiness::ReadinessBoard;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The most `/metrics` answers that are made at once; the others wait.
const METRICS_RENDERS_MAX: usize = 2;

/// How long answers under way may take once the process is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Renders the metrics in Prometheus' text format.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// The ops server could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// The address is taken or not this host's. Free it, or set `ops.listen` to another.
    #[error("ops.listen: can't listen on {address}")]
    Listen {
        /// The address that was set.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The listening socket failed.
    #[error("the ops server on {address} failed")]
    Serve {
        /// Where it listened.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// An ops server that listens, but does not answer yet.
#[derive(Debug)]
pub struct OpsServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl OpsServer {
    /// Begins to listen.
    ///
    /// # Errors
    /// [`OpsError::Listen`], which names the address and the setting.
    pub async fn bind(listen: SocketAddr) -> Result<Self, OpsError> {
        let refused = |source| OpsError::Listen {
            address: listen,
            source,
        };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// Where it listens: the port that the system chose, where the setting said 0.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`, then ends within a second.
    ///
    /// # Errors
    /// [`OpsError::Serve`].
    pub async fn serve(
        self,
        board: Arc<ReadinessBoard>,
        metrics: MetricsText,
        shutdown: CancellationToken,
    ) -> Result<(), OpsError> {
        let state = OpsState {
            board,
            metrics,
            renders: Arc::new(Semaphore::new(METRICS_RENDERS_MAX)),
        };
        let router = Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics_text))
            .with_state(state);
        let address = self.address;
        let serving = axum::serve(self.listener, router)
            .with_graceful_shutdown(shutdown.clone().cancelled_owned())
            .into_future();
        let drained = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        };
        tokio::select! {
            ended = serving => ended.map_err(|source| OpsError::Serve { address, source }),
            () = drained => Ok(()),
        }
    }
}

#[derive(Clone)]
struct OpsState {
    board: Arc<ReadinessBoard>,
    metrics: MetricsText,
    renders: Arc<Semaphore>,
}

async fn livez() -> Response {
    answer(StatusCode::OK, PLAIN, "ok\n".to_owned())
}

async fn readyz(State(state): State<OpsState>) -> Response {
    let report = state.board.report().await;
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    match serde_json::to_string(report.as_ref()) {
        Ok(body) => answer(status, JSON, body),
        Err(error) => answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            PLAIN,
            format!("the report can't be written as JSON: {error}\n"),
        ),
    }
}

async fn metrics_text(State(state): State<OpsState>) -> Response {
    // The semaphore is never closed.
    let _permit = state.renders.acquire().await;
    answer(StatusCode::OK, PROMETHEUS, (state.metrics)())
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(CONTENT_TYPE, content_type)], body).into_response()
}
