//! Driven adapters: what the ports of `axs-application` promise, kept by real servers.
//!
//! | server | module |
//! |---|---|
//! | the process itself | [`process`] |
//! | protobuf | [`codec`] |

pub mod codec;
pub mod process;
