//! A client that asks the brokers questions and reads or writes no records.

use super::client_log::ClientLog;
use super::settings::KafkaSettings;
use axs_application::port::event_topic::BrokerError;
use axs_kafka::KafkaSettingsError;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The most of librdkafka's log lines and errors that one question passes on.
const EVENTS_PER_QUESTION_MAX: usize = 1_000;

/// Asks the brokers about a topic, by default the events topic. Cheap to clone; one connection for
/// all clones.
///
/// A consumer without a group, because librdkafka lets consumers ask about a topic without making
/// it by the question, which a producer may do.
#[derive(Clone)]
pub struct KafkaClient {
    settings: Arc<KafkaSettings>,
    consumer: Arc<BaseConsumer<ClientLog>>,
}

impl fmt::Debug for KafkaClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl KafkaClient {
    /// A client for these settings. Needs no live broker.
    ///
    /// # Errors
    /// [`KafkaSettingsError`] when they set what is set here, or when librdkafka refuses them.
    pub fn try_new(settings: &KafkaSettings) -> Result<Self, KafkaSettingsError> {
        let kafka = &settings.connection;
        let consumer = kafka
            .client_config(&[])?
            .create_with_context(ClientLog)
            .map_err(|error| kafka.refused(&error))?;
        Ok(Self {
            settings: Arc::new(settings.clone()),
            consumer: Arc::new(consumer),
        })
    }

    /// The same client, asking about another topic.
    #[must_use]
    pub fn on_topic(&self, topic: &str) -> Self {
        let mut settings = KafkaSettings::clone(&self.settings);
        topic.clone_into(&mut settings.events_topic);
        Self {
            settings: Arc::new(settings),
            consumer: Arc::clone(&self.consumer),
        }
    }

    /// How Kafka is reached.
    #[must_use]
    pub fn settings(&self) -> &KafkaSettings {
        &self.settings
    }

    /// Asks on a thread that may block.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&BaseConsumer<ClientLog>, &KafkaSettings) -> KafkaResult<T>
        + Send
        + 'static,
    ) -> Result<T, BrokerError> {
        let client = self.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = question(&client.consumer, &client.settings);
            client.pass_events_on();
            answer
        })
        .await;
        match answer {
            Ok(answer) => answer.map_err(|error| match error {
                KafkaError::MetadataFetch(code) if is_for_good(code) => self.refused(&error),
                error => self.unavailable(&error),
            }),
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    pub(super) fn unavailable(&self, reason: &dyn fmt::Display) -> BrokerError {
        BrokerError::Unavailable {
            brokers: self.settings.connection.brokers.clone(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn refused(&self, reason: &dyn fmt::Display) -> BrokerError {
        BrokerError::Refused {
            brokers: self.settings.connection.brokers.clone(),
            reason: reason.to_string(),
        }
    }

    /// Log lines and errors wait in the client until it is polled; nobody else polls this one.
    fn pass_events_on(&self) {
        for _ in 0..EVENTS_PER_QUESTION_MAX {
            if self.consumer.poll(Duration::ZERO).is_none() {
                break;
            }
        }
    }
}

/// Whether the same request will be refused again, until a person changes a setting or a right.
pub(super) const fn is_for_good(error: RDKafkaErrorCode) -> bool {
    matches!(
        error,
        RDKafkaErrorCode::InvalidReplicationFactor
            | RDKafkaErrorCode::InvalidPartitions
            | RDKafkaErrorCode::InvalidConfig
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
    )
}
