//! Driven adapters: what the ports of `axs-application` promise, kept by real servers.
//!
//! | server | module |
//! |---|---|
//! | PostgreSQL | [`postgres`] |

pub mod postgres;
