//! Claims about the relay.

use super::*;
use crate::port::change_log::ChangeLogKey;
use crate::port::event_topic::{LogBounds, MockEventTopic};
use crate::testkit::{EventBuilder, TableCodec, account, log_id, stored_layout};
use crate::usecase::process_partition::fakes::{
    FakeStore, Row, TokioClock, let_others_run, offset, until,
};
use axs_domain::fencing::Fence;
use axs_domain::id::Offset;
use axs_domain::lease::{HeldLease, LeaseTimes};
use axs_domain::log_status::LogStatus;
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
        self.records.lock().unwrap().push(record);
        let (report, delivery) = Delivery::pending();
        if self.silent.load(Ordering::SeqCst) {
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
}

fn resident() -> i64 {
    let layout = stored_layout().layout;
    (1..)
        .find(|id| layout.partition_of(account(*id).shard_id) == Some(PartitionId::MIN))
        .unwrap()
}

fn bench(log_end: i64, stored: i64) -> (Bench, LostEventRelay) {
    let store = Arc::new(FakeStore::new(Fence::UNCLAIMED));
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
        publisher: producer.clone(),
        codec: codec.clone(),
        clock,
        settings: settings(),
    };
    let layout = Arc::new(stored_layout().layout);
    let relay = LostEventRelay::new(
        ports,
        PartitionId::MIN,
        layout,
        lease.clone(),
        progress.clone(),
    );
    let bench = Bench {
        store,
        codec,
        producer,
        progress,
        lease,
    };
    (bench, relay)
}

impl Bench {
    /// A log row, INIT, written at this time.
    fn log(&self, key: &str, logged_at: i64) -> ChangeLogKey {
        let event = EventBuilder::new(resident(), key).build();
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
            shard_id: account(resident()).shard_id,
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
    let mark = relay.low_water.unwrap().logged_at.unix_micros();
    assert!((10..20).contains(&mark), "{mark}");
    bench.finish(&second);
    assert_eq!(relay.round().await, Ok(0));
    let mark = relay.low_water.unwrap().logged_at.unix_micros();
    assert!(mark >= 20, "an empty scan moves it on: {mark}");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_became_init_again_below_the_mark_is_found_by_the_next_full_scan() {
    let (bench, mut relay) = bench(0, 0);
    assert_eq!(relay.round().await, Ok(0));
    bench.log("redriven", 10);
    assert_eq!(relay.round().await, Ok(0));
    tokio::time::sleep(FULL_SCAN_EVERY).await;
    bench.lease.renew(relay.ports.clock.monotonic());
    assert_eq!(relay.round().await, Ok(1));
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
