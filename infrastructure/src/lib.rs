//! Driven adapters: what the ports of `axs-application` promise, kept by real servers.
//!
//! | server | module |
//! |---|---|
//! | the process itself | [`process`] |
//! | protobuf | [`codec`] |
//! | PostgreSQL | [`postgres`] |
//! | Kafka | [`kafka`] |
//! | Redis | [`redis`] |

pub mod codec;
#[cfg(test)]
mod fuzz;
pub mod kafka;
pub mod postgres;
pub mod process;
pub mod redis;
