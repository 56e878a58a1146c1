//! What AXS needs from the outside, one promise a file.
//!
//! Every port is dyn-safe, takes owned arguments and has a mock behind the feature `testkit`.

pub mod account_directory;
pub mod balance_cache;
pub mod balance_store;
pub mod batch_writer;
pub mod change_log;
pub mod change_log_partitions;
pub mod clock;
pub mod consumer_registry;
pub mod currency_registry;
pub mod dead_letters;
pub mod event_codec;
pub mod event_publisher;
pub mod event_topic;
pub mod installation;
pub mod layout_change;
pub mod layout_change_notes;
pub mod layout_store;
pub mod leader_beat;
pub mod ledger_audit;
pub mod log_id_generator;
pub mod parked_events;
pub mod partition_leadership;
pub mod readiness_probe;
pub mod record_reader;
pub mod record_source;
pub mod relay_source;
pub mod result_codec;
pub mod result_publisher;
pub mod result_source;
pub mod result_topic;
pub mod schema_store;
pub mod store_error;
pub mod topic_claims;
