//! How Kafka is reached, and within which bounds.

use axs_kafka::KafkaConnection;
use std::time::Duration;

/// How a topic is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// How the brokers are reached.
    pub connection: KafkaConnection,
    /// The topic of the events.
    pub events_topic: String,
}

/// The bounds of the producer's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerSettings {
    /// Records that may wait for their delivery report. At least the publish window, so that a
    /// logged event can always be enqueued; more than twice as many are given back.
    pub queue_records_max: u32,
    /// KiB that those records may hold.
    pub queue_kib_max: u32,
    /// What follows a delivery that failed.
    pub after_failure: AfterFailure,
}

/// What a producer does once a record could not be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// Publishes nothing more to that partition: a later record must not overtake the lost one. For
    /// the API, whose order is that of its log.
    ClosePartition,
    /// Goes on. For the relay, which begins anew from the log at every round and repeats what is
    /// still undecided.
    GoOn,
}

/// How the events topic is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTopicSettings {
    /// Copies of each partition.
    pub replication_factor: u16,
    /// Copies that must hold a record before it is acknowledged.
    pub min_insync_replicas: u16,
    /// How long the brokers keep a record. Longer than any outage of the processing side: a
    /// record that is dropped before it was processed stops its partition.
    pub retention: Duration,
}
