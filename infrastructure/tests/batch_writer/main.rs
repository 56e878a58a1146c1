//! The bulk path and leadership on the real server, claim by claim.
//!
//! One program for both: what a leader may write is one promise, kept by two adapters.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the fixture fails the test that it serves"
)]

mod answers;
mod consumer_registry;
mod culprits;
mod dead_letters;
mod fencing;
mod fixture;
mod guards;
mod incarnation;
mod leadership;
mod numeric;
mod plan;
mod results;
mod rival_session;
mod settlement;
mod severing_proxy;
#[path = "../support/mod.rs"]
mod support;
mod together;
mod writing;
mod zombie;
