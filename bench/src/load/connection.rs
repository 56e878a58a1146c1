//! A few HTTP/2 connections to one API process.

use super::answer::Answer;
use super::codec::BytesCodec;
use anyhow::{Context, Result};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

const SUBMIT: &str = "/axs.v1.AccountBalanceService/BatchSubmitBalanceChanges";

/// Longer than any deadline of the server, so that the server's own answer is seen.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause before a request that was turned away for the backlog is sent again.
const TURNED_AWAY_PAUSE: Duration = Duration::from_millis(100);

/// Requests in flight a connection allows; the server's own bound is 200.
const STREAMS_A_CONNECTION: usize = 200;

/// A flow-control window that one connection never fills.
const WINDOW_BYTES: u32 = 8 << 20;

/// Connections, of which callers take one each in turn.
#[derive(Debug, Clone)]
pub struct Connections(Vec<Channel>);

impl Connections {
    /// Connects so many times.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn open(address: SocketAddr, count: usize) -> Result<Self> {
        let mut channels = Vec::with_capacity(count);
        for _ in 0..count {
            let endpoint = Endpoint::from_shared(format!("http://{address}"))?
                .timeout(REQUEST_TIMEOUT)
                .tcp_nodelay(true)
                .initial_connection_window_size(WINDOW_BYTES)
                .initial_stream_window_size(WINDOW_BYTES);
            channels.push(endpoint.connect().await.context("connecting the load")?);
        }
        Ok(Self(channels))
    }

    /// A caller of the nth connection, counted round.
    pub fn caller(&self, nth: usize) -> Caller {
        Caller(Grpc::new(self.0[nth % self.0.len()].clone()))
    }

    /// Requests that fit all connections at once.
    pub const fn requests_max(&self) -> usize {
        self.0.len() * STREAMS_A_CONNECTION
    }
}

/// Sends one request at a time.
#[derive(Debug, Clone)]
pub struct Caller(Grpc<Channel>);

impl Caller {
    /// Submits a request, again while the server turns it away for its backlog, and says how often
    /// it did.
    ///
    /// # Errors
    /// Any other status.
    pub async fn submit(&mut self, request: Bytes) -> Result<(Answer, u64), Status> {
        let mut turned_away = 0;
        loop {
            let status = match self.submit_once(request.clone()).await {
                Ok(answer) => return Ok((answer, turned_away)),
                Err(status) => status,
            };
            if status.code() != Code::ResourceExhausted {
                return Err(status);
            }
            turned_away += 1;
            tokio::time::sleep(TURNED_AWAY_PAUSE).await;
        }
    }

    async fn submit_once(&mut self, request: Bytes) -> Result<Answer, Status> {
        let ready = self.0.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(SUBMIT);
        let answer = self
            .0
            .unary(Request::new(request), path, BytesCodec)
            .await?;
        Ok(answer.into_inner())
    }
}
