//! Driven adapters: what the ports of `axs-application` promise, kept by real servers.
//!
//! | server | module |
//! |---|---|
//! | the process itself | [`process`] |
//! | protobuf | [`codec`] |
//! | Kafka | [`kafka`] |

pub mod codec;
pub mod kafka;
pub mod process;
