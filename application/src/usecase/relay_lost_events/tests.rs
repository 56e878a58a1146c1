//! Claims about the relay.

mod parts;

use super::low_water::TERM_MARGIN;
use super::*;
use crate::port::change_log::ChangeLogKey;
use crate::port::event_publisher::Delivery;
use crate::port::event_topic::{LogBounds, MockEventTopic};
use crate::port::record_reader::MockRecordReader;
use crate::port::record_source::InboundRecord;
use crate::port::relay_source::MockRelaySource;
use crate::testkit::{EventBuilder, INCARNATION, TableCodec, account, log_id, stored_layout};
use crate::usecase::process_partition::fakes::{
    FakeStore, Row, TokioClock, let_others_run, offset, owner, until,
};
use axs_domain::fencing::{Claim, Fence};
use axs_domain::id::{FencingToken, Offset};
use axs_domain::lease::{HeldLease, LeaseTimes};
use axs_domain::log_status::LogStatus;
use axs_domain::time::Timestamp;
use bytes::Bytes;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

type Report = tokio::sync::oneshot::Sender<Result<Option<Offset>, PublishError>>;

fn settings() -> RelaySettings {
    RelaySettings {
        every: Duration::from_secs(5),
        grace: Duration::from_secs(10),
        rows_max: 1_000,
    }
}

/// A producer that notes what it is given.
#[derive(Debug, Default)]
struct Producer {
    records: Mutex<Vec<OutboundRecord>>,
    room: Mutex<Option<usize>>,
    silent: AtomicBool,
    waiting: Mutex<Vec<Report>>,
    /// Records, by their number, whose delivery fails; what follows them is delivered none the
    /// less.
    failing: Mutex<Vec<usize>>,
}

#[async_trait::async_trait]
impl EventPublisher for Producer {
    fn enqueue(&self, record: OutboundRecord) -> Result<Delivery, PublishError> {
        if let Some(room) = self.room.lock().unwrap().as_mut() {
            if *room == 0 {
                *room = 1;
                return Err(PublishError::QueueFull);
            }
            *room -= 1;
        }
        let number = {
            let mut records = self.records.lock().unwrap();
            records.push(record);
            records.len()
        };
        let (report, delivery) = Delivery::pending();
        if self.failing.lock().unwrap().contains(&number) {
            let refused = Err(PublishError::Failed("too large".to_owned()));
            report.send(refused).unwrap();
        } else if self.silent.load(Ordering::SeqCst) {
            self.waiting.lock().unwrap().push(report);
        } else {
            report.send(Ok(Some(offset(0)))).unwrap();
        }
        Ok(delivery)
    }

    async fn renew(&self) -> Result<(), PublishError> {
        Ok(())
    }

    async fn flush(&self, _timeout: Duration) -> bool {
        true
    }
}

struct Bench {
    store: Arc<FakeStore>,
    codec: Arc<TableCodec>,
    producer: Arc<Producer>,
    progress: Arc<Progress>,
    lease: Arc<LeaseWatch>,
    /// Whether the reader still finds a record.
    left: Arc<AtomicBool>,
}

fn resident() -> i64 {
    residents().next().unwrap()
}

/// Accounts of the partition.
fn residents() -> impl Iterator<Item = i64> {
    let layout = stored_layout().layout;
    (1..).filter(move |id| layout.partition_of(account(*id).shard_id) == Some(PartitionId::MIN))
}

fn claim() -> Claim {
    Claim {
        token: FencingToken::MIN.next().unwrap(),
        owner: owner(1),
        incarnation: INCARNATION,
    }
}

fn bench(log_end: i64, stored: i64) -> (Bench, LostEventRelay) {
    let store = Arc::new(FakeStore::new(Fence {
        token: claim().token,
        owner: Some(claim().owner),
        incarnation: claim().incarnation,
    }));
    let left = Arc::new(AtomicBool::new(true));
    let mut reader = MockRecordReader::new();
    let any = left.clone();
    reader.expect_read().returning(move |_, from, _, _| {
        let record = InboundRecord {
            offset: from,
            key: Bytes::new(),
            payload: Bytes::new(),
        };
        Ok(Vec::from_iter(any.load(Ordering::SeqCst).then_some(record)))
    });
    let codec = Arc::new(TableCodec::default());
    let producer = Arc::new(Producer::default());
    let clock = Arc::new(TokioClock::new());
    let times = LeaseTimes::try_new(Duration::from_secs(300)).unwrap();
    let lease = Arc::new(LeaseWatch::new(HeldLease::granted(
        times,
        clock.monotonic(),
    )));
    let progress = Arc::new(Progress::new(offset(stored)));
    let mut topic = MockEventTopic::new();
    topic.expect_bounds().returning(move |_| {
        Ok(LogBounds {
            start: Offset::MIN,
            end: offset(log_end),
        })
    });
    let ports = RelayPorts {
        source: store.clone(),
        topic: Arc::new(topic),
        reader: Arc::new(reader),
        publisher: producer.clone(),
        codec: codec.clone(),
        clock,
        settings: settings(),
    };
    let layout = Arc::new(stored_layout().layout);
    let term = RelayTerm {
        partition: PartitionId::MIN,
        claim: claim(),
        layout,
        lease: lease.clone(),
        progress: progress.clone(),
    };
    let relay = LostEventRelay::new(ports, term);
    let bench = Bench {
        store,
        codec,
        producer,
        progress,
        lease,
        left,
    };
    (bench, relay)
}

impl Bench {
    /// A log row, INIT, written at this time.
    fn log(&self, key: &str, logged_at: i64) -> ChangeLogKey {
        self.log_of(resident(), key, logged_at)
    }

    fn log_of(&self, account_id: i64, key: &str, logged_at: i64) -> ChangeLogKey {
        let event = EventBuilder::new(account_id, key).build();
        let payload = self.codec.encode_payload(&event);
        let row = Row {
            log_id: log_id(u128::try_from(1_000 - logged_at).unwrap()),
            fingerprint: Fingerprint::of(&event),
            logged_at: Timestamp::from_unix_micros(logged_at),
            payload,
            status: LogStatus::Init,
            reason: None,
        };
        let key = ChangeLogKey {
            shard_id: account(account_id).shard_id,
            account_id: event.account_id(),
            idempotency_key: event.idempotency_key().clone(),
        };
        self.store
            .state
            .lock()
            .unwrap()
            .rows
            .insert(key.clone(), row);
        key
    }

    fn finish(&self, key: &ChangeLogKey) {
        let mut state = self.store.state.lock().unwrap();
        state.rows.get_mut(key).unwrap().status = LogStatus::Applied;
    }

    fn published(&self) -> Vec<String> {
        let records = self.producer.records.lock().unwrap();
        records
            .iter()
            .map(|record| {
                let envelope = self.codec.decode_envelope(record.payload.clone()).unwrap();
                envelope.event.idempotency_key().as_str().to_owned()
            })
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn lost_events_are_published_again_in_log_order_with_their_own_id_and_time() {
    let (bench, mut relay) = bench(5, 5);
    for (key, at) in [("second", 20), ("first", 10), ("third", 30)] {
        bench.log(key, at);
    }
    assert_eq!(relay.round().await, Ok(3));
    assert_eq!(bench.published(), ["first", "second", "third"]);
    let record = bench.producer.records.lock().unwrap()[0].clone();
    assert_eq!(record.partition, PartitionId::MIN);
    let header = bench.codec.decode_envelope(record.payload).unwrap().header;
    assert_eq!(header.log_id, log_id(990));
    assert_eq!(header.logged_at, Timestamp::from_unix_micros(10));
    assert_eq!(header.layout_epoch, stored_layout().layout.epoch());
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_never_mistaken_for_a_loss() {
    let (bench, mut relay) = bench(100, 0);
    let (queued, lost) = (bench.log("queued", 10), bench.log("lost", 20));
    let round = tokio::spawn(async move { relay.round().await });
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(bench.producer.records.lock().unwrap().is_empty());
    // The backlog is worked off; what was on the topic is final by then.
    bench.progress.advance(offset(99));
    let_others_run().await;
    assert!(!round.is_finished());
    bench.finish(&queued);
    bench.progress.advance(offset(100));
    assert_eq!(round.await.unwrap(), Ok(1));
    assert_eq!(bench.producer.records.lock().unwrap().len(), 1);
    drop(lost);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_broker_does_not_pile_copies_up() {
    let (bench, relay) = bench(0, 0);
    bench.producer.silent.store(true, Ordering::SeqCst);
    bench.log("lost", 10);
    let producer = bench.producer.clone();
    tokio::spawn(relay.run());
    until("published", || producer.records.lock().unwrap().len() == 1).await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(producer.records.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_producer_is_waited_for_and_nothing_overtakes() {
    let (bench, mut relay) = bench(0, 0);
    *bench.producer.room.lock().unwrap() = Some(2);
    for n in 0..6 {
        bench.log(&format!("k{n}"), n + 1);
    }
    assert_eq!(relay.round().await, Ok(6));
    assert_eq!(bench.published(), ["k0", "k1", "k2", "k3", "k4", "k5"]);
}

#[tokio::test(start_paused = true)]
async fn a_round_that_fails_ends_only_once_every_report_is_in() {
    let (bench, mut relay) = bench(0, 0);
    bench.producer.failing.lock().unwrap().push(1);
    bench.producer.silent.store(true, Ordering::SeqCst);
    for (account_id, at) in residents().zip([10, 20]) {
        bench.log_of(account_id, "k", at);
    }
    let producer = bench.producer.clone();
    let round = tokio::spawn(async move { relay.round().await });
    until("both are handed over", || {
        producer.records.lock().unwrap().len() == 2
    })
    .await;
    let_others_run().await;
    assert!(!round.is_finished(), "the second is on its way");
    for report in producer.waiting.lock().unwrap().drain(..) {
        report.send(Ok(Some(offset(1)))).unwrap();
    }
    assert!(matches!(round.await.unwrap(), Err(RelayError::Publish(_))));
}

#[tokio::test(start_paused = true)]
async fn the_low_water_mark_passes_final_rows_only() {
    let (bench, mut relay) = bench(0, 0);
    let (first, second) = (bench.log("first", 10), bench.log("second", 20));
    bench.finish(&first);
    assert_eq!(relay.round().await, Ok(1));
    assert_eq!(
        relay.round().await,
        Ok(1),
        "not final yet, so it is found again"
    );
    bench.finish(&second);
    assert_eq!(relay.round().await, Ok(0));
    assert_eq!(relay.round().await, Ok(0));
    let scans = bench.store.state.lock().unwrap().relay_scans.clone();
    let before_second = Some(Timestamp::from_unix_micros(19));
    assert_eq!(scans[..3], [None, before_second, before_second]);
    assert!(scans[3] > before_second, "an empty scan moves it on");
}

#[tokio::test(start_paused = true)]
async fn the_next_leader_begins_a_margin_below_the_mark_that_the_last_one_stored() {
    let (bench, mut relay) = bench(0, 0);
    bench.log("waiting", 500);
    assert_eq!(relay.round().await, Ok(1));
    let stored = bench.store.state.lock().unwrap().relay_mark;
    assert_eq!(stored, Some(Timestamp::from_unix_micros(499)));
    let mut successor = LostEventRelay::new(relay.ports.clone(), relay.term.clone());
    assert_eq!(successor.round().await, Ok(1));
    let scans = bench.store.state.lock().unwrap().relay_scans.clone();
    let margin = i64::try_from(TERM_MARGIN.as_micros()).unwrap();
    assert_eq!(
        scans,
        [None, Some(Timestamp::from_unix_micros(499 - margin))]
    );
}

/// The next leader may come when the clock has passed the mark, and would begin by it.
#[tokio::test(start_paused = true)]
async fn a_mark_above_the_clock_is_forgotten_although_the_scan_fails() {
    let (_bench, mut relay) = bench(0, 0);
    let at = |seconds: i64| Timestamp::from_unix_micros(seconds * 1_000_000);
    let mut source = MockRelaySource::new();
    source.expect_horizon().returning(move |_| {
        Ok(RelayHorizon {
            low_water: Some(at(5_000)),
            generation: 0,
            until: at(4_000),
            settled_to: Some(at(4_000)),
        })
    });
    source
        .expect_move_mark()
        .times(1)
        .withf(|to| to.low_water.is_none())
        .returning(|_| Ok(true));
    source
        .expect_still_init()
        .times(1)
        .withf(|scan| scan.after.is_none())
        .returning(|_| {
            Err(StoreError::Unavailable {
                store: "PostgreSQL".to_owned(),
                reason: "canceling statement due to statement timeout".to_owned(),
            })
        });
    relay.ports.source = Arc::new(source);
    assert!(matches!(relay.round().await, Err(RelayError::Store(_))));
}

#[tokio::test(start_paused = true)]
async fn a_fenced_relay_moves_no_mark() {
    let (bench, mut relay) = bench(0, 0);
    bench.store.state.lock().unwrap().fence =
        Fence::unclaimed(INCARNATION).raise(owner(2)).unwrap().0;
    assert_eq!(relay.round().await, Ok(0));
    assert_eq!(bench.store.state.lock().unwrap().relay_mark, None);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_a_redrive_made_init_again_below_the_mark_is_found_by_the_next_scan() {
    let (bench, mut relay) = bench(0, 0);
    assert_eq!(relay.round().await, Ok(0));
    assert_eq!(relay.round().await, Ok(0));
    bench.log("redriven", 10);
    {
        let mut state = bench.store.state.lock().unwrap();
        assert!(state.relay_mark > Some(Timestamp::from_unix_micros(10)));
        state.relay_mark = Some(Timestamp::from_unix_micros(9));
        state.relay_generation += 1;
    }
    assert_eq!(relay.round().await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_a_hanging_commit_shows_late_is_found() {
    let (bench, mut relay) = bench(0, 0);
    // Its transaction began at 40 and is still open.
    bench.store.state.lock().unwrap().relay_settled_to = Some(Timestamp::from_unix_micros(39));
    assert_eq!(relay.round().await, Ok(0));
    assert_eq!(relay.round().await, Ok(0));
    bench.log("late", 40);
    assert_eq!(relay.round().await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn an_end_behind_offsets_without_records_is_not_waited_for() {
    let (bench, mut relay) = bench(7, 5);
    bench.log("lost", 10);
    bench.left.store(false, Ordering::SeqCst);
    assert_eq!(relay.round().await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn of_an_account_the_next_event_waits_for_the_delivery_of_the_one_before() {
    let (bench, mut relay) = bench(0, 0);
    bench.producer.silent.store(true, Ordering::SeqCst);
    let accounts: Vec<i64> = residents().take(2).collect();
    for (account_id, key, at) in [
        (accounts[0], "a1", 1),
        (accounts[1], "b1", 2),
        (accounts[0], "a2", 3),
    ] {
        bench.log_of(account_id, key, at);
    }
    let producer = bench.producer.clone();
    let round = tokio::spawn(async move { relay.round().await });
    let_others_run().await;
    assert_eq!(bench.published(), ["a1", "b1"]);
    producer.silent.store(false, Ordering::SeqCst);
    for report in producer.waiting.lock().unwrap().drain(..) {
        report.send(Ok(None)).unwrap();
    }
    assert_eq!(round.await.unwrap(), Ok(3));
    assert_eq!(bench.published(), ["a1", "b1", "a2"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_delivery_ends_the_round_and_no_later_event_of_its_account_overtakes() {
    let (bench, mut relay) = bench(0, 0);
    let accounts: Vec<i64> = residents().take(2).collect();
    for (account_id, key, at) in [
        (accounts[0], "a1", 1),
        (accounts[1], "b1", 2),
        (accounts[0], "a2", 3),
        (accounts[1], "b2", 4),
    ] {
        bench.log_of(account_id, key, at);
    }
    *bench.producer.failing.lock().unwrap() = vec![1];
    assert!(matches!(relay.round().await, Err(RelayError::Publish(_))));
    assert_eq!(bench.published(), ["a1", "b1"], "a2 was not even tried");
    assert_eq!(relay.round().await, Ok(4), "anew from the first");
    assert_eq!(
        bench.published()[2..],
        ["a1", "b1", "a2", "b2"],
        "and nothing is left out"
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_page_is_followed_by_the_next_without_a_pause() {
    let (bench, mut relay) = bench(0, 0);
    relay.ports.settings.rows_max = 2;
    let mut topic = MockEventTopic::new();
    let records = bench.producer.clone();
    topic.expect_bounds().returning(move |_| {
        Ok(LogBounds {
            start: Offset::MIN,
            end: offset(i64::try_from(records.records.lock().unwrap().len()).unwrap()),
        })
    });
    relay.ports.topic = Arc::new(topic);
    let keys: Vec<ChangeLogKey> = (0..3).map(|n| bench.log(&format!("k{n}"), n + 1)).collect();
    let running = tokio::spawn(relay.run());
    until("the first page", || bench.published().len() == 2).await;
    let began = Instant::now();
    keys.iter().take(2).for_each(|key| bench.finish(key));
    bench.progress.advance(offset(2));
    until("the next page", || bench.published().len() == 3).await;
    assert!(began.elapsed() < settings().every);
    assert_eq!(bench.published(), ["k0", "k1", "k2"]);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_relay_without_a_sure_lease_publishes_nothing() {
    let (bench, mut relay) = bench(0, 0);
    bench.log("lost", 10);
    bench.lease.revoke();
    assert_eq!(relay.round().await, Err(RelayError::LeaseUnsure));
    assert!(bench.published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_row_whose_payload_is_not_what_it_says_is_left_alone() {
    let (bench, mut relay) = bench(0, 0);
    let (damaged, altered) = (bench.log("damaged", 10), bench.log("altered", 20));
    bench.log("sound", 30);
    {
        let other = EventBuilder::new(resident(), "altered")
            .change("USD", "9", "0")
            .build();
        let mut state = bench.store.state.lock().unwrap();
        state.rows.get_mut(&damaged).unwrap().payload = Bytes::from_static(b"?");
        state.rows.get_mut(&altered).unwrap().payload = bench.codec.encode_payload(&other);
    }
    assert_eq!(relay.round().await, Ok(1));
    assert_eq!(bench.published(), ["sound"]);
}

impl Bench {
    /// Damages the payload of a row.
    fn damage(&self, key: &ChangeLogKey) {
        let mut state = self.store.state.lock().unwrap();
        state.rows.get_mut(key).unwrap().payload = Bytes::from_static(b"?");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_full_of_unsound_rows_hides_no_row_behind_it_and_the_mark_stays_below_them() {
    let (bench, mut relay) = bench(0, 0);
    relay.ports.settings.rows_max = 2;
    for n in 0..5 {
        bench.damage(&bench.log(&format!("damaged {n}"), 10 + n));
    }
    for n in 0..3 {
        bench.log(&format!("sound {n}"), 20 + n);
    }
    assert_eq!(relay.round().await, Ok(2), "as many as one round takes");
    assert_eq!(bench.published(), ["sound 0", "sound 1"]);
    let keys: Vec<ChangeLogKey> = {
        let state = bench.store.state.lock().unwrap();
        let named =
            |key: &&ChangeLogKey| ["sound 0", "sound 1"].contains(&key.idempotency_key.as_str());
        state.rows.keys().filter(named).cloned().collect()
    };
    keys.iter().for_each(|key| bench.finish(key));
    assert_eq!(relay.round().await, Ok(1));
    assert_eq!(bench.published()[2..], ["sound 2"]);
    let mark = bench.store.state.lock().unwrap().relay_mark;
    assert_eq!(mark, Some(Timestamp::from_unix_micros(9)));
}

#[tokio::test(start_paused = true)]
async fn more_unsound_rows_than_a_round_reads_are_passed_in_several_without_a_pause() {
    let (bench, mut relay) = bench(0, 0);
    relay.ports.settings.rows_max = 2;
    let pages = i64::try_from(PAGES_MAX).unwrap();
    for n in 0..3 * 2 * pages {
        bench.damage(&bench.log(&format!("damaged {n}"), 10 + n));
    }
    bench.log("sound", 500);
    let (published, store) = (bench.producer.clone(), bench.store.clone());
    let running = tokio::spawn(relay.run());
    tokio::time::sleep(settings().every + Duration::from_millis(1)).await;
    assert_eq!(published.records.lock().unwrap().len(), 1);
    // At the end of the log it rests.
    let scans = || store.state.lock().unwrap().relay_scans.len();
    let before = scans();
    tokio::time::sleep(settings().every / 2).await;
    assert_eq!(scans(), before);
    running.abort();
}
