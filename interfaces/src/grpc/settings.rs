//! What the gRPC server is told: its address and its bounds.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use validator::{Validate, ValidationError};

/// The settings of the gRPC server. Every bound is per process unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Validate)]
pub struct GrpcSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The most items of one batch: events, accounts, currencies.
    #[validate(range(min = 1, max = 100_000))]
    pub batch_items_max: usize,
    /// The largest request message, in bytes.
    #[validate(range(min = 1_024, max = 67_108_864))]
    pub request_bytes_max: usize,
    /// The largest response message, in bytes. Clients accept 4 MiB unless they are told more.
    #[validate(range(min = 1_024, max = 67_108_864))]
    pub response_bytes_max: usize,
    /// The most connections at once; further ones wait in the kernel's queue.
    #[validate(range(min = 1, max = 1_000_000))]
    pub connections_max: usize,
    /// The most HTTP/2 streams that one connection may have open.
    #[validate(range(min = 1, max = 100_000))]
    pub connection_streams_max: u32,
    /// The most requests of one connection that are worked on at once; the others wait.
    #[validate(range(min = 1, max = 100_000))]
    pub connection_requests_max: usize,
    /// How long a request may take. What it began goes on: see DEADLINE_EXCEEDED.
    #[validate(custom(function = positive))]
    pub request_timeout: Duration,
    /// After how long a silence a peer is asked, by an HTTP/2 ping, whether it lives.
    #[validate(custom(function = positive))]
    pub keepalive_interval: Duration,
    /// How long the answer to that ping may take; then the connection is closed.
    #[validate(custom(function = positive))]
    pub keepalive_timeout: Duration,
    /// After how long a silence the kernel asks the peer's kernel.
    #[validate(custom(function = positive))]
    pub tcp_keepalive: Duration,
    /// How long requests under way may go on once the process is told to stop.
    #[validate(custom(function = positive))]
    pub drain_timeout: Duration,
}

impl Default for GrpcSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_051)),
            batch_items_max: 1_000,
            request_bytes_max: 4 * 1_024 * 1_024,
            response_bytes_max: 4 * 1_024 * 1_024,
            connections_max: 4_096,
            connection_streams_max: 512,
            connection_requests_max: 256,
            request_timeout: Duration::from_secs(10),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            tcp_keepalive: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

fn positive(duration: &Duration) -> Result<(), ValidationError> {
    if duration.is_zero() {
        return Err(ValidationError::new("positive").with_message("must be longer than 0".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_own_bounds() {
        assert_eq!(GrpcSettings::default().validate(), Ok(()));
    }

    #[test]
    fn each_setting_out_of_its_bounds_is_named() {
        type Spoil = fn(&mut GrpcSettings);
        let rows: &[(Spoil, &str)] = &[
            (|s| s.batch_items_max = 0, "batch_items_max"),
            (|s| s.request_bytes_max = 1, "request_bytes_max"),
            (|s| s.response_bytes_max = 1, "response_bytes_max"),
            (|s| s.connections_max = 0, "connections_max"),
            (|s| s.connection_streams_max = 0, "connection_streams_max"),
            (|s| s.connection_requests_max = 0, "connection_requests_max"),
            (|s| s.request_timeout = Duration::ZERO, "request_timeout"),
            (
                |s| s.keepalive_interval = Duration::ZERO,
                "keepalive_interval",
            ),
            (
                |s| s.keepalive_timeout = Duration::ZERO,
                "keepalive_timeout",
            ),
            (|s| s.tcp_keepalive = Duration::ZERO, "tcp_keepalive"),
            (|s| s.drain_timeout = Duration::ZERO, "drain_timeout"),
        ];
        for (spoil, name) in rows {
            let mut settings = GrpcSettings::default();
            spoil(&mut settings);
            let errors = settings.validate().unwrap_err();
            assert!(errors.errors().contains_key(*name), "{name}: {errors}");
        }
    }
}
