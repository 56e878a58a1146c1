//! The gRPC side of the contract.

mod event_reader;
mod field_path;
mod listener;
mod request_metrics;
pub mod settings;
mod violations;
