//! The events topic as the brokers describe it.

use super::client::{KafkaClient, is_for_good};
use super::client_log::ClientLog;
use super::settings::EventTopicSettings;
use async_trait::async_trait;
use axs_application::port::event_topic::{BrokerError, EventTopic, LogBounds, TopicDescription};
use axs_domain::id::{Offset, PartitionId};
use axs_kafka::log_bounds;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use shaku::Component;
use std::fmt;
use std::time::Duration;

/// How long a broker may take to describe a topic, to tell its bounds or to name its cluster.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause between two looks at a topic that grows.
const GROWN_PAUSE: Duration = Duration::from_millis(100);

/// How long the brokers may take to make a topic.
const CREATE_TIMEOUT: Duration = Duration::from_secs(30);

/// Describes and makes the events topic.
#[derive(Component, Debug)]
#[shaku(interface = EventTopic)]
pub struct KafkaEventTopic {
    /// Who asks.
    #[shaku(default = unreachable!("the client is given by whoever builds the container"))]
    client: KafkaClient,
    /// How the topic is made.
    #[shaku(default = unreachable!("the settings are given by whoever builds the container"))]
    settings: EventTopicSettings,
}

impl KafkaEventTopic {
    /// The topic of the client's settings.
    #[must_use]
    pub const fn new(client: KafkaClient, settings: EventTopicSettings) -> Self {
        Self { client, settings }
    }

    /// Where the brokers are.
    pub(super) fn address(&self) -> String {
        self.client.settings().connection.brokers.clone()
    }

    /// Made for one call: topics are made once in a deployment's life.
    fn admin(&self) -> Result<(AdminClient<ClientLog>, AdminOptions), BrokerError> {
        let config = self.client.settings().connection.client_config(&[]);
        let admin = config
            .map_err(|error| self.client.unavailable(&error))?
            .create_with_context(ClientLog)
            .map_err(|error| self.client.unavailable(&error))?;
        let options = AdminOptions::new()
            .request_timeout(Some(CREATE_TIMEOUT))
            .operation_timeout(Some(CREATE_TIMEOUT));
        Ok((admin, options))
    }

    /// Why the brokers did not do what they were asked: for now, or for good.
    fn not_done(&self, error: RDKafkaErrorCode, reason: &dyn fmt::Display) -> BrokerError {
        if is_for_good(error) {
            self.client.refused(reason)
        } else {
            self.client.unavailable(reason)
        }
    }

    /// Waits until the brokers tell of so many partitions. It asks for the description, since that
    /// is what the client library learns of new partitions by: without it, the bounds of one are
    /// those of an unknown partition.
    async fn until_it_has(&self, partition_count: usize) -> Result<(), BrokerError> {
        let told = async {
            loop {
                // A broker that does not answer now is asked again until the time ends.
                if let Ok(described) = self.describe().await
                    && described.partition_count >= Some(partition_count)
                {
                    return;
                }
                tokio::time::sleep(GROWN_PAUSE).await;
            }
        };
        tokio::time::timeout(CREATE_TIMEOUT, told)
            .await
            .map_err(|_| {
                self.client.unavailable(&format_args!(
                    "the brokers don't tell of {partition_count} partitions yet"
                ))
            })
    }
}

#[async_trait]
impl EventTopic for KafkaEventTopic {
    async fn describe(&self) -> Result<TopicDescription, BrokerError> {
        self.client
            .ask(|consumer, settings| {
                let topic = &settings.events_topic;
                let metadata = consumer.fetch_metadata(Some(topic), QUESTION_TIMEOUT)?;
                let described = metadata.topics().iter().find(|it| it.name() == topic);
                let partition_count = match described.map(|it| (it.error(), it.partitions())) {
                    None => None,
                    Some((None, partitions)) => Some(partitions.len()),
                    Some((Some(error), _)) => match RDKafkaErrorCode::from(error) {
                        RDKafkaErrorCode::UnknownTopicOrPartition
                        | RDKafkaErrorCode::UnknownTopic => None,
                        error => return Err(KafkaError::MetadataFetch(error)),
                    },
                };
                Ok(TopicDescription {
                    topic: topic.clone(),
                    cluster_id: consumer.client().fetch_cluster_id(QUESTION_TIMEOUT),
                    partition_count,
                })
            })
            .await
    }

    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, BrokerError> {
        let (start, end) = self
            .client
            .ask(move |consumer, settings| {
                log_bounds(
                    consumer,
                    &settings.events_topic,
                    partition,
                    QUESTION_TIMEOUT,
                )
            })
            .await?;
        let offset = |value| {
            Offset::try_new(value).map_err(|problem| {
                self.client.unavailable(&format_args!(
                    "an offset of partition {partition} {problem}"
                ))
            })
        };
        Ok(LogBounds {
            start: offset(start)?,
            end: offset(end)?,
        })
    }

    async fn create(&self, partition_count: usize) -> Result<bool, BrokerError> {
        let count = i32::try_from(partition_count).map_err(|e| self.client.unavailable(&e))?;
        let (admin, options) = self.admin()?;
        let min_insync = self.settings.min_insync_replicas.to_string();
        let retention = self.settings.retention.as_millis().to_string();
        let replication = TopicReplication::Fixed(self.settings.replication_factor.into());
        let topic = NewTopic::new(&self.client.settings().events_topic, count, replication)
            .set("cleanup.policy", "delete")
            .set("retention.ms", &retention)
            .set("min.insync.replicas", &min_insync)
            // An out-of-sync copy that becomes leader would forget acknowledged records.
            .set("unclean.leader.election.enable", "false");
        let results = admin
            .create_topics([&topic], &options)
            .await
            .map_err(|error| self.client.unavailable(&error))?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((topic, error))) => Err(self.not_done(
                error,
                &format_args!(
                    "topic {topic} can't be made with {count} partitions, \
                     kafka.replication_factor = {}, kafka.min_insync_replicas = {min_insync} and \
                     kafka.retention_hours = {}: {error}",
                    self.settings.replication_factor,
                    self.settings.retention.as_secs() / 3_600
                ),
            )),
            None => Err(self.client.unavailable(&"no answer about the new topic")),
        }
    }

    async fn grow(&self, partition_count: usize) -> Result<(), BrokerError> {
        let (admin, options) = self.admin()?;
        let grown = NewPartitions::new(&self.client.settings().events_topic, partition_count);
        let results = admin
            .create_partitions([&grown], &options)
            .await
            .map_err(|error| self.client.unavailable(&error))?;
        match results.into_iter().next() {
            Some(Ok(_)) => self.until_it_has(partition_count).await,
            Some(Err((topic, error))) => Err(self.not_done(
                error,
                &format_args!("topic {topic} can't get {partition_count} partitions: {error}"),
            )),
            None => Err(self
                .client
                .unavailable(&"no answer about the topic's partitions")),
        }
    }
}
