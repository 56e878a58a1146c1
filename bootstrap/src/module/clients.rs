//! What must exist before the graph: client libraries whose making can fail or starts a thread.
//! None of them contacts a server here.

use crate::settings::{Settings, SettingsError};
use axs_infrastructure::kafka::{
    AfterFailure, EventProducer, KafkaClient, KafkaSettings, ProducerSettings, ReadingClient,
};
use axs_infrastructure::postgres::pool::{DatabaseSettings, PgPools};
use axs_infrastructure::redis::{RedisConnections, RedisConnectionsParameters, RedisSettings};
use axs_interfaces::consumer::{RecordReader, RecordSourceSettings};
use axs_kafka::KafkaConnection;
use std::fmt::Display;
use std::time::Duration;

/// How long a transaction of a frozen process may hold its locks.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection is kept: a silently dead one must not hold a place for ever.
const CONNECTION_LIFETIME_MAX: Duration = Duration::from_secs(30 * 60);

/// Connections to Redis for beats and probes, apart from the cache's: a large pipeline must not
/// delay a beat.
const BEAT_CONNECTIONS: u32 = 2;

/// KiB that a record of the producer's queue is reckoned at; a typical one is half of it.
const PRODUCER_RECORD_KIB: u32 = 2;

/// Results that may wait for their delivery report, over all partitions. Who publishes results
/// waits for room.
const RESULT_QUEUE_RECORDS: u32 = 20_000;

/// The clients of one process; those that a command doesn't use are not made.
#[derive(Default)]
pub struct Clients {
    /// PostgreSQL.
    pub database: Option<PgPools>,
    /// Redis.
    pub cache: Option<RedisConnectionsParameters>,
    /// Kafka, for questions.
    pub kafka: Option<KafkaClient>,
    /// Kafka, for publishing.
    pub producer: Option<EventProducer>,
    /// Kafka, for publishing results.
    pub results: Option<EventProducer>,
    /// Kafka, for reading.
    pub reader: Option<RecordReader>,
    /// Kafka, for reading stretches of the events topic again.
    pub reading: Option<ReadingClient>,
}

impl Clients {
    /// Adds PostgreSQL.
    pub fn with_database(mut self, settings: &Settings) -> anyhow::Result<Self> {
        let section = &settings.database;
        let timeout = Duration::from_millis(section.connect_timeout_ms);
        let pools = PgPools::try_new(&DatabaseSettings {
            url: section.url.expose().to_owned(),
            writer_connections: section.writer_connections_max,
            query_connections: section.query_connections_max,
            operations_connections: section.operations_connections_max,
            connect_timeout: timeout,
            acquire_timeout: timeout,
            statement_timeout: Duration::from_millis(section.statement_timeout_ms),
            idle_in_transaction_timeout: IDLE_IN_TRANSACTION_TIMEOUT,
            max_lifetime: CONNECTION_LIFETIME_MAX,
        })
        .map_err(SettingsError::at("database.url"))?;
        self.database = Some(pools);
        Ok(self)
    }

    /// Adds Redis.
    pub fn with_cache(mut self, settings: &Settings) -> anyhow::Result<Self> {
        let section = &settings.cache;
        let timeout = Duration::from_millis(section.timeout_ms);
        let connections = RedisConnections::try_new(&RedisSettings {
            url: section.url.expose().to_owned(),
            cache_connections: section.connections_max,
            beat_connections: BEAT_CONNECTIONS,
            connect_timeout: timeout,
            checkout_timeout: timeout,
            response_timeout: timeout,
        })
        .map_err(SettingsError::at("cache.url"))?;
        self.cache = Some(connections.into_parameters());
        Ok(self)
    }

    /// Adds Kafka for questions about the topic.
    pub fn with_kafka(mut self, settings: &Settings) -> anyhow::Result<Self> {
        self.kafka = Some(KafkaClient::try_new(&kafka_settings(settings)).map_err(wrong_kafka())?);
        Ok(self)
    }

    /// Adds the producer.
    pub fn with_producer(
        mut self,
        settings: &Settings,
        after_failure: AfterFailure,
    ) -> anyhow::Result<Self> {
        let records = settings.write_side.publish_window_events;
        let queue = ProducerSettings {
            queue_records_max: records,
            queue_kib_max: records.saturating_mul(PRODUCER_RECORD_KIB),
            after_failure,
        };
        self.producer =
            Some(EventProducer::try_new(&kafka_settings(settings), queue).map_err(wrong_kafka())?);
        Ok(self)
    }

    /// Adds the producer of results.
    pub fn with_results(mut self, settings: &Settings) -> anyhow::Result<Self> {
        let kafka = KafkaSettings {
            events_topic: settings.kafka.results_topic.clone(),
            ..kafka_settings(settings)
        };
        let queue = ProducerSettings {
            queue_records_max: RESULT_QUEUE_RECORDS,
            queue_kib_max: RESULT_QUEUE_RECORDS * PRODUCER_RECORD_KIB,
            // Whoever publishes results begins again from the one that failed.
            after_failure: AfterFailure::GoOn,
        };
        self.results = Some(EventProducer::try_new(&kafka, queue).map_err(wrong_kafka())?);
        Ok(self)
    }

    /// Adds the reader of the events topic.
    pub fn with_reader(mut self, settings: &Settings) -> anyhow::Result<Self> {
        let section = &settings.kafka;
        self.reader = Some(
            RecordReader::start(&RecordSourceSettings {
                connection: kafka_connection(settings),
                events_topic: section.events_topic.clone(),
                group_id: section.group_id.clone(),
                waiting_batches_max: settings.processing.read_ahead_batches_max,
            })
            .map_err(wrong_kafka())?,
        );
        Ok(self)
    }

    /// Adds the client that reads stretches of the events topic again.
    pub fn with_reading(mut self, settings: &Settings) -> anyhow::Result<Self> {
        let group_id = &settings.kafka.group_id;
        self.reading = Some(
            ReadingClient::try_new(&kafka_settings(settings), group_id).map_err(wrong_kafka())?,
        );
        Ok(self)
    }
}

/// librdkafka looks at all properties at once; its own words, and ours, name the one.
fn wrong_kafka<E: Display>() -> impl FnOnce(E) -> SettingsError {
    SettingsError::at("kafka")
}

fn kafka_settings(settings: &Settings) -> KafkaSettings {
    KafkaSettings {
        connection: kafka_connection(settings),
        events_topic: settings.kafka.events_topic.clone(),
    }
}

fn kafka_connection(settings: &Settings) -> KafkaConnection {
    let section = &settings.kafka;
    let properties = section.properties.iter();
    KafkaConnection {
        brokers: section.brokers.clone(),
        client_id: section.client_id.clone(),
        properties: properties
            .map(|(key, value)| (key.clone(), value.expose().to_owned()))
            .collect(),
    }
}
