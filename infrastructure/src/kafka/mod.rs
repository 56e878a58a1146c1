//! Kafka, as the producing side knows it.
//!
//! | port | adapter |
//! |---|---|
//! | `EventPublisher` | [`KafkaEventPublisher`] |
//! | `EventTopic` | [`KafkaEventTopic`] |
//! | `RecordReader` | [`KafkaRecordReader`] |
//! | `ReadinessProbe` | [`KafkaProbe`] |
//!
//! Nothing here needs a live broker to be made: librdkafka connects, and connects again, by
//! itself.

mod client;
mod client_log;
mod deliveries;
mod event_publisher;
mod event_topic;
mod own_properties;
mod probe;
mod record_reader;
mod settings;

pub use client::KafkaClient;
pub use event_publisher::{EventProducer, KafkaEventPublisher, KafkaEventPublisherParameters};
pub use event_topic::{KafkaEventTopic, KafkaEventTopicParameters};
pub use own_properties::is_own_property;
pub use probe::KafkaProbe;
pub use record_reader::{KafkaRecordReader, KafkaRecordReaderParameters, ReadingClient};
pub use settings::{
    AfterFailure, EventTopicSettings, KafkaSettings, KafkaSettingsError, ProducerSettings,
};
