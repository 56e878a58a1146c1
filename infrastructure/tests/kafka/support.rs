//! What the claims stand on: topics of one's own on the broker that `make test` names.

use axs_application::port::event_publisher::OutboundRecord;
use axs_application::port::event_topic::EventTopic;
use axs_domain::id::{AccountId, PartitionId};
use axs_infrastructure::kafka::{
    AfterFailure, EventProducer, EventTopicSettings, KafkaClient, KafkaEventPublisher,
    KafkaEventTopic, KafkaSettings, ProducerSettings,
};
use axs_kafka::KafkaConnection;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, TopicPartitionList};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Far longer than a broker of a test needs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An address where nothing listens.
pub const NOWHERE: &str = "127.0.0.1:1";

pub fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run the tests by `make test`"))
}

pub fn brokers() -> String {
    variable("AXS_TEST_KAFKA_BROKERS")
}

fn is_mock() -> bool {
    variable("AXS_TEST_KAFKA_KIND") == "mock"
}

/// Whether a claim about topic administration can't be tested here; notes that it was skipped.
pub fn skipped(claim: &str) -> bool {
    if is_mock() {
        let mut skips = OpenOptions::new()
            .append(true)
            .create(true)
            .open(variable("AXS_TEST_SKIPS"))
            .unwrap();
        writeln!(
            skips,
            "{claim}\tthe mock broker knows no topic administration"
        )
        .unwrap();
    }
    is_mock()
}

pub fn settings(brokers: &str, topic: &str) -> KafkaSettings {
    KafkaSettings {
        connection: KafkaConnection {
            brokers: brokers.to_owned(),
            client_id: "axs-test".to_owned(),
            properties: BTreeMap::new(),
        },
        events_topic: topic.to_owned(),
    }
}

pub fn unused_name() -> String {
    format!("axs-t-{:016x}", rand::random::<u64>())
}

pub const TOPIC: EventTopicSettings = EventTopicSettings {
    replication_factor: 1,
    min_insync_replicas: 1,
    retention: Duration::from_hours(1),
};

pub fn topic_of(settings: &KafkaSettings) -> KafkaEventTopic {
    KafkaEventTopic::new(KafkaClient::try_new(settings).unwrap(), TOPIC)
}

/// A new topic.
pub async fn new_topic(partitions: usize) -> KafkaSettings {
    let settings = settings(&brokers(), &unused_name());
    if is_mock() {
        let control = TcpStream::connect(variable("AXS_TEST_KAFKA_CONTROL"));
        let mut control = BufReader::new(control.await.unwrap());
        let request = format!("create {} {partitions}\n", settings.events_topic);
        control
            .get_mut()
            .write_all(request.as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        control.read_line(&mut answer).await.unwrap();
        assert_eq!(answer.trim(), "created");
    } else {
        assert!(topic_of(&settings).create(partitions).await.unwrap());
    }
    // The brokers tell each other about it a little later.
    let topic = topic_of(&settings);
    let deadline = Instant::now() + PATIENCE;
    while topic.describe().await.unwrap().partition_count != Some(partitions) {
        assert!(Instant::now() < deadline, "the topic does not appear");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    settings
}

/// Gives the topic more partitions.
pub async fn add_partitions(kafka: &KafkaSettings, partitions: usize) {
    let more = NewPartitions::new(&kafka.events_topic, partitions);
    let results = admin()
        .create_partitions([&more], &AdminOptions::new())
        .await
        .unwrap();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let topic = topic_of(kafka);
    let deadline = Instant::now() + PATIENCE;
    while topic.describe().await.unwrap().partition_count != Some(partitions) {
        assert!(Instant::now() < deadline, "the partitions do not appear");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sets the size of the largest batch that the topic takes.
pub async fn limit_messages(kafka: &KafkaSettings, bytes: usize) {
    let bytes = bytes.to_string();
    let limit = AlterConfig::new(ResourceSpecifier::Topic(&kafka.events_topic))
        .set("max.message.bytes", &bytes);
    let results = admin()
        .alter_configs([&limit], &AdminOptions::new())
        .await
        .unwrap();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

pub const QUEUE: ProducerSettings = ProducerSettings {
    queue_records_max: 100_000,
    queue_kib_max: 65_536,
    after_failure: AfterFailure::ClosePartition,
};

pub fn publisher(kafka: &KafkaSettings, queue: ProducerSettings) -> KafkaEventPublisher {
    KafkaEventPublisher::new(EventProducer::try_new(kafka, queue).unwrap())
}

/// Topic administration, behind the adapters' backs.
pub fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .create()
        .unwrap()
}

pub fn partition(number: i32) -> PartitionId {
    PartitionId::try_new(number).unwrap()
}

pub fn record(partition_number: i32, number: i64) -> OutboundRecord {
    OutboundRecord {
        partition: partition(partition_number),
        account_id: AccountId::try_new(number + 1).unwrap(),
        payload: format!("payload {number}").into(),
    }
}

/// The keys and payloads of a partition's first records.
pub fn read(kafka: &KafkaSettings, partition: i32, count: usize) -> Vec<(i64, String, String)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.connection.brokers)
        .set("group.id", "axs-test")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(&kafka.events_topic, partition, rdkafka::Offset::Beginning)
        .unwrap();
    consumer.assign(&from).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut found = Vec::new();
    while found.len() < count {
        assert!(Instant::now() < deadline, "only {} records", found.len());
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.unwrap();
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
            found.push((
                message.offset(),
                text(message.key()),
                text(message.payload()),
            ));
        }
    }
    consumer.unassign().unwrap();
    found
}
