//! The record source's contract, on a real broker.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in what it stands on too"
)]

mod support;

use axs_application::port::record_source::RecordSource;
use axs_interfaces::consumer::{KafkaRecordSource, RecordReader};
use rdkafka::admin::{AdminOptions, NewPartitions};
use std::time::{Duration, Instant};
use support::{
    NOWHERE, PATIENCE, Read, Topic, admin, brokers, offset, partition, settings, skipped,
};

async fn begin(source: &KafkaRecordSource, number: i32, from: i64) -> Read {
    let events = source.assign(partition(number), offset(from)).await;
    Read::new(events.unwrap(), from)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_thousand_records_come_in_order_and_none_is_left_out() {
    const RECORDS: i64 = 50_000;
    let topic = Topic::new(2).await;
    topic.write(0, 0..RECORDS);
    topic.write(1, 0..RECORDS / 10);
    let source = topic.source();
    let mut one = begin(&source, 0, 0).await;
    let mut other = begin(&source, 1, 0).await;
    tokio::join!(one.up_to(RECORDS), other.up_to(RECORDS / 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_begins_exactly_at_the_offset_given() {
    let topic = Topic::new(1).await;
    topic.write(0, 0..1_000);
    let source = topic.source();
    for from in [0, 1, 499, 999, 37] {
        let mut read = begin(&source, 0, from).await;
        read.up_to(1_000).await;
    }
    let mut at_the_end = begin(&source, 0, 1_000).await;
    assert!(at_the_end.is_quiet().await);
    topic.write(0, 1_000..1_010);
    at_the_end.up_to(1_010).await;
}

/// An assignment ends in the middle of what was fetched ahead; nothing of it may come out of the
/// next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_assignments_one_after_another_each_begin_exactly_where_they_should() {
    let topic = Topic::new(2).await;
    topic.write(0, 0..20_000);
    topic.write(1, 0..20_000);
    let source = topic.source();
    let mut bystander = begin(&source, 1, 0).await;
    for hop in 0..40 {
        let from = (hop * 7_919) % 19_000;
        let mut read = begin(&source, 0, from).await;
        read.one_event().await;
        if hop % 2 == 0 {
            source.unassign(partition(0)).await.unwrap();
        }
        if bystander.next() < 15_000 {
            bystander.one_event().await;
        }
    }
    bystander.up_to(20_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_comes_or_goes_does_not_disturb_another() {
    let topic = Topic::new(2).await;
    topic.write(0, 0..30_000);
    topic.write(1, 0..100);
    let source = topic.source();
    let mut steady = begin(&source, 0, 10).await;
    steady.one_event().await;
    for _ in 0..5 {
        let mut guest = begin(&source, 1, 50).await;
        guest.up_to(100).await;
        source.unassign(partition(1)).await.unwrap();
        guest.end().await;
    }
    steady.up_to(30_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_channel_pauses_its_own_partition_and_no_other() {
    const RECORDS: i64 = 30_000;
    let topic = Topic::new(2).await;
    topic.write(0, 0..RECORDS);
    topic.write(1, 0..RECORDS);
    let source = topic.source();
    let mut held_up = begin(&source, 0, 0).await;
    let mut going_on = begin(&source, 1, 0).await;
    going_on.up_to(RECORDS).await;
    topic.write(1, RECORDS..RECORDS + 1_000);
    going_on.up_to(RECORDS + 1_000).await;
    held_up.up_to(RECORDS).await;
}

/// librdkafka sleeps for up to a second over a partition that is paused and alone, and would begin
/// to fetch it again only then: with a backlog, for as long nothing would be decided.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_is_paused_again_and_again_goes_on_whenever_there_is_room() {
    const RECORDS: i64 = 200_000;
    // Tens of seconds where resuming wakes nobody, a few where it does.
    const IN_TIME: Duration = Duration::from_secs(15);
    let topic = Topic::new(1).await;
    topic.write(0, 0..RECORDS);
    let source = topic.source();
    let mut read = begin(&source, 0, 0).await;
    let began = Instant::now();
    while read.next() < RECORDS {
        // The channel fills, and the partition is paused.
        tokio::time::sleep(Duration::from_millis(50)).await;
        for _ in 0..2 {
            if read.next() < RECORDS {
                read.one_event().await;
            }
        }
    }
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_left_while_it_was_paused_is_read_when_it_is_assigned_again() {
    const RECORDS: i64 = 30_000;
    let topic = Topic::new(1).await;
    topic.write(0, 0..RECORDS);
    let source = topic.source();
    let held_up = source.assign(partition(0), offset(0)).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    // Full, and long enough for the reader to have gathered what makes it pause.
    while held_up.len() < 2 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(support::QUIET).await;
    begin(&source, 0, 29_000).await.up_to(RECORDS).await;
    drop(held_up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_after_the_end_of_the_log_is_broken_and_says_what_to_do() {
    let topic = Topic::new(2).await;
    topic.write(0, 0..10);
    topic.write(1, 0..10);
    let source = topic.source();
    let mut sound = begin(&source, 1, 0).await;
    let mut beyond = begin(&source, 0, 11).await;
    let reason = beyond.until_broken().await;
    assert!(reason.contains("ends at offset 10"), "{reason}");
    assert!(reason.contains("Check"), "{reason}");
    beyond.end().await;
    sound.up_to(10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_before_the_start_of_the_log_is_broken_and_skips_nothing() {
    if skipped("an_offset_before_the_start_of_the_log_is_broken_and_skips_nothing") {
        return;
    }
    let topic = Topic::new(1).await;
    topic.write(0, 0..10);
    topic.drop_before(0, 4).await;
    let source = topic.source();
    let reason = begin(&source, 0, 3).await.until_broken().await;
    assert!(reason.contains("begins at offset 4"), "{reason}");
    begin(&source, 0, 4).await.up_to(10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_dropped_under_a_slow_reader_break_its_partition_and_no_other() {
    const RECORDS: i64 = 40_000;
    if skipped("records_dropped_under_a_slow_reader_break_its_partition_and_no_other") {
        return;
    }
    let topic = Topic::new(2).await;
    // More than is fetched ahead.
    topic.write_padded(0, 0..RECORDS, 500);
    topic.write(1, 0..100);
    let source = topic.source();
    let mut slow = begin(&source, 0, 0).await;
    let mut other = begin(&source, 1, 0).await;
    slow.one_event().await;
    other.up_to(100).await;
    topic.drop_before(0, RECORDS - 1).await;
    let reason = slow.until_broken().await;
    assert!(reason.contains("records were dropped"), "{reason}");
    assert!(slow.next() < RECORDS - 1);
    slow.end().await;
    topic.write(1, 100..200);
    other.up_to(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_deleted_breaks_its_partitions() {
    if skipped("a_topic_that_is_deleted_breaks_its_partitions") {
        return;
    }
    let topic = Topic::new(1).await;
    topic.write(0, 0..10);
    let source = topic.source();
    let mut read = begin(&source, 0, 0).await;
    read.up_to(10).await;
    admin()
        .delete_topics(&[&topic.name], &AdminOptions::new())
        .await
        .unwrap();
    let reason = read.until_broken().await;
    assert!(reason.contains(&topic.name), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unassigning_ends_the_channel_and_is_nothing_twice() {
    let topic = Topic::new(1).await;
    topic.write(0, 0..10);
    let source = topic.source();
    let mut read = begin(&source, 0, 0).await;
    read.up_to(10).await;
    source.unassign(partition(0)).await.unwrap();
    read.end().await;
    source.unassign(partition(0)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn assigning_again_ends_the_channel_before() {
    let topic = Topic::new(1).await;
    topic.write(0, 0..10);
    let source = topic.source();
    let mut first = begin(&source, 0, 0).await;
    let mut second = begin(&source, 0, 5).await;
    first.end().await;
    second.up_to(10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_dropped_leaves_its_partition_and_disturbs_nobody() {
    let topic = Topic::new(2).await;
    topic.write(0, 0..20_000);
    topic.write(1, 0..10);
    let source = topic.source();
    let mut other = begin(&source, 1, 0).await;
    drop(source.assign(partition(0), offset(0)).await.unwrap());
    other.up_to(10).await;
    topic.write(1, 10..20);
    other.up_to(20).await;
    begin(&source, 0, 0).await.up_to(20_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_the_topic_does_not_have_is_refused_and_disturbs_nobody() {
    let topic = Topic::new(1).await;
    topic.write(0, 0..10);
    let source = topic.source();
    let mut read = begin(&source, 0, 0).await;
    let refused = source.assign(partition(9), offset(0)).await.unwrap_err();
    assert_eq!(refused.partition, partition(9));
    assert!(refused.reason.contains(&topic.name), "{refused}");
    read.up_to(10).await;
    topic.write(0, 10..20);
    read.up_to(20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_is_added_while_the_reader_runs_is_read_at_once() {
    if skipped("a_partition_that_is_added_while_the_reader_runs_is_read_at_once") {
        return;
    }
    let topic = Topic::new(1).await;
    topic.write(0, 0..10);
    let source = topic.source();
    let mut read = begin(&source, 0, 0).await;
    read.up_to(10).await;
    let grown = NewPartitions::new(&topic.name, 3);
    let told = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let grown = admin().create_partitions([&grown], &told).await.unwrap();
    assert!(grown[0].is_ok(), "{grown:?}");
    let mut added = begin(&source, 2, 0).await;
    // A producer of its own: that of the topic has not heard of the partition.
    let late = topic.written_by_another();
    late.write(2, 0..10);
    added.up_to(10).await;
    topic.write(0, 10..20);
    read.up_to(20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_ends_every_channel_and_refuses_later_assignments() {
    let topic = Topic::new(2).await;
    topic.write(0, 0..10);
    let reader = RecordReader::start(&topic.settings()).unwrap();
    let source = KafkaRecordSource::new(reader.clone());
    let mut one = begin(&source, 0, 0).await;
    let mut other = begin(&source, 1, 0).await;
    assert!(reader.stop(PATIENCE).await);
    one.end().await;
    other.end().await;
    assert!(source.assign(partition(0), offset(0)).await.is_err());
    assert!(reader.stop(PATIENCE).await, "stopped already");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_source_ends_its_channels() {
    let topic = Topic::new(1).await;
    topic.write(0, 0..10);
    let source = topic.source();
    let mut read = begin(&source, 0, 0).await;
    drop(source);
    read.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_starts_without_a_broker_and_names_it_within_bounded_time() {
    let reader = RecordReader::start(&settings(NOWHERE, "events")).unwrap();
    let source = KafkaRecordSource::new(reader.clone());
    let before = Instant::now();
    let refused = source.assign(partition(0), offset(0)).await.unwrap_err();
    assert!(refused.reason.contains(NOWHERE), "{refused}");
    assert!(reader.stop(PATIENCE).await);
    assert!(before.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_property_that_is_none_is_refused_with_its_name() {
    let mut settings = settings(&brokers(), "events");
    settings
        .connection
        .properties
        .insert("no.such.property".into(), "1".into());
    let error = RecordReader::start(&settings).unwrap_err();
    assert!(error.to_string().contains("no.such.property"), "{error}");
}
