//! Claims about the group commit, on a log and a topic in memory and in paused time.

mod drain;
mod gathering;
mod history;
mod known;
mod layout;
mod side_by_side;
mod window;

use super::*;
use crate::port::change_log::{AppendOutcome, MockChangeLog};
use crate::port::event_publisher::EventPublisher;
use crate::port::layout_store::StoredLayout;
use crate::testkit::{
    CountingLogIds, EventBuilder, INCARNATION, MemoryChangeLog, MemoryTopic, TableCodec, account,
    stored_layout,
};
use crate::usecase::backlog::MockBacklog;
use crate::usecase::incarnation_lookup::MockIncarnationLookup;
use crate::usecase::layout_lookup::MockLayoutLookup;
use crate::usecase::publish_events::{MockPublishEvents, OrderedPublishing, PublishSettings};
use crate::usecase::vital_tasks::ProcessTasks;
use axs_domain::layout_raise::raise;
use std::sync::Mutex;
use tokio::time::{Instant, sleep};

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
