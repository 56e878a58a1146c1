//! Driving adapters: what calls AXS.

pub mod grpc;
pub mod ops;
