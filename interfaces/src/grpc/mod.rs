//! The gRPC side of the contract.

mod batch;
mod event_reader;
mod field_path;
mod listener;
mod reply;
mod request_metrics;
pub mod server;
pub mod settings;
pub mod status;
mod violations;
