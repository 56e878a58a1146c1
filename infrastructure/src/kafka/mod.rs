//! Kafka: what is published, what is read again, and the topics.
//!
//! | port | adapter |
//! |---|---|
//! | `EventPublisher` | [`KafkaEventPublisher`] |
//! | `EventTopic` | [`KafkaEventTopic`] |
//! | `RecordReader` | [`KafkaRecordReader`] |
//! | `ResultPublisher` | [`KafkaResultPublisher`] |
//! | `ResultTopic` | [`KafkaResultTopic`] |
//! | `TopicClaims` | [`KafkaTopicClaims`] |
//! | `ReadinessProbe` | [`KafkaProbe`], [`KafkaResultTopicProbe`] |
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
mod result_publisher;
mod result_topic;
mod settings;
mod topic_claims;

pub use client::KafkaClient;
pub use event_publisher::{EventProducer, KafkaEventPublisher, KafkaEventPublisherParameters};
pub use event_topic::{KafkaEventTopic, KafkaEventTopicParameters};
pub use own_properties::is_own_property;
pub use probe::KafkaProbe;
pub use record_reader::{KafkaRecordReader, KafkaRecordReaderParameters, ReadingClient};
pub use result_publisher::{KafkaResultPublisher, KafkaResultPublisherParameters};
pub use result_topic::{KafkaResultTopic, KafkaResultTopicParameters, KafkaResultTopicProbe};
pub use settings::{AfterFailure, EventTopicSettings, KafkaSettings, ProducerSettings};
pub use topic_claims::{KafkaTopicClaims, KafkaTopicClaimsParameters};
