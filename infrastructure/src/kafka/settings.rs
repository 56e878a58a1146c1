//! How Kafka is reached, and within which bounds.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How Kafka is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Bootstrap addresses, `host:port` with commas between them.
    pub brokers: String,
    /// The topic of the events.
    pub events_topic: String,
    /// The name under which the brokers know this process.
    pub client_id: String,
    /// Further properties of librdkafka, e.g. `security.protocol` and `sasl.password`. One that
    /// a client sets itself makes that client refuse the settings: see
    /// [`is_own_property`](super::is_own_property).
    pub properties: BTreeMap<String, String>,
}

/// Values of properties are not printed: they may be passwords.
impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("events_topic", &self.events_topic)
            .field("client_id", &self.client_id)
            .field("properties", &self.properties.keys())
            .finish()
    }
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

/// A property is set that is not the operator's to set, or librdkafka refuses the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Kafka client for {brokers} can't be made: {reason}")]
pub struct KafkaSettingsError {
    /// The bootstrap addresses.
    pub brokers: String,
    /// Which property, or what librdkafka said.
    pub reason: String,
}

impl KafkaSettings {
    pub(super) fn refused(&self, reason: &dyn fmt::Display) -> KafkaSettingsError {
        KafkaSettingsError {
            brokers: self.brokers.clone(),
            reason: reason.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_the_settings_prints_no_password() {
        let settings = KafkaSettings {
            brokers: "127.0.0.1:9092".into(),
            events_topic: "events".into(),
            client_id: "axs".into(),
            properties: BTreeMap::from([("sasl.password".into(), "hunter2".into())]),
        };
        let printed = format!("{settings:?}");
        assert!(printed.contains("sasl.password"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
