use super::pace::GATHERING_MAX;
use super::*;
use crate::port::change_log::{AppendError, AppendOutcome, ChangeLogRecord, MockChangeLog};
use crate::port::event_publisher::EventPublisher;
use crate::port::layout_store::StoredLayout;
use crate::port::log_id_generator::MockLogIdGenerator;
use crate::testkit::{
    CountingLogIds, EventBuilder, INCARNATION, MemoryChangeLog, MemoryTopic, TableCodec, account,
    log_id, stored_layout,
};
use crate::usecase::backlog::MockBacklog;
use crate::usecase::incarnation_lookup::MockIncarnationLookup;
use crate::usecase::layout_lookup::MockLayoutLookup;
use crate::usecase::publish_events::{MockPublishEvents, OrderedPublishing, PublishSettings};
use crate::usecase::vital_tasks::{ProcessTasks, VitalTasks};
use axs_domain::layout_raise::raise;
use axs_domain::log_status::LogStatus;
use std::sync::Mutex;
use tokio::time::{Instant, sleep};

mod side_by_side;

const WINDOW: u32 = 8;
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Long enough for every task to come to rest; time is paused, so it costs nothing.
const SETTLED: Duration = Duration::from_secs(5);

fn settings() -> LogSettings {
    LogSettings {
        commit_events_max: 100,
        retry_after: RETRY_AFTER,
    }
}

/// The layout of the testkit as every read gives it, one epoch and two partitions later.
fn layouts() -> Arc<MockLayoutLookup> {
    let mut layouts = MockLayoutLookup::new();
    layouts
        .expect_refreshed()
        .returning(|| Ok(Arc::new(raised_layout())));
    layouts
        .expect_current()
        .returning(|| Ok(Arc::new(raised_layout())));
    Arc::new(layouts)
}

fn incarnations() -> Arc<MockIncarnationLookup> {
    Arc::new(MockIncarnationLookup::new())
}

fn raised_layout() -> StoredLayout {
    let standing = stored_layout();
    StoredLayout {
        layout: raise(&standing.layout, 8, &[]).unwrap(),
        ..standing
    }
}

/// The write side over a log and a topic in memory.
struct Bench {
    log: Arc<MemoryChangeLog>,
    topic: Arc<MemoryTopic>,
    publishing: Arc<OrderedPublishing>,
    codec: Arc<TableCodec>,
    commits: Arc<GroupCommit>,
    /// The incarnations that the lookup was told.
    told: Arc<Mutex<Vec<Incarnation>>>,
}

impl Bench {
    fn new(topic: MemoryTopic, commit_events_max: usize) -> Self {
        Self::with_window(topic, commit_events_max, WINDOW)
    }

    fn with_window(topic: MemoryTopic, commit_events_max: usize, window_events: u32) -> Self {
        let log = Arc::new(MemoryChangeLog::default());
        let topic = Arc::new(topic);
        let publisher: Arc<dyn EventPublisher> = topic.clone();
        let settings = PublishSettings {
            window_events,
            window_wait: Duration::from_millis(500),
            retry_after: RETRY_AFTER,
        };
        let mut backlog = MockBacklog::new();
        backlog.expect_note_published().return_const(());
        let publishing = Arc::new(OrderedPublishing::new(
            publisher,
            log.clone(),
            Arc::new(backlog),
            Arc::new(ProcessTasks::default()),
            settings,
        ));
        let codec = Arc::new(TableCodec::default());
        let told: Arc<Mutex<Vec<Incarnation>>> = Arc::default();
        let (mut incarnations, tell) = (MockIncarnationLookup::new(), Arc::clone(&told));
        incarnations
            .expect_saw()
            .returning(move |incarnation, _| tell.lock().unwrap().push(incarnation));
        let incarnations = Arc::new(incarnations);
        let commits = Arc::new(GroupCommit::new(
            log.clone(),
            publishing.clone(),
            codec.clone(),
            Arc::new(CountingLogIds::default()),
            layouts(),
            incarnations,
            Arc::new(ProcessTasks::default()),
            LogSettings {
                commit_events_max,
                retry_after: RETRY_AFTER,
            },
        ));
        Self {
            log,
            topic,
            publishing,
            codec,
            commits,
            told,
        }
    }

    /// Begins to log deposits under these keys to account 1; each key is its own event.
    fn begin(&self, keys: &[&str], ack: AckLevel) -> tokio::task::JoinHandle<LogResult> {
        let changes = keys.iter().map(|key| change(&self.codec, key)).collect();
        let commits = Arc::clone(&self.commits);
        tokio::spawn(async move { commits.log(changes, ack).await })
    }

    async fn log(&self, keys: &[&str]) -> LogResult {
        self.begin(keys, AckLevel::Logged).await.unwrap()
    }

    /// The keys of the events on the topic, in order.
    fn published(&self) -> Vec<String> {
        let records = self.topic.enqueued().into_iter();
        records
            .map(|record| self.codec.decode_envelope(record.payload).unwrap())
            .map(|envelope| envelope.event.idempotency_key().to_string())
            .collect()
    }

    async fn all_places_are_back(&self) -> bool {
        sleep(SETTLED).await;
        let window = usize::try_from(WINDOW).unwrap();
        self.publishing.reserve(window).await.is_ok()
    }
}

type LogResult = Result<Vec<LogOutcome>, LogError>;

fn change(codec: &TableCodec, key: &str) -> ChangeToLog {
    let event = EventBuilder::new(1, key).build();
    ChangeToLog {
        key: ChangeLogKey {
            shard_id: account(1).shard_id,
            account_id: event.account_id(),
            idempotency_key: event.idempotency_key().clone(),
        },
        fingerprint: Fingerprint::of(&event),
        payload: codec.encode_payload(&event),
        event: Arc::new(event),
        partition: PartitionId::MIN,
        layout_epoch: LayoutEpoch::MIN,
        incarnation: INCARNATION,
        traceparent: Some("00-1-1-01".to_owned()),
    }
}

fn logged_id(outcome: &LogOutcome) -> Option<LogId> {
    match outcome {
        LogOutcome::Logged { log_id, .. } => Some(*log_id),
        LogOutcome::Known { .. } | LogOutcome::Unknown(_) => None,
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_logged_is_published_with_its_log_id_and_the_databases_time() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let outcomes = bench.log(&["a"]).await.unwrap();
    let LogOutcome::Logged {
        log_id, logged_at, ..
    } = outcomes[0]
    else {
        panic!("{outcomes:?}");
    };
    assert!(bench.all_places_are_back().await);
    let record = bench.topic.enqueued().remove(0);
    let envelope = bench.codec.decode_envelope(record.payload).unwrap();
    assert_eq!(envelope.header.log_id, log_id);
    assert_eq!(envelope.header.logged_at, logged_at);
    assert_eq!(envelope.header.traceparent.as_deref(), Some("00-1-1-01"));
    assert_eq!(envelope.event, EventBuilder::new(1, "a").build());
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_during_a_commit_are_gathered_into_the_next_in_order() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.hold();
    let mut requests = vec![bench.begin(&["a"], AckLevel::Logged)];
    sleep(SETTLED).await;
    for keys in [["b", "c"], ["d", "e"]] {
        requests.push(bench.begin(&keys, AckLevel::Logged));
        sleep(SETTLED).await;
    }
    bench.log.let_commit(2);
    for request in requests {
        request.await.unwrap().unwrap();
    }
    sleep(SETTLED).await;
    let ids = |numbers: &[u128]| numbers.iter().map(|n| log_id(*n)).collect::<Vec<_>>();
    assert_eq!(bench.log.commits(), [ids(&[1]), ids(&[2, 3, 4, 5])]);
    assert_eq!(bench.published(), ["a", "b", "c", "d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn who_was_answered_and_sends_again_at_once_comes_into_the_next_commit() {
    let bench = Arc::new(Bench::new(MemoryTopic::delivering(), 100));
    bench.log.hold();
    let mut callers = Vec::new();
    for keys in [["a", "c"], ["b", "d"]] {
        let bench = Arc::clone(&bench);
        callers.push(tokio::spawn(async move {
            for key in keys {
                bench.log(&[key]).await.unwrap();
            }
        }));
        sleep(SETTLED).await;
    }
    bench.log.let_commit(100);
    for caller in callers {
        caller.await.unwrap();
    }
    // The last one waited for the caller that had no more to send, in vain and not for long.
    let sizes: Vec<usize> = bench.log.commits().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 2, 1]);
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn callers_are_waited_for_just_after_a_commit_and_not_long_however_slow_it_was() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.hold();
    let first = bench.begin(&["a"], AckLevel::Logged);
    sleep(SETTLED).await;
    let second = bench.begin(&["b"], AckLevel::Logged);
    sleep(SETTLED).await;
    // Two callers, and a commit of ten seconds: the second waits for the first, but not five.
    bench.log.let_commit(2);
    first.await.unwrap().unwrap();
    let answered = Instant::now();
    second.await.unwrap().unwrap();
    assert_eq!(answered.elapsed(), GATHERING_MAX);
    // Whoever comes long after that commit is not kept waiting at all.
    sleep(SETTLED).await;
    bench.log.let_commit(1);
    let asked = Instant::now();
    bench.log(&["c"]).await.unwrap();
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_commit_holds_no_more_events_than_its_bound_unless_one_request_is_larger() {
    let bench = Bench::new(MemoryTopic::delivering(), 2);
    bench.log.hold();
    let mut requests = vec![bench.begin(&["a"], AckLevel::Logged)];
    sleep(SETTLED).await;
    for keys in [&["b"][..], &["c", "d"], &["e", "f", "g"]] {
        requests.push(bench.begin(keys, AckLevel::Logged));
        sleep(SETTLED).await;
    }
    bench.log.let_commit(100);
    for request in requests {
        request.await.unwrap().unwrap();
    }
    sleep(SETTLED).await;
    let sizes: Vec<usize> = bench.log.commits().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 1, 2, 3]);
    assert_eq!(bench.published(), ["a", "b", "c", "d", "e", "f", "g"]);
}

#[tokio::test(start_paused = true)]
async fn of_copies_in_one_commit_one_is_logged_and_published_and_all_places_come_back() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let outcomes = bench.log(&["a", "a", "b", "a"]).await.unwrap();
    let ids: Vec<Option<LogId>> = outcomes.iter().map(logged_id).collect();
    assert_eq!(ids, [Some(log_id(1)), None, Some(log_id(3)), None]);
    let again = bench.log(&["b"]).await.unwrap();
    let [LogOutcome::Known { record, .. }] = &again[..] else {
        panic!("{again:?}");
    };
    assert_eq!((record.log_id, record.status), (log_id(3), LogStatus::Init));
    assert!(bench.all_places_are_back().await);
    assert_eq!(bench.published(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_fails_one_commit_and_publishes_nothing_of_it() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.set_away(true);
    let failed = bench.log(&["a", "b"]).await;
    assert!(matches!(failed, Err(LogError::Unavailable(_))));
    assert!(bench.all_places_are_back().await);
    assert!(bench.published().is_empty());
    bench.log.set_away(false);
    bench.log(&["c"]).await.unwrap();
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["c"]);
}

/// The answer to a commit was lost: the row is there, the client was told nothing, and nobody
/// published it. Sent again, as a client must, it may not be overtaken by what follows.
#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_published_is_published_before_what_follows_its_second_try() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let lost = change(&bench.codec, "lost");
    bench.log.put(init_row(&lost, log_id(77)));
    let known = bench.log(&["lost"]).await.unwrap();
    assert!(
        matches!(&known[..], [LogOutcome::Known { record, publication: None }] if record.log_id == log_id(77))
    );
    bench.log(&["next"]).await.unwrap();
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["lost", "next"]);
    let first = bench.topic.enqueued().swap_remove(0);
    let header = bench.codec.decode_envelope(first.payload).unwrap().header;
    assert_eq!(header.log_id, log_id(77), "under its first log id");
    assert!(bench.all_places_are_back().await);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_publishes_again_can_be_waited_for_like_a_first_try() {
    let bench = Bench::new(MemoryTopic::holding(10), 100);
    let lost = change(&bench.codec, "lost");
    bench.log.put(init_row(&lost, log_id(77)));
    let known = bench.begin(&["lost"], AckLevel::Published).await.unwrap();
    let [LogOutcome::Known { publication, .. }] = &mut known.unwrap()[..] else {
        panic!("it was known");
    };
    let waits = publication
        .take()
        .unwrap()
        .wait_until(Instant::now() + SETTLED);
    let delivered = async {
        sleep(SETTLED / 2).await;
        bench.topic.deliver(1);
    };
    assert!(tokio::join!(waits, delivered).0);
}

#[tokio::test(start_paused = true)]
async fn a_known_event_that_was_published_or_decided_is_not_published_again() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let mut noted = init_row(&change(&bench.codec, "noted"), log_id(1));
    noted.position = Some((PartitionId::MIN, axs_domain::id::Offset::MIN));
    let mut decided = init_row(&change(&bench.codec, "decided"), log_id(2));
    decided.status = LogStatus::Applied;
    let mut other = init_row(&change(&bench.codec, "other"), log_id(3));
    other.fingerprint = Fingerprint::of(&EventBuilder::new(2, "other").build());
    for row in [noted, decided, other] {
        bench.log.put(row);
    }
    bench.log(&["noted", "decided", "other"]).await.unwrap();
    assert!(bench.all_places_are_back().await);
    assert_eq!(bench.published(), [""; 0]);
}

fn init_row(change: &ChangeToLog, log_id: LogId) -> ChangeLogRecord {
    ChangeLogRecord {
        log_id,
        key: change.key.clone(),
        fingerprint: change.fingerprint,
        payload: change.payload.clone(),
        status: LogStatus::Init,
        reason: None,
        logged_at: Timestamp::from_unix_micros(1),
        decided_at: None,
        position: None,
        entries: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn one_row_that_can_not_be_read_is_unknown_and_no_neighbour_is() {
    let mut log = MockChangeLog::new();
    log.expect_append().return_once(|rows, _| {
        assert_eq!(rows.len(), 3);
        let logged_at = Timestamp::from_unix_micros(1);
        Ok(vec![
            AppendOutcome::Logged { logged_at },
            AppendOutcome::Unreadable("of a newer version".to_owned()),
            AppendOutcome::Logged { logged_at },
        ])
    });
    log.expect_note_positions().returning(|_| Ok(0));
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let commits = GroupCommit::new(
        Arc::new(log),
        bench.publishing.clone(),
        bench.codec.clone(),
        Arc::new(CountingLogIds::default()),
        layouts(),
        incarnations(),
        Arc::new(ProcessTasks::default()),
        settings(),
    );
    let of = |keys: &[&str]| keys.iter().map(|key| change(&bench.codec, key)).collect();
    let (with_it, neighbour) = tokio::join!(
        commits.log(of(&["sound", "unreadable"]), AckLevel::Logged),
        commits.log(of(&["neighbour"]), AckLevel::Logged),
    );
    assert!(matches!(
        &with_it.unwrap()[..],
        [LogOutcome::Logged { .. }, LogOutcome::Unknown(why)] if why.contains("newer version")
    ));
    assert!(matches!(
        &neighbour.unwrap()[..],
        [LogOutcome::Logged { .. }]
    ));
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["sound", "neighbour"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_client_goes_away_is_logged_and_published_all_the_same() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.hold();
    let request = bench.begin(&["a", "b"], AckLevel::Published);
    sleep(SETTLED).await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    bench.log.let_commit(1);
    assert!(bench.all_places_are_back().await);
    assert_eq!(bench.published(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_while_it_waits_for_places_leaves_nothing_behind() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let held = bench.publishing.reserve(8).await.unwrap();
    let request = bench.begin(&["a"], AckLevel::Logged);
    tokio::task::yield_now().await;
    request.abort();
    drop(held);
    assert!(bench.all_places_are_back().await);
    assert!(bench.log.commits().is_empty());
}

#[tokio::test(start_paused = true)]
async fn while_the_broker_is_away_events_are_logged_up_to_the_window_and_then_refused() {
    let bench = Bench::new(MemoryTopic::holding(2), 100);
    bench.log(&["a", "b", "c", "d"]).await.unwrap();
    bench.log(&["e", "f", "g", "h"]).await.unwrap();
    let refused = bench.log(&["i"]).await.unwrap_err();
    let LogError::BacklogFull {
        retry_after,
        reason,
    } = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(retry_after, RETRY_AFTER);
    assert!(reason.contains("8 of 8"), "{reason}");
    assert_eq!(bench.log.commits().concat().len(), 8);
    // The broker comes back: everything is published in order and the backlog is gone.
    for _ in 0..4 {
        bench.topic.deliver(2);
        sleep(SETTLED).await;
    }
    assert!(bench.all_places_are_back().await);
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    assert_eq!(bench.published(), keys);
}

#[tokio::test(start_paused = true)]
async fn while_publishing_is_renewed_events_are_logged_up_to_the_window_and_published_after_it() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.topic.refuse_renewals(usize::MAX);
    bench.topic.fail("fatal");
    let mut logged = Vec::new();
    let refused = loop {
        let key = format!("k{}", logged.len());
        match bench.log(&[&key]).await {
            Ok(_) => logged.push(key),
            Err(refused) => break refused,
        }
    };
    assert!(
        matches!(refused, LogError::BacklogFull { .. }),
        "{refused:?}"
    );
    assert_eq!(logged.len(), usize::try_from(WINDOW).unwrap());
    assert_eq!(bench.log.commits().concat().len(), logged.len());
    bench.topic.refuse_renewals(0);
    sleep(SETTLED * 2).await;
    assert!(bench.all_places_are_back().await);
    assert_eq!(bench.published(), logged);
}

#[tokio::test(start_paused = true)]
async fn only_who_waits_for_the_topic_gets_a_publication() {
    let bench = Bench::new(MemoryTopic::holding(100), 100);
    let logged = bench.log(&["a"]).await.unwrap();
    assert!(matches!(
        logged[0],
        LogOutcome::Logged {
            publication: None,
            ..
        }
    ));
    let waiting = bench.begin(&["b"], AckLevel::Published).await.unwrap();
    let Some(LogOutcome::Logged {
        publication: Some(publication),
        ..
    }) = waiting.unwrap().pop()
    else {
        panic!("an event that is waited for has a publication");
    };
    bench.topic.deliver(2);
    assert!(publication.wait_until(Instant::now() + SETTLED).await);
}

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_was_taken_and_takes_nothing_more() {
    let bench = Bench::new(MemoryTopic::delivering(), 1);
    bench.log.hold();
    let requests = [
        bench.begin(&["a"], AckLevel::Logged),
        bench.begin(&["b"], AckLevel::Logged),
    ];
    sleep(SETTLED).await;
    let commits = Arc::clone(&bench.commits);
    let drain = tokio::spawn(async move { commits.drain(SETTLED).await });
    sleep(Duration::from_secs(1)).await;
    let late = bench.log(&["c"]).await;
    assert!(matches!(late, Err(LogError::Unavailable(_))));
    bench.log.let_commit(2);
    assert!(drain.await.unwrap());
    for request in requests {
        assert!(request.await.unwrap().is_ok());
    }
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_its_deadline_when_the_database_hangs() {
    let bench = Bench::new(MemoryTopic::delivering(), 1);
    bench.log.hold();
    let _request = bench.begin(&["a"], AckLevel::Logged);
    sleep(SETTLED).await;
    let began = Instant::now();
    assert!(!bench.commits.drain(Duration::from_secs(1)).await);
    assert_eq!(began.elapsed(), Duration::from_secs(1));
}

/// A group commit over mocks that publishes nothing.
fn over(change_log: MockChangeLog) -> (GroupCommit, Arc<TableCodec>) {
    let mut publishing = MockPublishEvents::new();
    publishing
        .expect_reserve()
        .returning(|events| Ok(places(events)));
    publishing.expect_publish().never();
    let codec = Arc::new(TableCodec::default());
    let commits = GroupCommit::new(
        Arc::new(change_log),
        Arc::new(publishing),
        codec.clone(),
        Arc::new(CountingLogIds::default()),
        layouts(),
        incarnations(),
        Arc::new(ProcessTasks::default()),
        settings(),
    );
    (commits, codec)
}

fn places(events: usize) -> WindowPlaces {
    WindowPlaces::detached(u32::try_from(events).unwrap()).unwrap()
}

#[tokio::test]
async fn an_adapter_that_panics_fails_one_commit_and_not_the_write_side() {
    let mut change_log = MockChangeLog::new();
    change_log
        .expect_append()
        .times(2)
        .returning(|_, _| panic!("a bug"));
    let (commits, codec) = over(change_log);
    for key in ["a", "b"] {
        let failed = commits.log(vec![change(&codec, key)], AckLevel::Logged);
        assert!(matches!(failed.await, Err(LogError::Unavailable(_))));
    }
}

#[tokio::test]
async fn outcomes_that_are_not_one_for_each_row_are_never_given_to_the_wrong_event() {
    let mut change_log = MockChangeLog::new();
    change_log.expect_append().returning(|_, _| {
        Ok(vec![AppendOutcome::Logged {
            logged_at: Timestamp::from_unix_micros(1),
        }])
    });
    let (commits, codec) = over(change_log);
    let changes = vec![change(&codec, "a"), change(&codec, "b")];
    let failed = commits.log(changes, AckLevel::Logged).await;
    assert!(matches!(failed, Err(LogError::Unavailable(_))));
}

#[tokio::test]
async fn nothing_to_log_asks_nobody() {
    let mut change_log = MockChangeLog::new();
    change_log.expect_append().never();
    let (commits, _) = over(change_log);
    let outcomes = commits.log(Vec::new(), AckLevel::Logged).await.unwrap();
    assert!(outcomes.is_empty());
}

#[tokio::test]
async fn events_are_handed_to_publishing_before_their_request_is_answered() {
    let seen: Arc<Mutex<Vec<&str>>> = Arc::default();
    let mut publishing = MockPublishEvents::new();
    publishing
        .expect_reserve()
        .returning(|events| Ok(places(events)));
    let handed = Arc::clone(&seen);
    publishing
        .expect_publish()
        .times(1)
        .returning(move |_| handed.lock().unwrap().push("handed over"));
    let codec = Arc::new(TableCodec::default());
    let commits = GroupCommit::new(
        Arc::new(MemoryChangeLog::default()),
        Arc::new(publishing),
        codec.clone(),
        Arc::new(CountingLogIds::default()),
        layouts(),
        incarnations(),
        Arc::new(ProcessTasks::default()),
        settings(),
    );
    let request = commits.log(vec![change(&codec, "a")], AckLevel::Logged);
    request.await.unwrap();
    seen.lock().unwrap().push("answered");
    assert_eq!(*seen.lock().unwrap(), ["handed over", "answered"]);
}

#[tokio::test(start_paused = true)]
async fn while_the_layout_is_changed_requests_are_refused_with_a_delay_and_nothing_is_logged() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.set_paused(true);
    let refused = bench.log(&["a"]).await;
    assert!(matches!(refused, Err(LogError::Paused { retry_after }) if retry_after == RETRY_AFTER));
    assert!(bench.log.commits().is_empty() && bench.published().is_empty());
    assert!(bench.all_places_are_back().await);
    bench.log.set_paused(false);
    bench.log(&["a"]).await.unwrap();
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn events_placed_by_an_older_layout_are_placed_anew_and_keep_their_order() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.set_epoch(LayoutEpoch::MIN.next().unwrap());
    bench.log(&["a", "b"]).await.unwrap();
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["a", "b"]);
    let raised = raised_layout().layout;
    let home = raised.partition_of(account(1).shard_id).unwrap();
    for record in bench.topic.enqueued() {
        assert_eq!(record.partition, home);
        let header = bench.codec.decode_envelope(record.payload).unwrap().header;
        assert_eq!(header.layout_epoch, raised.epoch());
    }
}

#[tokio::test(start_paused = true)]
async fn events_placed_by_two_layouts_are_written_under_one() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.set_epoch(raised_layout().layout.epoch());
    let mut changes = vec![change(&bench.codec, "a"), change(&bench.codec, "b")];
    changes[1].layout_epoch = raised_layout().layout.epoch();
    bench.commits.log(changes, AckLevel::Logged).await.unwrap();
    assert_eq!(bench.log.commits().len(), 1, "no try was in vain");
}

const OTHER: Incarnation = Incarnation::new(2);

#[tokio::test(start_paused = true)]
async fn in_another_history_nothing_is_logged_and_whoever_looks_up_is_told() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.set_incarnation(OTHER);
    let refused = bench.log(&["a", "b"]).await;
    assert_eq!(refused.unwrap_err(), LogError::HistoryMoved);
    assert_eq!(*bench.told.lock().unwrap(), [OTHER]);
    assert!(bench.log.commits().is_empty());
    assert!(bench.all_places_are_back().await);
    assert!(bench.published().is_empty());
}

/// Requests of both wait while a commit is under way.
#[tokio::test(start_paused = true)]
async fn a_commit_holds_events_of_one_history_and_the_others_come_with_the_next() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.hold();
    let first = bench.begin(&["first"], AckLevel::Logged);
    sleep(SETTLED).await;
    let old = bench.begin(&["old"], AckLevel::Logged);
    sleep(SETTLED).await;
    let newer = ChangeToLog {
        incarnation: OTHER,
        ..change(&bench.codec, "newer")
    };
    let commits = Arc::clone(&bench.commits);
    let newer = tokio::spawn(async move { commits.log(vec![newer], AckLevel::Logged).await });
    sleep(SETTLED).await;
    bench.log.let_commit(1);
    first.await.unwrap().unwrap();
    bench.log.set_incarnation(OTHER);
    bench.log.let_commit(2);
    assert_eq!(old.await.unwrap().unwrap_err(), LogError::HistoryMoved);
    newer.await.unwrap().unwrap();
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["first", "newer"]);
}

#[tokio::test]
async fn a_layout_that_moves_again_and_again_is_given_up_without_logging() {
    let mut change_log = MockChangeLog::new();
    change_log
        .expect_append()
        .times(1..10)
        .returning(|_, placed_by| {
            Err(AppendError::LayoutMoved {
                current: placed_by.layout_epoch.next().unwrap(),
            })
        });
    let (commits, codec) = over(change_log);
    let refused = commits
        .log(vec![change(&codec, "a")], AckLevel::Logged)
        .await;
    assert!(matches!(refused, Err(LogError::Paused { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_panics_is_told_as_a_death_and_nobody_waits_for_it() {
    let mut log_ids = MockLogIdGenerator::new();
    log_ids.expect_next_id().returning(|| panic!("a bug"));
    let tasks = Arc::new(ProcessTasks::default());
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let commits = GroupCommit::new(
        bench.log.clone(),
        bench.publishing.clone(),
        bench.codec.clone(),
        Arc::new(log_ids),
        layouts(),
        incarnations(),
        tasks.clone(),
        settings(),
    );
    for key in ["a", "b"] {
        let logged = commits
            .log(vec![change(&bench.codec, key)], AckLevel::Logged)
            .await;
        assert!(matches!(logged, Err(LogError::Unavailable(_))));
    }
    let death = tasks.until_death().await;
    assert_eq!(death.task, "group commit");
    assert!(death.reason.contains("a bug"), "{death}");
    assert!(bench.all_places_are_back().await);
    assert!(commits.drain(SETTLED).await, "nothing is left to wait for");
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_no_death() {
    let tasks = Arc::new(ProcessTasks::default());
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let commits = GroupCommit::new(
        bench.log.clone(),
        bench.publishing.clone(),
        bench.codec.clone(),
        Arc::new(CountingLogIds::default()),
        layouts(),
        incarnations(),
        tasks.clone(),
        settings(),
    );
    let request = commits.log(vec![change(&bench.codec, "a")], AckLevel::Logged);
    request.await.unwrap();
    assert!(commits.drain(SETTLED).await);
    assert_eq!(tasks.first_death(), None);
}
