//! AXS from outside: real processes, real servers, the published contract.
//!
//! One program for all of them, so that it is linked once and two tests at most share two cores.

mod backlog;
mod batch;
mod client_crate;
mod command_line;
mod contract;
mod dead_letters;
mod decision;
mod durability;
mod idempotency;
mod layout_change;
mod leadership;
mod other_database;
mod outage;
mod poison;
mod relay;
mod result;
mod secret;
mod session;
mod stage;
mod start;
mod tape;
mod verify;
