//! What the gRPC server is told: its address and its bounds.

use std::net::SocketAddr;
use std::time::Duration;

/// The settings of the gRPC server. Every bound is per process unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The most items of one batch: events, accounts, currencies.
    pub batch_items_max: usize,
    /// The largest request message, in bytes.
    pub request_bytes_max: usize,
    /// The largest response message, in bytes. Clients accept 4 MiB unless they are told more.
    pub response_bytes_max: usize,
    /// The most connections at once; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// The most HTTP/2 streams that one connection may have open.
    pub connection_streams_max: u32,
    /// The most requests of one connection that are worked on at once; the others wait.
    pub connection_requests_max: usize,
    /// How long a request may take. What it began goes on: see DEADLINE_EXCEEDED.
    pub request_timeout: Duration,
    /// How long requests under way may go on once the process is told to stop.
    pub drain_timeout: Duration,
}
