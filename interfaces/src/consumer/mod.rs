//! The batch consumer's source: one librdkafka consumer on a thread of its own reads all assigned
//! partitions, each into a bounded channel.
//!
//! | file | what |
//! |---|---|
//! | `record_source.rs` | the adapter of the port: sends commands to the thread |
//! | `reader.rs` | the thread: commands, poll rounds, errors |
//! | `waker.rs` | a thread beside it, which wakes librdkafka when a partition goes on |
//! | `feed.rs` | one partition: its batch, its channel, what is expected next |
//! | `fault.rs` | which of librdkafka's errors pass and which break a partition |
//!
//! No consumer group takes part: who reads which partition is decided by leadership in
//! PostgreSQL. Nothing is stored in Kafka, and reading begins only at offsets that the caller
//! names.

mod client_log;
mod fault;
mod feed;
mod reader;
mod record_source;
mod settings;
mod waker;

pub use record_source::{KafkaRecordSource, KafkaRecordSourceParameters, RecordReader};
pub use settings::{RecordSourceSettings, is_own_property};
