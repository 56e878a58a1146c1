//! The promises of the ports that PostgreSQL keeps, claim by claim, on the real server.
//!
//! One program for all of them: one link, and one place for what they share.

mod schema_store;
#[path = "../support/mod.rs"]
mod support;
