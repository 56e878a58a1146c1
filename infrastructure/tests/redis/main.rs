//! The Redis adapters' contracts, on a real Redis.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in what it stands on too"
)]

mod balance_cache;
mod connections;
mod leader_beat;
mod support;
