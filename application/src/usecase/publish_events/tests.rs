use super::position_notes::{POSITIONS_WAITING_MAX, RIPE_AFTER};
use super::*;
use crate::port::change_log::MockChangeLog;
use crate::port::event_publisher::{MockEventPublisher, OutboundRecord};
use crate::testkit::{MemoryTopic, account, account_id, away};
use crate::usecase::backlog::MockBacklog;
use crate::usecase::vital_tasks::{ProcessTasks, VitalTasks};
use axs_domain::id::PartitionId;
use axs_domain::text::IdempotencyKey;
use bytes::Bytes;
use std::sync::Mutex;
use tokio::time::sleep;

const WINDOW: u32 = 4;
const WAIT: Duration = Duration::from_millis(500);
/// Long enough for every task to come to rest; time is paused, so it costs nothing.
pub(super) const SETTLED: Duration = Duration::from_secs(5);

fn settings() -> PublishSettings {
    PublishSettings {
        window_events: WINDOW,
        window_wait: WAIT,
        retry_after: Duration::from_secs(2),
    }
}

pub(super) fn publishing(topic: &Arc<MemoryTopic>, change_log: MockChangeLog) -> OrderedPublishing {
    OrderedPublishing::new(
        topic.clone(),
        Arc::new(change_log),
        Arc::new(no_backlog()),
        Arc::new(ProcessTasks::default()),
        settings(),
    )
}

fn no_backlog() -> MockBacklog {
    let mut backlog = MockBacklog::new();
    backlog.expect_note_published().return_const(());
    backlog
}

/// A log that takes every note.
pub(super) fn noting() -> MockChangeLog {
    let mut log = MockChangeLog::new();
    log.expect_note_positions()
        .returning(|noted| Ok(noted.len() as u64));
    log
}

pub(super) fn event(number: i64, place: WindowPlace) -> EventToPublish {
    EventToPublish {
        record: OutboundRecord {
            partition: PartitionId::MIN,
            account_id: account_id(number),
            payload: Bytes::from(number.to_string()),
        },
        key: ChangeLogKey {
            shard_id: account(number).shard_id,
            account_id: account_id(number),
            idempotency_key: IdempotencyKey::parse("k").unwrap(),
        },
        place,
        waiter: None,
    }
}

pub(super) async fn events(publishing: &OrderedPublishing, numbers: &[i64]) -> Vec<EventToPublish> {
    let mut places = publishing.reserve(numbers.len()).await.unwrap();
    let numbers = numbers.iter();
    numbers
        .map(|n| event(*n, places.split_one().unwrap()))
        .collect()
}

pub(super) fn numbers(topic: &MemoryTopic) -> Vec<i64> {
    let records = topic.enqueued().into_iter();
    records.map(|record| record.account_id.value()).collect()
}

/// The window is whole again exactly when all of its places can be had at once.
pub(super) async fn all_places_are_back(publishing: &OrderedPublishing) -> bool {
    sleep(SETTLED).await;
    publishing.window().used() == 0
}

#[tokio::test(start_paused = true)]
async fn events_are_enqueued_in_the_order_of_the_calls_and_of_their_lists() {
    let topic = Arc::new(MemoryTopic::delivering());
    let publishing = publishing(&topic, noting());
    for calls in [[1, 2], [3, 4], [5, 6]] {
        publishing.publish(events(&publishing, &calls).await);
    }
    assert!(all_places_are_back(&publishing).await);
    assert_eq!(numbers(&topic), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_place_comes_back_at_the_delivery_report_and_not_before() {
    let topic = Arc::new(MemoryTopic::holding(100));
    let publishing = publishing(&topic, noting());
    publishing.publish(events(&publishing, &[1, 2, 3, 4]).await);
    sleep(SETTLED).await;
    assert_eq!(topic.enqueued().len(), 4);
    assert_eq!(publishing.window().used(), 4);
    topic.deliver(1);
    sleep(SETTLED).await;
    assert_eq!(publishing.window().used(), 3);
    topic.deliver(3);
    assert!(all_places_are_back(&publishing).await);
}

#[tokio::test(start_paused = true)]
async fn what_the_producer_could_not_send_yet_waits_and_goes_together_and_holds_up_no_other_partition()
 {
    let topic = Arc::new(MemoryTopic::holding(100));
    let publishing = OrderedPublishing::new(
        topic.clone(),
        Arc::new(noting()),
        Arc::new(no_backlog()),
        Arc::new(ProcessTasks::default()),
        PublishSettings {
            window_events: 100,
            ..settings()
        },
    );
    // Fewer than the bound hold nothing up; once there are as many, the next ones wait.
    for calls in [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10, 11, 12],
        [13, 14, 15, 16],
    ] {
        publishing.publish(events(&publishing, &calls).await);
        sleep(SETTLED).await;
    }
    assert_eq!(numbers(&topic), (1..=8).collect::<Vec<_>>());
    let mut elsewhere = events(&publishing, &[17]).await;
    elsewhere[0].record.partition = PartitionId::try_new(1).unwrap();
    publishing.publish(elsewhere);
    sleep(SETTLED).await;
    assert_eq!(numbers(&topic).last(), Some(&17));
    topic.deliver(3);
    sleep(SETTLED).await;
    assert_eq!(topic.enqueued().len(), 9, "five are still not reported");
    topic.deliver(1);
    sleep(SETTLED).await;
    assert_eq!(numbers(&topic)[9..], (9..=16).collect::<Vec<_>>());
    topic.deliver(topic.waiting());
    assert!(all_places_are_back(&publishing).await);
}

#[tokio::test(start_paused = true)]
async fn a_full_window_refuses_after_a_bounded_wait_with_its_figures() {
    let topic = Arc::new(MemoryTopic::holding(100));
    let publishing = publishing(&topic, noting());
    let _held = publishing.reserve(3).await.unwrap();
    let asked = Instant::now();
    let refused = publishing.reserve(2).await.unwrap_err();
    assert_eq!(asked.elapsed(), WAIT);
    assert_eq!(
        refused,
        ReserveError::Full {
            used: 3,
            size: 4,
            retry_after: Duration::from_secs(2)
        }
    );
    // What the refused request had begun to gather is free again.
    assert!(publishing.reserve(1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn more_events_than_the_window_has_places_are_refused_without_waiting() {
    let topic = Arc::new(MemoryTopic::delivering());
    let publishing = publishing(&topic, noting());
    let asked = Instant::now();
    assert!(publishing.reserve(5).await.is_err());
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert!(publishing.reserve(4).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_finds_the_queue_full_is_enqueued_before_any_later_one() {
    let topic = Arc::new(MemoryTopic::holding(1));
    let publishing = publishing(&topic, noting());
    publishing.publish(events(&publishing, &[1, 2, 3]).await);
    sleep(SETTLED).await;
    assert_eq!(numbers(&topic), [1]);
    assert!(topic.tries() > 2, "the same record is tried again");
    topic.deliver(1);
    sleep(SETTLED).await;
    assert_eq!(numbers(&topic), [1, 2]);
    topic.deliver(1);
    sleep(SETTLED).await;
    topic.deliver(1);
    assert!(all_places_are_back(&publishing).await);
    assert_eq!(numbers(&topic), [1, 2, 3]);
    assert_eq!(publishing.health(), PublishHealth::Publishing);
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_panics_does_not_leave_a_process_that_looks_well() {
    let mut producer = MockEventPublisher::new();
    producer.expect_enqueue().returning(|_| panic!("a bug"));
    let tasks = Arc::new(ProcessTasks::default());
    let publishing = OrderedPublishing::new(
        Arc::new(producer),
        Arc::new(noting()),
        Arc::new(no_backlog()),
        tasks.clone(),
        settings(),
    );
    publishing.publish(events(&publishing, &[1]).await);
    assert!(all_places_are_back(&publishing).await);
    assert_eq!(tasks.first_death().unwrap().task, "publishing");
    assert!(matches!(publishing.health(), PublishHealth::Broken(_)));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_told_of_the_delivery_and_never_of_less() {
    let topic = Arc::new(MemoryTopic::holding(1));
    let publishing = publishing(&topic, noting());
    let mut waiting = Vec::new();
    let mut published = events(&publishing, &[1, 2]).await;
    for event in &mut published {
        let (waiter, publication) = Publication::pending();
        event.waiter = Some(waiter);
        waiting.push(publication);
    }
    publishing.publish(published);
    sleep(SETTLED).await;
    topic.deliver(1);
    let second = waiting.pop().unwrap().wait_until(Instant::now() + SETTLED);
    let first = waiting.pop().unwrap().wait_until(Instant::now() + SETTLED);
    assert_eq!(tokio::join!(first, second), (true, false));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_topic_ends_with_its_deadline() {
    let (_waiter, publication) = Publication::pending();
    let asked = Instant::now();
    assert!(!publication.wait_until(asked + WAIT).await);
    assert_eq!(asked.elapsed(), WAIT);
}

#[tokio::test(start_paused = true)]
async fn positions_are_gathered_and_noted_with_their_offsets() {
    let topic = Arc::new(MemoryTopic::delivering());
    type Note = Vec<(i64, i64)>;
    let noted: Arc<Mutex<Vec<Note>>> = Arc::default();
    let notes = Arc::clone(&noted);
    let mut log = MockChangeLog::new();
    log.expect_note_positions().returning(move |positions| {
        let positions = positions.iter();
        let positions = positions.map(|p| (p.key.account_id.value(), p.offset.value()));
        notes.lock().unwrap().push(positions.collect());
        Ok(1)
    });
    let publishing = publishing(&topic, log);
    for number in 1..=45 {
        publishing.publish(events(&publishing, &[number]).await);
        sleep(RIPE_AFTER / 50).await;
    }
    assert!(noted.lock().unwrap().is_empty(), "none of them is ripe");
    // Events keep coming: what is ripe does not wait for them.
    for number in 46..=80 {
        publishing.publish(events(&publishing, &[number]).await);
        sleep(RIPE_AFTER / 50).await;
    }
    let so_far = noted.lock().unwrap().concat();
    assert!((20..=35).contains(&so_far.len()), "{so_far:?}");
    assert!(all_places_are_back(&publishing).await);
    assert!(publishing.drain(SETTLED).await);
    let noted = noted.lock().unwrap().clone();
    let expected: Vec<(i64, i64)> = (1..=80).map(|n| (n, n - 1)).collect();
    assert_eq!(noted.concat(), expected);
    assert!(noted.len() < 40, "gathered: {noted:?}");
}

#[tokio::test(start_paused = true)]
async fn positions_that_can_not_be_noted_disturb_nothing() {
    let topic = Arc::new(MemoryTopic::delivering());
    let mut log = MockChangeLog::new();
    log.expect_note_positions()
        .times(2)
        .returning(|_| Err(away()));
    let publishing = publishing(&topic, log);
    for number in [1, 2] {
        publishing.publish(events(&publishing, &[number]).await);
        assert!(all_places_are_back(&publishing).await);
    }
    assert_eq!(publishing.health(), PublishHealth::Publishing);
}

#[tokio::test(start_paused = true)]
async fn positions_beyond_the_bound_are_dropped_and_nobody_waits() {
    let log = MockChangeLog::new();
    let (notes, sink) = PositionNotes::new(Arc::new(log), CancellationToken::new());
    let places = WindowPlaces::detached(1).unwrap().split_one().unwrap();
    let key = event(1, places).key;
    for _ in 0..POSITIONS_WAITING_MAX + 10 {
        sink.put(crate::port::change_log::PublishedPosition {
            key: key.clone(),
            partition: PartitionId::MIN,
            offset: axs_domain::id::Offset::MIN,
        });
    }
    assert_eq!(notes.waiting(), POSITIONS_WAITING_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_every_delivery_and_notes_the_positions() {
    let topic = Arc::new(MemoryTopic::holding(1));
    let mut log = MockChangeLog::new();
    let noted: Arc<Mutex<usize>> = Arc::default();
    let counted = Arc::clone(&noted);
    log.expect_note_positions().returning(move |positions| {
        *counted.lock().unwrap() += positions.len();
        Ok(1)
    });
    let publishing = publishing(&topic, log);
    publishing.publish(events(&publishing, &[1, 2, 3]).await);
    let broker = async {
        for _ in 0..3 {
            sleep(Duration::from_millis(100)).await;
            topic.deliver(1);
        }
    };
    let (drained, ()) = tokio::join!(publishing.drain(SETTLED), broker);
    assert!(drained);
    assert_eq!(numbers(&topic), [1, 2, 3]);
    assert_eq!(*noted.lock().unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_its_deadline_when_the_broker_is_away() {
    let topic = Arc::new(MemoryTopic::holding(1));
    let publishing = publishing(&topic, noting());
    publishing.publish(events(&publishing, &[1, 2]).await);
    let began = Instant::now();
    assert!(!publishing.drain(WAIT).await);
    assert_eq!(began.elapsed(), WAIT);
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_drain_is_left_to_the_relay() {
    let topic = Arc::new(MemoryTopic::delivering());
    let publishing = publishing(&topic, noting());
    let late = events(&publishing, &[2]).await;
    publishing.publish(events(&publishing, &[1]).await);
    assert!(publishing.drain(SETTLED).await);
    publishing.publish(late);
    assert!(all_places_are_back(&publishing).await);
    assert_eq!(numbers(&topic), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_publishing_that_was_never_used_drains_at_once() {
    let topic = Arc::new(MemoryTopic::delivering());
    let publishing = publishing(&topic, MockChangeLog::new());
    assert!(publishing.drain(WAIT).await);
}
