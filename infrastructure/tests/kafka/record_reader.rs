//! Claims about reading a stretch of the topic again.

use crate::support::{
    NOWHERE, PATIENCE, QUEUE, admin, brokers, new_topic, partition, publisher, record, settings,
    skipped,
};
use axs_application::port::event_publisher::EventPublisher;
use axs_application::port::record_reader::RecordReader;
use axs_application::port::record_source::InboundRecord;
use axs_domain::id::Offset;
use axs_infrastructure::kafka::{KafkaRecordReader, KafkaSettings, ReadingClient};
use rdkafka::TopicPartitionList;
use rdkafka::admin::AdminOptions;
use std::time::Instant;

fn reader(kafka: &KafkaSettings) -> KafkaRecordReader {
    KafkaRecordReader::new(ReadingClient::try_new(kafka, "axs-test").unwrap())
}

fn offset(value: i64) -> Offset {
    Offset::try_new(value).unwrap()
}

fn offsets(records: &[InboundRecord]) -> Vec<i64> {
    records.iter().map(|record| record.offset.value()).collect()
}

/// A topic of two partitions with so many records on the second.
async fn topic_with(records: i64) -> KafkaSettings {
    let kafka = new_topic(2).await;
    let publisher = publisher(&kafka, QUEUE);
    for number in 0..records {
        let _ = publisher.enqueue(record(1, number)).unwrap();
    }
    assert!(publisher.flush(PATIENCE).await);
    kafka
}

#[tokio::test]
async fn a_stretch_is_read_in_order_within_its_bounds_and_its_number() {
    let kafka = topic_with(20).await;
    let reader = reader(&kafka);
    // from, until, at most; first and last offset
    let rows = [
        (0, 20, 100, Some((0, 19))),
        (5, 9, 100, Some((5, 8))),
        (5, 9, 2, Some((5, 6))),
        (19, 20, 1, Some((19, 19))),
        (18, 40, 100, Some((18, 19))),
        (20, 40, 100, None),
        (30, 40, 100, None),
        (7, 7, 100, None),
        (9, 7, 100, None),
        (0, 20, 0, None),
        (0, 1, 1, Some((0, 0))),
    ];
    for (from, until, at_most, expected) in rows {
        let read = reader
            .read(partition(1), offset(from), offset(until), at_most)
            .await
            .unwrap();
        let expected: Vec<i64> =
            expected.map_or_else(Vec::new, |(first, last)| (first..=last).collect());
        assert_eq!(offsets(&read), expected, "{from}..{until}, {at_most}");
        for record in read {
            let number = record.offset.value();
            assert_eq!(record.payload, format!("payload {number}"));
            assert_eq!(record.key, (number + 1).to_string());
        }
    }
}

#[tokio::test]
async fn an_empty_partition_holds_nothing_and_a_missing_one_is_an_error() {
    let kafka = topic_with(1).await;
    let reader = reader(&kafka);
    let read = |number| reader.read(partition(number), offset(0), offset(10), 10);
    assert_eq!(read(0).await.unwrap(), []);
    let error = read(9).await.unwrap_err();
    assert!(error.to_string().contains(&kafka.events_topic), "{error}");
    // And the reader is as good as before.
    assert_eq!(offsets(&read(1).await.unwrap()), [0]);
}

#[tokio::test]
async fn records_that_were_dropped_are_passed_over() {
    if skipped("records_that_were_dropped_are_passed_over") {
        return;
    }
    let kafka = topic_with(10).await;
    let mut before = TopicPartitionList::new();
    before
        .add_partition_offset(&kafka.events_topic, 1, rdkafka::Offset::Offset(6))
        .unwrap();
    admin()
        .delete_records(&before, &AdminOptions::new())
        .await
        .unwrap();
    let reader = reader(&kafka);
    let read = async |from, until| {
        let read = reader.read(partition(1), offset(from), offset(until), 100);
        offsets(&read.await.unwrap())
    };
    assert_eq!(read(0, 5).await, [0_i64; 0]);
    assert_eq!(read(0, 8).await, [6, 7]);
}

#[tokio::test]
async fn readings_at_once_get_each_its_own_records() {
    let kafka = topic_with(50).await;
    let reader = reader(&kafka);
    let readings = (0..10).map(|turn| {
        let from = turn * 5;
        reader.read(partition(1), offset(from), offset(from + 5), 100)
    });
    for (turn, read) in (0..).zip(futures::future::join_all(readings).await) {
        let from = turn * 5;
        let expected: Vec<i64> = (from..from + 5).collect();
        assert_eq!(offsets(&read.unwrap()), expected);
    }
}

#[tokio::test]
async fn a_reading_is_bounded_in_bytes_and_is_gone_on_with() {
    let kafka = new_topic(1).await;
    let publisher = publisher(&kafka, QUEUE);
    let records = 24;
    for number in 0..records {
        let mut large = record(0, number);
        large.payload = vec![7_u8; 400_000].into();
        let _ = publisher.enqueue(large).unwrap();
    }
    assert!(publisher.flush(PATIENCE).await);
    let (reader, mut next, mut readings) = (reader(&kafka), offset(0), 0);
    let mut found = Vec::new();
    while found.len() < 24 {
        let read = reader
            .read(partition(0), next, offset(records), 1_000)
            .await
            .unwrap();
        assert!(read.len() < 24, "more than the bound at once");
        next = read.last().unwrap().offset.next();
        found.extend(offsets(&read));
        readings += 1;
    }
    assert_eq!(found, (0..records).collect::<Vec<_>>());
    assert!(readings >= 2);
}

#[tokio::test]
async fn a_broker_that_is_away_is_named_within_bounded_time() {
    let before = Instant::now();
    let error = reader(&settings(NOWHERE, "events"))
        .read(partition(0), offset(0), offset(1), 1)
        .await
        .unwrap_err();
    assert!(before.elapsed() < PATIENCE);
    assert!(error.to_string().contains(NOWHERE), "{error}");
    assert_ne!(brokers(), NOWHERE);
}
