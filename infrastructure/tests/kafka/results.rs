//! Claims about the result topic: making it, describing it, publishing to it.

use crate::support::{
    PATIENCE, QUEUE, TOPIC, new_topic, partition, read, settings, skipped, topic_of, unused_name,
};
use axs_application::port::change_log::RecordedReason;
use axs_application::port::event_topic::EventTopic;
use axs_application::port::readiness_probe::ReadinessProbe;
use axs_application::port::result_codec::{FinishedEvent, FinishedOutcome, MockResultCodec};
use axs_application::port::result_publisher::ResultPublisher;
use axs_application::port::result_topic::ResultTopic;
use axs_application::testkit::{EventBuilder, log_id};
use axs_domain::id::{Offset, ShardId};
use axs_domain::time::Timestamp;
use axs_infrastructure::kafka::{
    AfterFailure, EventProducer, KafkaClient, KafkaResultPublisher, KafkaResultTopic,
    KafkaResultTopicProbe, KafkaSettings, ProducerSettings,
};
use std::sync::Arc;

fn finished(account: i64, offset: i64) -> FinishedEvent {
    FinishedEvent {
        log_id: log_id(1),
        shard_id: ShardId::try_new(0).unwrap(),
        event: EventBuilder::new(account, "key")
            .change("USDT", "1", "0")
            .build(),
        partition: partition(1),
        offset: Offset::try_new(offset).unwrap(),
        outcome: FinishedOutcome::Rejected(RecordedReason {
            code: 1,
            message: String::new(),
        }),
        logged_at: Timestamp::from_unix_micros(1),
        decided_at: Timestamp::from_unix_micros(2),
    }
}

/// Publishes the offset of the event's record as the result.
fn publisher(kafka: &KafkaSettings) -> KafkaResultPublisher {
    let mut codec = MockResultCodec::new();
    codec
        .expect_encode()
        .returning(|finished| finished.offset.to_string().into());
    let queue = ProducerSettings {
        after_failure: AfterFailure::GoOn,
        ..QUEUE
    };
    KafkaResultPublisher::new(
        Arc::new(codec),
        EventProducer::try_new(kafka, queue).unwrap(),
    )
}

#[tokio::test]
async fn results_land_on_the_partition_of_their_event_in_order_under_their_account() {
    let kafka = new_topic(2).await;
    let publisher = publisher(&kafka);
    let mut deliveries = Vec::new();
    for offset in 100..150 {
        deliveries.push(
            publisher
                .enqueue(&finished(offset % 7 + 1, offset))
                .unwrap(),
        );
    }
    for delivery in deliveries {
        delivery.report().await.unwrap();
    }
    assert!(publisher.flush(PATIENCE).await);
    let expected: Vec<_> = (100..150)
        .map(|offset| {
            let account = offset % 7 + 1;
            (offset - 100, account.to_string(), offset.to_string())
        })
        .collect();
    assert_eq!(read(&kafka, 1, 50), expected);
}

#[tokio::test]
async fn a_partition_that_the_topic_lacks_is_refused_and_the_others_go_on() {
    let kafka = new_topic(2).await;
    let publisher = publisher(&kafka);
    let mut nowhere = finished(1, 5);
    nowhere.partition = partition(7);
    let refused = match publisher.enqueue(&nowhere) {
        Ok(delivery) => delivery.report().await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    let delivered = publisher.enqueue(&finished(1, 6)).unwrap();
    delivered.report().await.unwrap();
    assert_eq!(read(&kafka, 1, 1)[0].2, "6");
}

#[tokio::test]
async fn the_result_topic_is_made_once_beside_the_events_topic() {
    if skipped("the_result_topic_is_made_once_beside_the_events_topic") {
        return;
    }
    let kafka = new_topic(3).await;
    let client = KafkaClient::try_new(&kafka).unwrap();
    let name = unused_name();
    let results = KafkaResultTopic::new(&client, &name, TOPIC);
    let probe = KafkaResultTopicProbe::new(&client, &name, TOPIC);
    let described = results.describe().await.unwrap();
    assert_eq!(
        (described.topic.as_str(), described.partition_count),
        (name.as_str(), None)
    );
    let missing = probe.check().await.unwrap_err();
    assert!(missing.reason.contains("does not exist"), "{missing}");

    assert!(results.create(3).await.unwrap());
    assert!(!results.create(3).await.unwrap());
    assert_eq!(results.describe().await.unwrap().partition_count, Some(3));
    assert_eq!(probe.check().await, Ok(()));
    // The events topic is asked about as before.
    let events = topic_of(&kafka).describe().await.unwrap();
    assert_eq!(events.topic, kafka.events_topic);
}

#[tokio::test]
async fn a_result_topic_with_another_number_of_partitions_is_told() {
    let (events, results) = (new_topic(2).await, new_topic(1).await);
    let client =
        KafkaClient::try_new(&settings(&events.connection.brokers, &events.events_topic)).unwrap();
    let probe = KafkaResultTopicProbe::new(&client, &results.events_topic, TOPIC);
    let told = probe.check().await.unwrap_err().reason;
    assert!(told.contains("has 1 partitions"), "{told}");
}
