//! The events topic, the log rows, the result topic and the leader row, in memory.

use crate::port::change_log::ChangeLogKey;
use crate::port::event_codec::{EnvelopeHeader, EventCodec};
use crate::port::event_publisher::{Delivery, PublishError};
use crate::port::event_topic::{BrokerError, LogBounds, MockEventTopic};
use crate::port::partition_leadership::MockPartitionLeadership;
use crate::port::record_reader::RecordReader;
use crate::port::record_source::InboundRecord;
use crate::port::result_codec::{FinishedEvent, FinishedOutcome};
use crate::port::result_publisher::ResultPublisher;
use crate::port::result_source::{ResultSource, StoredResult};
use crate::port::store_error::StoreError;
use crate::testkit::{EventBuilder, INCARNATION, TableCodec, account, amount, away, code, log_id};
use crate::usecase::process_partition::fakes::{FakeCache, let_others_run, offset, owner};
use crate::usecase::process_partition::{CacheFeed, Progress};
use crate::usecase::publish_results::replay::balances_after;
use crate::usecase::publish_results::{
    CommittedBatch, ResultFeed, ResultPorts, ResultTask, ResultTerm,
};
use async_trait::async_trait;
use axs_domain::balance::{Balance, Delta, VersionedBalance};
use axs_domain::change::{Branch, CurrencyDelta};
use axs_domain::decision::LedgerEntry;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::fencing::Fence;
use axs_domain::id::{BalanceVersion, LayoutEpoch, Offset, PartitionId};
use axs_domain::time::Timestamp;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// After this time the cache needs no telling.
pub(super) const MOOT_AFTER: Duration = Duration::from_secs(120);

#[derive(Default)]
pub(super) struct State {
    /// The events topic.
    pub(super) records: BTreeMap<Offset, InboundRecord>,
    pub(super) log_start: i64,
    /// Where the topic ends, when it has lost its tail.
    pub(super) cut_at: Option<i64>,
    pub(super) rows: HashMap<ChangeLogKey, StoredResult>,
    /// The result topic: the offsets of the events, in order.
    pub(super) published: Vec<i64>,
    /// How the next enqueueings or deliveries end; `true` is well.
    pub(super) enqueued_well: VecDeque<bool>,
    pub(super) delivered_well: VecDeque<bool>,
    /// Nothing is delivered while this holds.
    pub(super) kept: Option<Vec<tokio::sync::oneshot::Sender<Report>>>,
    pub(super) store_away: bool,
    /// Each write of the results offset.
    pub(super) stored: Vec<i64>,
    pub(super) readings: usize,
}

type Report = Result<Option<Offset>, PublishError>;

/// One partition around a task.
pub(super) struct World {
    pub(super) state: Mutex<State>,
    codec: Arc<TableCodec>,
    pub(super) cache: Arc<FakeCache>,
    pub(super) cache_feed: Arc<CacheFeed>,
    pub(super) progress: Arc<Progress>,
}

impl World {
    /// A partition whose stored offset is this.
    pub(super) fn at(stored_offset: i64) -> Arc<Self> {
        let cache = Arc::new(FakeCache::default());
        Arc::new(Self {
            state: Mutex::default(),
            codec: Arc::default(),
            cache_feed: Arc::new(CacheFeed::new(cache.clone())),
            cache,
            progress: Arc::new(Progress::new(offset(stored_offset))),
        })
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap())
    }

    /// Account 1 gets its `version`th unit, at this offset: on the topic, and applied in its row.
    pub(super) fn commit(&self, at: i64) -> FinishedEvent {
        let finished = finished(at);
        self.write_record(at, &finished);
        let row = StoredResult {
            log_id: finished.log_id,
            key: key_of(&finished.event),
            partition: finished.partition,
            offset: finished.offset,
            outcome: finished.outcome.clone(),
            logged_at: finished.logged_at,
            decided_at: finished.decided_at,
        };
        self.with(|state| state.rows.insert(row.key.clone(), row));
        finished
    }

    /// A record of the event at an offset, maybe a copy.
    pub(super) fn write_record(&self, at: i64, finished: &FinishedEvent) {
        let header = EnvelopeHeader {
            log_id: finished.log_id,
            shard_id: finished.shard_id,
            layout_epoch: LayoutEpoch::MIN,
            logged_at: finished.logged_at,
            traceparent: None,
        };
        let payload = self.codec.encode_payload(&finished.event);
        self.write_bytes(at, self.codec.encode_envelope(header, payload));
    }

    pub(super) fn write_bytes(&self, at: i64, payload: Bytes) {
        let record = InboundRecord {
            offset: offset(at),
            key: Bytes::new(),
            payload,
        };
        self.with(|state| state.records.insert(offset(at), record));
    }

    /// A batch of these offsets, committed now.
    pub(super) fn batch(&self, offsets: std::ops::Range<i64>) -> CommittedBatch {
        let results: Vec<_> = offsets.clone().map(|at| self.commit(at)).collect();
        let balances = balances_after(&results, INCARNATION);
        self.progress.advance(offset(offsets.end));
        CommittedBatch {
            from: offset(offsets.start),
            to: offset(offsets.end),
            results: Some(results),
            cache: self.cache_feed.offer(balances),
            learnt_at: Instant::now(),
        }
    }

    pub(super) fn published(&self) -> Vec<i64> {
        self.with(|state| state.published.clone())
    }

    pub(super) fn stored(&self) -> Option<i64> {
        self.with(|state| state.stored.last().copied())
    }

    /// The version of account 1 in the cache.
    pub(super) fn cached(&self) -> Option<i64> {
        let balances = self.cache.balances.lock().unwrap();
        balances.values().map(|it| it.version.value()).next()
    }
}

/// A running task.
pub(super) struct Running {
    pub(super) feed: Arc<ResultFeed>,
    last: CancellationToken,
    task: JoinHandle<()>,
    cache: JoinHandle<()>,
}

impl Running {
    /// A term that begins at the stored offset, with results out up to `results_offset`.
    pub(super) fn start(world: &Arc<World>, results_offset: i64) -> Self {
        let feed = Arc::new(ResultFeed::new(world.progress.stored_offset()));
        let last = CancellationToken::new();
        let (_, claim) = Fence::unclaimed(INCARNATION).raise(owner(1)).unwrap();
        let mut topic = MockEventTopic::new();
        let of = Arc::clone(world);
        topic.expect_bounds().returning(move |_| {
            Ok(of.with(|state| LogBounds {
                start: offset(state.log_start),
                end: offset(state.cut_at.unwrap_or(1_000_000)),
            }))
        });
        let mut leadership = MockPartitionLeadership::new();
        let of = Arc::clone(world);
        leadership
            .expect_results_out()
            .returning(move |_, found, at| {
                assert_eq!(found, claim);
                assert!(at <= of.progress.stored_offset());
                of.with(|state| {
                    if state.store_away {
                        return Err(away());
                    }
                    assert!(state.stored.last().is_none_or(|last| *last < at.value()));
                    state.stored.push(at.value());
                    Ok(true)
                })
            });
        let ports = ResultPorts {
            publisher: world.clone(),
            source: world.clone(),
            reader: world.clone(),
            topic: Arc::new(topic),
            codec: world.codec.clone(),
            leadership: Arc::new(leadership),
            cache: world.cache_feed.clone(),
            cache_moot_after: MOOT_AFTER,
        };
        let term = ResultTerm {
            partition: PartitionId::MIN,
            claim,
            results_offset: offset(results_offset),
            feed: feed.clone(),
            progress: world.progress.clone(),
        };
        let writing = world.cache_feed.clone();
        Self {
            feed,
            task: tokio::spawn(ResultTask::new(ports, term).run(last.clone())),
            last,
            cache: tokio::spawn(async move { writing.run(CancellationToken::new()).await }),
        }
    }

    /// Ends the term in order, and waits for the task as long as it takes.
    pub(super) async fn finish(self) {
        self.last.cancel();
        tokio::time::timeout(Duration::from_secs(3_600), self.task)
            .await
            .expect("the task never ends")
            .unwrap();
        self.cache.abort();
    }

    /// Ends it as `kill -9` does.
    pub(super) async fn kill(self) {
        self.task.abort();
        self.cache.abort();
        let_others_run().await;
    }
}

#[async_trait]
impl RecordReader for World {
    async fn read(
        &self,
        _partition: PartitionId,
        from: Offset,
        until: Offset,
        records_max: usize,
    ) -> Result<Vec<InboundRecord>, BrokerError> {
        assert!(from < until && until <= self.progress.stored_offset());
        Ok(self.with(|state| {
            state.readings += 1;
            let from = from.max(offset(state.log_start)).min(until);
            let records = state.records.range(from..until).take(records_max);
            records.map(|(_, record)| record.clone()).collect()
        }))
    }
}

#[async_trait]
impl ResultSource for World {
    async fn find(&self, keys: Vec<ChangeLogKey>) -> Result<Vec<Option<StoredResult>>, StoreError> {
        self.with(|state| {
            if state.store_away {
                return Err(away());
            }
            Ok(keys
                .iter()
                .map(|key| state.rows.get(key).cloned())
                .collect())
        })
    }
}

#[async_trait]
impl ResultPublisher for World {
    fn enqueue(&self, finished: &FinishedEvent) -> Result<Delivery, PublishError> {
        self.with(|state| {
            let failed = || PublishError::Failed("refused".to_owned());
            if !state.enqueued_well.pop_front().unwrap_or(true) {
                return Err(failed());
            }
            let (report, delivery) = Delivery::pending();
            let well = state.delivered_well.pop_front().unwrap_or(true);
            if well {
                state.published.push(finished.offset.value());
            }
            match &mut state.kept {
                Some(kept) => kept.push(report),
                None => report
                    .send(well.then_some(None).ok_or_else(failed))
                    .unwrap(),
            }
            Ok(delivery)
        })
    }

    async fn flush(&self, _timeout: Duration) -> bool {
        true
    }
}

fn key_of(event: &BalanceChangeEvent) -> ChangeLogKey {
    ChangeLogKey {
        shard_id: account(1).shard_id,
        account_id: event.account_id(),
        idempotency_key: event.idempotency_key().clone(),
    }
}

/// Account 1 gets a unit: the one that makes version `at + 1`.
fn finished(at: i64) -> FinishedEvent {
    let event = EventBuilder::new(1, &format!("key-{at}"))
        .change("USD", "1", "0")
        .build();
    let entry = LedgerEntry {
        change_index: 0,
        branch: Branch::Primary,
        applied: CurrencyDelta {
            currency: code("USD"),
            delta: Delta {
                available: amount("1"),
                frozen: amount("0"),
            },
        },
        after: VersionedBalance {
            balance: Balance {
                available: amount(&(at + 1).to_string()),
                frozen: amount("0"),
            },
            version: BalanceVersion::try_new(at + 1).unwrap(),
        },
    };
    FinishedEvent {
        log_id: log_id(u128::try_from(at + 1).unwrap()),
        shard_id: account(1).shard_id,
        event,
        partition: PartitionId::MIN,
        offset: offset(at),
        outcome: FinishedOutcome::Applied(vec![entry]),
        logged_at: Timestamp::from_unix_micros(at),
        decided_at: Timestamp::from_unix_micros(at + 1),
    }
}
