//! Claims about describing and making the events topic.

use crate::support::{
    NOWHERE, PATIENCE, QUEUE, TOPIC, admin, brokers, new_topic, partition, publisher, record,
    settings, skipped, topic_of, unused_name,
};
use axs_application::port::event_publisher::EventPublisher;
use axs_application::port::event_topic::{BrokerError, EventTopic};
use axs_application::port::readiness_probe::ReadinessProbe;
use axs_infrastructure::kafka::{EventTopicSettings, KafkaClient, KafkaEventTopic, KafkaProbe};
use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_topic_that_is_not_there_is_described_without_partitions() {
    if skipped("a_topic_that_is_not_there_is_described_without_partitions") {
        return;
    }
    let topic = topic_of(&settings(&brokers(), &unused_name()));
    for _ in 0..2 {
        let description = topic.describe().await.unwrap();
        assert_eq!(description.partition_count, None);
        assert!(description.cluster_id.is_some());
    }
}

#[tokio::test]
async fn a_topic_is_made_once_as_the_settings_say() {
    if skipped("a_topic_is_made_once_as_the_settings_say") {
        return;
    }
    let kafka = settings(&brokers(), &unused_name());
    let topic = topic_of(&kafka);
    assert!(topic.create(3).await.unwrap());
    assert!(!topic.create(5).await.unwrap(), "it exists with 3");
    assert_eq!(topic.describe().await.unwrap().partition_count, Some(3));

    let described = admin()
        .describe_configs(
            &[ResourceSpecifier::Topic(&kafka.events_topic)],
            &AdminOptions::new(),
        )
        .await
        .unwrap();
    let config = described[0].as_ref().unwrap().entry_map();
    let retention = TOPIC.retention.as_millis().to_string();
    for (key, value) in [
        ("cleanup.policy", "delete"),
        ("min.insync.replicas", "1"),
        ("retention.ms", &retention),
        ("unclean.leader.election.enable", "false"),
    ] {
        assert_eq!(config[key].value.as_deref(), Some(value), "{key}");
    }
}

#[tokio::test]
async fn a_topic_that_has_grown_tells_of_its_new_partitions_at_once() {
    if skipped("a_topic_that_has_grown_tells_of_its_new_partitions_at_once") {
        return;
    }
    let kafka = settings(&brokers(), &unused_name());
    let topic = topic_of(&kafka);
    assert!(topic.create(2).await.unwrap());
    // The client has learned of two.
    topic.bounds(partition(1)).await.unwrap();
    topic.grow(4).await.unwrap();
    for number in 0..4 {
        let log = topic.bounds(partition(number)).await.unwrap();
        assert_eq!((log.start.value(), log.end.value()), (0, 0), "{number}");
    }
    let back = topic.grow(3).await.unwrap_err();
    assert!(back.to_string().contains("3 partitions"), "{back}");
}

#[tokio::test]
async fn a_topic_with_more_copies_than_brokers_is_refused_with_the_reason() {
    if skipped("a_topic_with_more_copies_than_brokers_is_refused_with_the_reason") {
        return;
    }
    let kafka = settings(&brokers(), &unused_name());
    let copies = EventTopicSettings {
        replication_factor: 99,
        ..TOPIC
    };
    let topic = KafkaEventTopic::new(KafkaClient::try_new(&kafka).unwrap(), copies);
    let error = topic.create(1).await.unwrap_err();
    assert!(matches!(error, BrokerError::Refused { .. }), "{error}");
    let told = error.to_string();
    for words in [kafka.events_topic.as_str(), "kafka.replication_factor = 99"] {
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(topic.describe().await.unwrap().partition_count, None);
}

#[tokio::test]
async fn the_bounds_reach_from_the_first_record_kept_to_the_next_one() {
    let kafka = new_topic(2).await;
    let topic = topic_of(&kafka);
    let bounds = async |number| {
        let bounds = topic.bounds(partition(number)).await.unwrap();
        (bounds.start.value(), bounds.end.value())
    };
    assert_eq!(bounds(0).await, (0, 0));
    let publisher = publisher(&kafka, QUEUE);
    for number in 0..10 {
        let _ = publisher.enqueue(record(1, number)).unwrap();
    }
    assert!(publisher.flush(PATIENCE).await);
    assert_eq!(bounds(0).await, (0, 0));
    assert_eq!(bounds(1).await, (0, 10));
}

#[tokio::test]
async fn the_bounds_begin_after_records_that_were_dropped() {
    if skipped("the_bounds_begin_after_records_that_were_dropped") {
        return;
    }
    let kafka = new_topic(1).await;
    let publisher = publisher(&kafka, QUEUE);
    for number in 0..10 {
        let _ = publisher.enqueue(record(0, number)).unwrap();
    }
    assert!(publisher.flush(PATIENCE).await);
    let mut before = TopicPartitionList::new();
    before
        .add_partition_offset(&kafka.events_topic, 0, Offset::Offset(4))
        .unwrap();
    admin()
        .delete_records(&before, &AdminOptions::new())
        .await
        .unwrap();
    let bounds = topic_of(&kafka).bounds(partition(0)).await.unwrap();
    assert_eq!((bounds.start.value(), bounds.end.value()), (4, 10));
}

#[tokio::test]
async fn the_bounds_of_a_partition_that_is_not_there_are_an_error() {
    let kafka = new_topic(1).await;
    let error = topic_of(&kafka).bounds(partition(9)).await.unwrap_err();
    assert!(error.to_string().contains(&brokers()), "{error}");
}

#[tokio::test]
async fn a_broker_that_is_away_is_named_within_bounded_time() {
    let kafka = settings(NOWHERE, "events");
    let topic = topic_of(&kafka);
    let before = Instant::now();
    let (described, bounds, probed) =
        tokio::join!(topic.describe(), topic.bounds(partition(0)), async {
            KafkaProbe::new(KafkaClient::try_new(&kafka).unwrap())
                .check()
                .await
        },);
    assert!(before.elapsed() < Duration::from_secs(15));
    assert!(described.unwrap_err().to_string().contains(NOWHERE));
    assert!(bounds.unwrap_err().to_string().contains(NOWHERE));
    assert!(probed.unwrap_err().to_string().contains(NOWHERE));
}

#[tokio::test]
async fn a_broker_that_answers_passes_the_probe() {
    let kafka = new_topic(1).await;
    let probe = KafkaProbe::new(KafkaClient::try_new(&kafka).unwrap());
    assert_eq!(probe.check().await, Ok(()));
    assert_eq!((probe.name(), probe.address()), ("kafka", brokers()));
}

#[tokio::test]
async fn a_broker_without_the_events_topic_does_not_pass_the_probe() {
    if skipped("a_broker_without_the_events_topic_does_not_pass_the_probe") {
        return;
    }
    let kafka = settings(&brokers(), &unused_name());
    let probe = KafkaProbe::new(KafkaClient::try_new(&kafka).unwrap());
    let told = probe.check().await.unwrap_err().reason;
    assert!(told.contains(&kafka.events_topic), "{told}");
}
