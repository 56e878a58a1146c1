//! The promises of the ports that PostgreSQL keeps, claim by claim, on the real server.
//!
//! One program for all of them: one link, and one place for what they share.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in what it stands on too"
)]

mod account_directory;
mod balance_store;
mod change_log;
mod change_log_partitions;
mod currency_registry;
mod event;
mod incarnation;
mod laid_out;
mod layout_change;
mod layout_store;
mod plan;
mod pool;
mod relay_source;
mod schema_store;
mod store_contract;
#[path = "../support/mod.rs"]
mod support;
