//! A worker on a bench: what is logged, what is on the topic, and what came of it.

use crate::port::change_log::ChangeLogKey;
use crate::port::clock::Clock;
use crate::port::event_codec::{EnvelopeHeader, EventCodec};
use crate::port::record_source::{InboundRecord, SourceEvent};
use crate::testkit::{
    EventBuilder, INCARNATION, TableCodec, account, account_id, log_id, stored_layout,
};
use crate::usecase::process_partition::fakes::{FakeCache, FakeStore, Row, TokioClock, owner};
use crate::usecase::process_partition::{
    CacheFeed, LeaseWatch, PreloadTurns, ProcessSettings, Progress, Worker, WorkerEnd, WorkerPorts,
    WorkerTerm,
};
use crate::usecase::publish_results::ResultFeed;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::fencing::{Claim, Fence};
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{LayoutEpoch, Offset, PartitionId};
use axs_domain::lease::{HeldLease, LeaseTimes};
use axs_domain::log_status::LogStatus;
use axs_domain::rule::BalanceRuleSet;
use axs_domain::time::Timestamp;
use bytes::Bytes;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

fn settings() -> ProcessSettings {
    let bound = |value| NonZeroUsize::new(value).unwrap();
    ProcessSettings {
        batch_events_max: bound(10),
        batch_linger: Duration::from_millis(5),
        batch_interval: Duration::ZERO,
        memory_balances_max: bound(200_000),
        preload_balances: false,
        poison_in_a_row_max: bound(100),
        write_retries_max: 50,
    }
}

pub(super) struct Bench {
    pub(super) store: Arc<FakeStore>,
    pub(super) codec: Arc<TableCodec>,
    pub(super) cache: Arc<FakeCache>,
    pub(super) feed: Arc<CacheFeed>,
    pub(super) clock: Arc<TokioClock>,
    pub(super) lease: Arc<LeaseWatch>,
    pub(super) progress: Arc<Progress>,
    pub(super) drain: CancellationToken,
    pub(super) settings: ProcessSettings,
    pub(super) rules: BalanceRuleSet,
    pub(super) claim: Claim,
    pub(super) poison_run: usize,
    pub(super) results: Arc<ResultFeed>,
    source: Option<mpsc::Sender<SourceEvent>>,
    next_offset: i64,
    next_log_id: u128,
}

/// The first partition, where the bench's worker leads.
pub(super) fn partition() -> PartitionId {
    PartitionId::MIN
}

/// The nth account that lives on the bench's partition.
pub(super) fn resident(nth: usize) -> i64 {
    nth_account(nth, true)
}

/// The nth account that lives elsewhere.
pub(super) fn stranger(nth: usize) -> i64 {
    nth_account(nth, false)
}

fn nth_account(nth: usize, here: bool) -> i64 {
    let layout = stored_layout().layout;
    (1..10_000)
        .filter(|id| (layout.partition_of(account(*id).shard_id) == Some(partition())) == here)
        .nth(nth)
        .unwrap()
}

pub(super) fn key_of(event: &BalanceChangeEvent) -> ChangeLogKey {
    ChangeLogKey {
        shard_id: account(event.account_id().value()).shard_id,
        account_id: event.account_id(),
        idempotency_key: event.idempotency_key().clone(),
    }
}

pub(super) fn change(account: i64, key: &str, amount: &str) -> BalanceChangeEvent {
    EventBuilder::new(account, key)
        .change("USD", amount, "0")
        .build()
}

impl Bench {
    pub(super) fn new() -> Self {
        let (fence, claim) = Fence::unclaimed(INCARNATION).raise(owner(1)).unwrap();
        let clock = Arc::new(TokioClock::new());
        let cache = Arc::new(FakeCache::default());
        Self {
            store: Arc::new(FakeStore::new(fence)),
            codec: Arc::new(TableCodec::default()),
            feed: Arc::new(CacheFeed::new(cache.clone())),
            cache,
            lease: Self::lease_from(&clock),
            clock,
            progress: Arc::new(Progress::new(Offset::MIN)),
            drain: CancellationToken::new(),
            settings: settings(),
            rules: BalanceRuleSet::non_negative(),
            claim,
            poison_run: 0,
            results: Arc::new(ResultFeed::new(Offset::MIN)),
            source: None,
            next_offset: 0,
            next_log_id: 1,
        }
    }

    /// A lease of nine seconds from now.
    pub(super) fn lease_from(clock: &TokioClock) -> Arc<LeaseWatch> {
        let times = LeaseTimes::try_new(Duration::from_secs(9)).unwrap();
        Arc::new(LeaseWatch::new(HeldLease::granted(
            times,
            clock.monotonic(),
        )))
    }

    /// Starts the worker.
    pub(super) fn start(&mut self) -> JoinHandle<WorkerEnd> {
        let (sender, source) = mpsc::channel(100);
        self.source = Some(sender);
        let ports = WorkerPorts {
            codec: self.codec.clone(),
            balances: self.store.clone(),
            writer: self.store.clone(),
            clock: self.clock.clone(),
            cache: self.feed.clone(),
            rules: Arc::new(self.rules.clone()),
            preload_turns: PreloadTurns::default(),
            settings: self.settings.clone(),
        };
        let term = WorkerTerm {
            partition: partition(),
            claim: self.claim,
            layout: Arc::new(stored_layout().layout),
            lease: self.lease.clone(),
            progress: self.progress.clone(),
            poison_run: self.poison_run,
            results: self.results.clone(),
        };
        tokio::spawn(Worker::new(ports, term).run(source, self.drain.clone()))
    }

    /// Writes the event's log row and gives its record.
    pub(super) fn log(&mut self, event: &BalanceChangeEvent) -> Bytes {
        let number = self.next_log_id;
        self.next_log_id += 1;
        let payload = self.codec.encode_payload(event);
        let logged_at = Timestamp::from_unix_micros(i64::try_from(number).unwrap());
        self.store.state.lock().unwrap().rows.insert(
            key_of(event),
            Row {
                log_id: log_id(number),
                fingerprint: Fingerprint::of(event),
                logged_at,
                payload: payload.clone(),
                status: LogStatus::Init,
                reason: None,
            },
        );
        self.record(event, number, number)
    }

    /// A record of the event with this log id and time, whether or not there is such a row.
    pub(super) fn record(&self, event: &BalanceChangeEvent, id: u128, time: u128) -> Bytes {
        let header = EnvelopeHeader {
            log_id: log_id(id),
            shard_id: account(event.account_id().value()).shard_id,
            layout_epoch: LayoutEpoch::MIN,
            logged_at: Timestamp::from_unix_micros(i64::try_from(time).unwrap()),
            traceparent: None,
        };
        let payload = self.codec.encode_payload(event);
        self.codec.encode_envelope(header, payload)
    }

    /// Puts records on the topic as one chunk.
    pub(super) async fn publish(&mut self, payloads: Vec<Bytes>) {
        let records = payloads.into_iter().map(|payload| {
            let offset = Offset::try_new(self.next_offset).unwrap();
            self.next_offset += 1;
            InboundRecord {
                offset,
                key: Bytes::new(),
                payload,
            }
        });
        let event = SourceEvent::Records(records.collect());
        self.send(event).await;
    }

    /// What is published next is read at this offset.
    pub(super) fn read_from(&mut self, offset: Offset) {
        self.next_offset = offset.value();
    }

    pub(super) async fn send(&mut self, event: SourceEvent) {
        // A worker that ended hears nothing.
        let _ = self.source.as_ref().unwrap().send(event).await;
    }

    /// Logs events and puts them on the topic as one chunk.
    pub(super) async fn submit(&mut self, events: &[BalanceChangeEvent]) {
        let payloads = events.iter().map(|event| self.log(event)).collect();
        self.publish(payloads).await;
    }

    /// Gives the account money, committed before the worker looks.
    pub(super) fn endow(&mut self, account: i64, amount: &str) {
        use axs_domain::balance::{Balance, BalanceKey, VersionedBalance};
        let key = BalanceKey {
            account_id: account_id(account),
            currency: crate::testkit::code("USD"),
        };
        let stored = VersionedBalance {
            balance: Balance {
                available: crate::testkit::amount(amount),
                ..Balance::ZERO
            },
            version: axs_domain::id::BalanceVersion::try_new(1).unwrap(),
        };
        let shard = crate::testkit::account(account).shard_id;
        let mut state = self.store.state.lock().unwrap();
        state.balances.insert((shard, key), stored);
    }

    /// The stored offset in the store.
    pub(super) fn stored(&self) -> i64 {
        self.store.state.lock().unwrap().stored_offset.value()
    }
}
