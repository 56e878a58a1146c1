//! Kafka: the order of events.

use super::Secret;
use axs_infrastructure::kafka;
use axs_interfaces::consumer;
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
    /// The topic that carries the results. Has as many partitions as the events topic.
    pub results_topic: String,
    /// The name under which the brokers see this process.
    pub client_id: String,
    /// Replicas of the topic when AXS makes it; 3 in production.
    #[validate(range(min = 1, max = 32))]
    pub replication_factor: u16,
    /// Replicas that must hold a record before it counts as published; 2 in production.
    #[validate(range(min = 1, max = 32))]
    pub min_insync_replicas: u16,
    /// How long the brokers keep a record, when AXS makes the topic. Longer than any outage of the
    /// consumers.
    #[validate(range(min = 1, max = 8760))]
    pub retention_hours: u32,
    /// The group name under which consumers read. No group is joined: AXS assigns partitions
    /// itself.
    pub group_id: String,
    /// More librdkafka properties, e.g. `security.protocol` and `sasl.password`. Those that AXS
    /// sets itself are refused.
    pub properties: BTreeMap<String, Secret>,
}

impl KafkaSection {
    /// What the bounds alone can't say.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, value) in [
            ("brokers", &self.brokers),
            ("events_topic", &self.events_topic),
            ("results_topic", &self.results_topic),
            ("client_id", &self.client_id),
            ("group_id", &self.group_id),
        ] {
            if value.trim().is_empty() {
                problems.push(format!("kafka.{key} is empty"));
            }
        }
        for (name, value) in &self.properties {
            if kafka::is_own_property(name) || consumer::is_own_property(name) {
                problems.push(format!("kafka.properties.\"{name}\" is set by AXS alone"));
            } else if let Some(problem) = axs_kafka::property_problem(name, value.expose()) {
                problems.push(format!("kafka.properties.\"{name}\" {problem}"));
            }
        }
        if self.results_topic == self.events_topic {
            problems.push(format!(
                "kafka.results_topic is {}, which is kafka.events_topic; results need a topic of their own",
                self.results_topic
            ));
        }
        if self.min_insync_replicas > self.replication_factor {
            problems.push(format!(
                "kafka.min_insync_replicas is {}; there are only {} replicas (kafka.replication_factor)",
                self.min_insync_replicas, self.replication_factor
            ));
        }
        problems
    }
}
