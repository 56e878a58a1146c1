//! Driving adapters: what calls AXS.

pub mod consumer;
pub mod grpc;
pub mod ops;
