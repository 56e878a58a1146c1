//! The client.

use crate::answer::Answer;
use crate::error::{Cause, ClientError, SubmitError};
use crate::gatherer::{Activity, Gatherer};
use crate::settings::{ClientSettings, EVENT_BYTES_MAX};
use crate::wire::Wire;
use axs_proto::v1::BalanceChangeEvent;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// After how long a silence the server is asked whether it lives, by an HTTP/2 ping.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long its answer may take before the connection is closed and what it carried is sent again.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one API process. Clones share everything.
///
/// One process, and not several behind a balancer that spreads requests: a retry has to come to the
/// process that had the first try, which alone knows what it has logged and not yet published, and
/// only inside one process is LOGGED enough for the order of an account's events.
#[derive(Debug, Clone)]
pub struct Client {
    gatherer: Arc<Gatherer>,
    deadline: Duration,
}

impl Client {
    /// A client of the API at the address, e.g. `http://127.0.0.1:50051`. It connects when it is
    /// first used, and again whenever the connection is lost.
    ///
    /// Call it inside the tokio runtime that is to carry its requests; calls may come from others.
    ///
    /// # Errors
    /// [`ClientError`], which names the argument or the setting.
    pub fn connect_lazy(
        address: impl Into<String>,
        settings: ClientSettings,
    ) -> Result<Self, ClientError> {
        // Before the channel, which would panic.
        let runtime = current_runtime()?;
        let address = address.into();
        let endpoint = Endpoint::from_shared(address.clone())
            .map_err(|error| ClientError::BadAddress(address.clone(), error))?;
        if endpoint.uri().scheme().is_none() {
            return Err(ClientError::NoScheme(address));
        }
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        Self::on(runtime, endpoint.connect_lazy(), &settings)
    }

    /// A client over a channel of the caller's own making, to one API process. This is the place
    /// for TLS: the API speaks plain HTTP/2, and where a proxy in front of it speaks TLS, the
    /// channel does too.
    ///
    /// # Errors
    /// [`ClientError`], which names the setting.
    pub fn over(channel: Channel, settings: ClientSettings) -> Result<Self, ClientError> {
        Self::on(current_runtime()?, channel, &settings)
    }

    fn on(
        runtime: Handle,
        channel: Channel,
        settings: &ClientSettings,
    ) -> Result<Self, ClientError> {
        settings.check()?;
        let wire = Wire::new(channel, settings)?;
        let gatherer = Gatherer::new(wire, settings, runtime);
        Ok(Self {
            gatherer: Arc::new(gatherer),
            deadline: settings.deadline,
        })
    }

    /// Submits one event and waits for its answer, within the deadline of the settings. See
    /// [`Client::submit_until`].
    ///
    /// # Errors
    /// [`SubmitError`], which says whether the event may be logged.
    pub async fn submit(
        &self,
        event: impl Into<BalanceChangeEvent>,
    ) -> Result<Answer, SubmitError> {
        self.submit_until(event, Instant::now() + self.deadline)
            .await
    }

    /// Submits one event and waits for its answer, until the deadline.
    ///
    /// - Events of one account take effect in the order in which their calls were first polled
    ///   (across a restart of the API, for PUBLISHED only); a later one is sent when the answers to
    ///   all earlier ones are known. When the outcome of an earlier one stays unknown, those behind
    ///   it go on without it.
    /// - While the client holds as many events as it may, calls wait their turn.
    /// - An unknown outcome (no answer, a lost connection, a server that can't tell) is sent again
    ///   under the same key until it is known or the deadline passes. So is what the server does
    ///   not take for now, no sooner than it asks.
    /// - A refused event never fails those that shared its request.
    /// - When the future is dropped, the event is not sent any more, unless it is under way: then
    ///   it may still be logged. Nobody else is concerned.
    ///
    /// # Errors
    /// [`SubmitError`], which says whether the event may be logged.
    pub async fn submit_until(
        &self,
        event: impl Into<BalanceChangeEvent>,
        deadline: Instant,
    ) -> Result<Answer, SubmitError> {
        let event = event.into();
        let bytes = event.encoded_len();
        if bytes > EVENT_BYTES_MAX {
            return Err(SubmitError::NotLogged(Cause::TooLarge {
                bytes,
                max: EVENT_BYTES_MAX,
            }));
        }
        let (account, encoded) = (event.account_id, event.encode_to_vec().into());
        drop(event);
        self.gatherer.submit(account, encoded, deadline).await
    }

    /// What it did so far, in numbers.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.gatherer.activity()
    }
}

fn current_runtime() -> Result<Handle, ClientError> {
    Handle::try_current().map_err(|_| ClientError::NoRuntime)
}
