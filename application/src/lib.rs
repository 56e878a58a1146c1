//! Ports and use cases.
//!
//! A port is a promise that the outside keeps (one file: trait, contract, errors). A use case is
//! a verb phrase that drives ports (one file). Nothing here knows SQL, Redis, Kafka or gRPC.

pub mod port;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod usecase;
