//! The gRPC service through a real client over a real socket, with the use cases mocked.

#[cfg(test)]
mod grpc_service;
