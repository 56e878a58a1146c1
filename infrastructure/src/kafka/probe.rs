//! Whether Kafka answers, and has the events topic.

use super::client::KafkaClient;
use async_trait::async_trait;
use axs_application::port::readiness_probe::{ProbeFailure, ReadinessProbe};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use std::time::Duration;

/// Longer than a broker needs to answer, shorter than a person's patience.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks a broker for the events topic.
#[derive(Debug)]
pub struct KafkaProbe {
    client: KafkaClient,
}

impl KafkaProbe {
    /// Asks through this client.
    #[must_use]
    pub const fn new(client: KafkaClient) -> Self {
        Self { client }
    }
}

#[async_trait]
impl ReadinessProbe for KafkaProbe {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn address(&self) -> String {
        self.client.settings().connection.brokers.clone()
    }

    async fn check(&self) -> Result<(), ProbeFailure> {
        let problem = self
            .client
            .ask(|consumer, settings| {
                let topic = &settings.events_topic;
                let metadata = consumer.fetch_metadata(Some(topic), METADATA_TIMEOUT)?;
                let described = metadata.topics().iter().find(|it| it.name() == topic);
                let code = described
                    .and_then(|it| it.error())
                    .map(RDKafkaErrorCode::from);
                Ok(code.map(|code| format!("topic {topic}: {code}")))
            })
            .await
            .map_err(|error| ProbeFailure {
                reason: error.to_string(),
            })?;
        problem.map_or(Ok(()), |reason| Err(ProbeFailure { reason }))
    }
}
