//! A deterministic simulation of the application: the real use cases over simulated ports.
//!
//! API processes, consumers and their relays run on one thread in virtual time; store, broker,
//! cache and clocks are simulated, and everything that goes wrong is drawn from one seed. After the
//! storm comes healing and quiet, and then every invariant is checked against a single-threaded
//! model of the topic. See `seeds.rs` for how a failing seed is replayed.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a simulation that can't be set up fails its test; what it hits is printed for people"
)]

mod breaks;
mod broker;
mod cache;
mod checker;
mod client;
mod contract;
mod fleet;
mod model;
mod notebook;
mod process;
mod report;
mod scenario;
mod seeds;
mod settings;
mod store;
mod trace;
mod trouble;
mod weather;
mod world;
