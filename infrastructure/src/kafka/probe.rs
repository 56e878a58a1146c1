//! Whether Kafka answers.

use super::client::KafkaClient;
use async_trait::async_trait;
use axs_application::port::readiness_probe::{ProbeFailure, ReadinessProbe};
use rdkafka::consumer::Consumer;
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
        self.client.settings().brokers.clone()
    }

    async fn check(&self) -> Result<(), ProbeFailure> {
        self.client
            .ask(|consumer, settings| {
                consumer.fetch_metadata(Some(&settings.events_topic), METADATA_TIMEOUT)?;
                Ok(())
            })
            .await
            .map_err(|error| ProbeFailure {
                reason: error.to_string(),
            })
    }
}
