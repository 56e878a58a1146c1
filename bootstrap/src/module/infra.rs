//! Layer 2 of 5: connections, clocks, ids and the wire format. Sees the settings only.

use super::clients::Clients;
use super::config::{ConfigModule, ProcessConfig};
use crate::settings::KafkaSection;
use axs_infrastructure::codec::{ProtobufEventCodec, ProtobufResultCodec};
use axs_infrastructure::kafka::{
    EventTopicSettings, KafkaEventPublisher, KafkaEventPublisherParameters, KafkaEventTopic,
    KafkaEventTopicParameters, KafkaRecordReader, KafkaRecordReaderParameters,
    KafkaResultPublisher, KafkaResultPublisherParameters, KafkaResultTopic, KafkaTopicClaims,
    KafkaTopicClaimsParameters,
};
use axs_infrastructure::postgres::pool::{PgDatabase, PgDatabaseParameters};
use axs_infrastructure::process::{SystemClock, UuidV7LogIds};
use axs_infrastructure::redis::RedisConnections;
use axs_interfaces::consumer::{KafkaRecordSource, KafkaRecordSourceParameters};
use shaku::{HasComponent, module};
use std::sync::Arc;
use std::time::Duration;

const SECONDS_OF_AN_HOUR: u64 = 3_600;

module! {
    pub InfraModule {
        components = [
            #[lazy] PgDatabase,
            #[lazy] RedisConnections,
            #[lazy] KafkaEventTopic,
            #[lazy] KafkaEventPublisher,
            #[lazy] KafkaRecordReader,
            #[lazy] KafkaRecordSource,
            #[lazy] KafkaResultPublisher,
            #[lazy] KafkaResultTopic,
            #[lazy] KafkaTopicClaims,
            #[lazy] ProtobufEventCodec,
            #[lazy] ProtobufResultCodec,
            #[lazy] SystemClock,
            #[lazy] UuidV7LogIds
        ],
        providers = [],
        use ConfigModule { components = [dyn ProcessConfig], providers = [] }
    }
}

/// The module over the clients that were made.
pub fn infra_module(config: &Arc<ConfigModule>, clients: Clients) -> InfraModule {
    let kafka = &HasComponent::<dyn ProcessConfig>::resolve_ref(config.as_ref())
        .settings()
        .kafka;
    let mut builder = InfraModule::builder(Arc::clone(config));
    if let Some(pools) = clients.database {
        builder = builder.with_component_parameters::<PgDatabase>(PgDatabaseParameters { pools });
    }
    if let Some(pools) = clients.cache {
        builder = builder.with_component_parameters::<RedisConnections>(pools);
    }
    if let Some(client) = clients.kafka {
        let settings = topic_settings(kafka);
        let results = KafkaResultTopic::parameters(&client, &kafka.results_topic, settings.clone());
        builder = builder
            .with_component_parameters::<KafkaResultTopic>(results)
            .with_component_parameters::<KafkaTopicClaims>(KafkaTopicClaimsParameters {
                client: client.clone(),
            })
            .with_component_parameters::<KafkaEventTopic>(KafkaEventTopicParameters {
                client,
                settings,
            });
    }
    if let Some(producer) = clients.producer {
        builder = builder.with_component_parameters::<KafkaEventPublisher>(
            KafkaEventPublisherParameters { producer },
        );
    }
    if let Some(producer) = clients.results {
        builder = builder.with_component_parameters::<KafkaResultPublisher>(
            KafkaResultPublisherParameters { producer },
        );
    }
    if let Some(reader) = clients.reader {
        builder = builder
            .with_component_parameters::<KafkaRecordSource>(KafkaRecordSourceParameters { reader });
    }
    if let Some(client) = clients.reading {
        builder = builder
            .with_component_parameters::<KafkaRecordReader>(KafkaRecordReaderParameters { client });
    }
    builder.build()
}

/// How the topics are made.
pub fn topic_settings(kafka: &KafkaSection) -> EventTopicSettings {
    EventTopicSettings {
        replication_factor: kafka.replication_factor,
        min_insync_replicas: kafka.min_insync_replicas,
        retention: Duration::from_secs(u64::from(kafka.retention_hours) * SECONDS_OF_AN_HOUR),
    }
}
