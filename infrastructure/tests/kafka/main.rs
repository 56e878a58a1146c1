//! The Kafka adapters' contracts, on a real broker.

mod event_publisher;
mod event_topic;
mod support;
