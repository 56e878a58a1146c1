//! The gRPC server.

use serde::Deserialize;
use validator::Validate;

/// The gRPC server.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct GrpcSection {
    /// Where it listens: `address:port`.
    pub listen: String,
    /// The largest request, in bytes.
    #[validate(range(min = 65536, max = 67108864))]
    pub message_bytes_max: usize,
    /// Connections at once; more wait in the kernel's queue.
    #[validate(range(min = 1, max = 1000000))]
    pub connections_max: usize,
    /// Requests at once on one connection.
    #[validate(range(min = 1, max = 100000))]
    pub connection_requests_max: u32,
    /// How long one request may take.
    #[validate(range(min = 100, max = 600000))]
    pub request_timeout_ms: u64,
    /// How long a stopping server may take to answer what it has begun.
    #[validate(range(min = 100, max = 600000))]
    pub drain_ms: u64,
}

impl GrpcSection {
    /// What the bounds alone can't say.
    pub(super) fn problems(&self) -> Vec<String> {
        super::ops::listen_problem("grpc.listen", &self.listen)
            .into_iter()
            .collect()
    }
}
