//! The Kafka adapters' contracts, on a real broker.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in what it stands on too"
)]

mod event_publisher;
mod event_topic;
mod record_reader;
mod results;
mod support;
mod topic_claims;
