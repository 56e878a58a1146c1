//! The bulk path and leadership on the real server, claim by claim.
//!
//! One program for both: what a leader may write is one promise, kept by two adapters.

mod fixture;
#[path = "../support/mod.rs"]
mod support;
mod writing;
