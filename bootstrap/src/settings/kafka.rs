//! Kafka: the order of events.

use super::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;
use validator::Validate;

/// Kafka: the order of events.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct KafkaSection {
    /// Bootstrap addresses, `host:port` separated by commas.
    pub brokers: String,
    /// The topic that carries the events. Must be the layout's.
    pub events_topic: String,
    /// The name under which the brokers see this process.
    pub client_id: String,
    /// Replicas of the topic when AXS makes it; 3 in production.
    #[validate(range(min = 1, max = 32))]
    pub replication_factor: i32,
    /// How long one question to the brokers may take.
    #[validate(range(min = 100, max = 60000))]
    pub request_timeout_ms: u64,
    /// How long the producer gathers records of a partition.
    #[validate(range(min = 0, max = 1000))]
    pub linger_ms: u64,
    /// Read-ahead of a consumer, in KiB, over all its partitions.
    #[validate(range(min = 1024, max = 2097152))]
    pub fetch_queue_kbytes: u32,
    /// More librdkafka properties, e.g. `security.protocol` and `sasl.password`. Those that AXS
    /// relies on for order and durability can't be set here.
    pub properties: BTreeMap<String, Secret>,
}

impl KafkaSection {
    /// Properties that carry a promise of AXS and are set by AXS alone.
    pub const RESERVED_PROPERTIES: [&str; 14] = [
        "acks",
        "auto.offset.reset",
        "bootstrap.servers",
        "client.id",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "group.id",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "message.timeout.ms",
        "delivery.timeout.ms",
        "request.required.acks",
        "transactional.id",
    ];

    /// What the bounds alone can't say.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, value) in [
            ("brokers", &self.brokers),
            ("events_topic", &self.events_topic),
            ("client_id", &self.client_id),
        ] {
            if value.trim().is_empty() {
                problems.push(format!("kafka.{key} is empty"));
            }
        }
        for name in self.properties.keys() {
            if Self::RESERVED_PROPERTIES.contains(&name.as_str()) {
                problems.push(format!("kafka.properties.\"{name}\" is set by AXS alone"));
            }
        }
        problems
    }
}
