//! The result topic as the brokers describe it.

use super::client::KafkaClient;
use super::event_topic::KafkaEventTopic;
use super::settings::EventTopicSettings;
use async_trait::async_trait;
use axs_application::port::event_topic::{BrokerError, EventTopic, LogBounds, TopicDescription};
use axs_application::port::readiness_probe::{ProbeFailure, ReadinessProbe};
use axs_application::port::result_topic::ResultTopic;
use axs_domain::id::PartitionId;
use shaku::Component;

/// Describes and makes the result topic, made as the events topic is.
#[derive(Component, Debug)]
#[shaku(interface = ResultTopic)]
pub struct KafkaResultTopic {
    /// The topic.
    #[shaku(default = unreachable!("the topic is given by whoever builds the container"))]
    topic: KafkaEventTopic,
}

impl KafkaResultTopic {
    /// The topic with this name.
    #[must_use]
    pub fn new(client: &KafkaClient, name: &str, settings: EventTopicSettings) -> Self {
        Self {
            topic: KafkaEventTopic::new(client.on_topic(name), settings),
        }
    }

    /// The same for the container.
    #[must_use]
    pub fn parameters(
        client: &KafkaClient,
        name: &str,
        settings: EventTopicSettings,
    ) -> KafkaResultTopicParameters {
        let Self { topic } = Self::new(client, name, settings);
        KafkaResultTopicParameters { topic }
    }
}

#[async_trait]
impl ResultTopic for KafkaResultTopic {
    async fn describe(&self) -> Result<TopicDescription, BrokerError> {
        self.topic.describe().await
    }

    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, BrokerError> {
        self.topic.bounds(partition).await
    }

    async fn create(&self, partition_count: usize) -> Result<bool, BrokerError> {
        self.topic.create(partition_count).await
    }

    async fn grow(&self, partition_count: usize) -> Result<(), BrokerError> {
        self.topic.grow(partition_count).await
    }
}

/// Asks whether the result topic is there and has as many partitions as the events topic.
#[derive(Debug)]
pub struct KafkaResultTopicProbe {
    events: KafkaEventTopic,
    results: KafkaEventTopic,
}

impl KafkaResultTopicProbe {
    /// Asks about the client's events topic and the result topic with this name.
    #[must_use]
    pub fn new(client: &KafkaClient, name: &str, settings: EventTopicSettings) -> Self {
        Self {
            events: KafkaEventTopic::new(client.clone(), settings.clone()),
            results: KafkaEventTopic::new(client.on_topic(name), settings),
        }
    }
}

#[async_trait]
impl ReadinessProbe for KafkaResultTopicProbe {
    fn name(&self) -> &'static str {
        "result_topic"
    }

    fn address(&self) -> String {
        self.results.address()
    }

    async fn check(&self) -> Result<(), ProbeFailure> {
        let failed = |error: BrokerError| ProbeFailure {
            reason: error.to_string(),
        };
        let events = self.events.describe().await.map_err(failed)?;
        let results = self.results.describe().await.map_err(failed)?;
        mismatch(&events, &results).map_or(Ok(()), |reason| Err(ProbeFailure { reason }))
    }
}

fn mismatch(events: &TopicDescription, results: &TopicDescription) -> Option<String> {
    match (results.partition_count, events.partition_count) {
        (None, _) => Some(format!(
            "the result topic {} does not exist, so that results wait; `bootstrap layout init` \
             with the pools of the layout makes it",
            results.topic
        )),
        (Some(found), Some(expected)) if found != expected => Some(format!(
            "the result topic {} has {found} partitions and {} has {expected}; results of a \
             partition go to the one with its number, so that both need as many",
            results.topic, events.topic
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_topic_needs_as_many_partitions_as_the_events_topic() {
        let topic = |name: &str, partition_count| TopicDescription {
            topic: name.to_owned(),
            cluster_id: None,
            partition_count,
        };
        let rows = [
            (Some(3), Some(3), None),
            (Some(3), None, Some("does not exist")),
            (
                Some(3),
                Some(2),
                Some("results has 2 partitions and events has 3"),
            ),
            // What is wrong with the events topic is said elsewhere.
            (None, Some(2), None),
        ];
        for (events, results, words) in rows {
            let found = mismatch(&topic("events", events), &topic("results", results));
            match words {
                None => assert_eq!(found, None),
                Some(words) => assert!(found.unwrap().contains(words)),
            }
        }
    }
}
