//! The client against a server double: what it promises, one file a promise.

#![expect(
    clippy::unwrap_used,
    reason = "the double's own helpers: a test that breaks them shall stop"
)]

mod bound;
mod double;
mod gathering;
mod order;
mod retry;
