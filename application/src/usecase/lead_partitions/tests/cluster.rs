//! PostgreSQL, Kafka and Redis as an elector sees them, in memory; they hang when told to.

use super::settings::settings;
use crate::port::balance_cache::CacheError;
use crate::port::balance_store::{LoadedBalances, MockBalanceStore};
use crate::port::batch_writer::{BatchWriter, DecidedBatch, FinalResult, WriteError, WriteReceipt};
use crate::port::change_log::ChangeLogKey;
use crate::port::consumer_registry::ConsumerRegistry;
use crate::port::event_codec::{EnvelopeHeader, EventCodec};
use crate::port::event_publisher::{Delivery, MockEventPublisher, PublishError};
use crate::port::event_topic::{BrokerError, EventTopic, LogBounds, TopicDescription};
use crate::port::layout_change::PartitionStart;
use crate::port::layout_store::{LayoutStore, StoredLayout};
use crate::port::leader_beat::LeaderBeat;
use crate::port::partition_leadership::{LeaderView, PartitionLeadership, TakeOver};
use crate::port::record_reader::RecordReader;
use crate::port::record_source::{InboundRecord, RecordSource, SourceError, SourceEvent};
use crate::port::relay_source::{MockRelaySource, RelayHorizon};
use crate::port::result_codec::{FinishedEvent, FinishedOutcome};
use crate::port::result_publisher::ResultPublisher;
use crate::port::result_source::{ResultSource, StoredResult};
use crate::port::store_error::StoreError;
use crate::testkit::{EventBuilder, INCARNATION, TableCodec, account, away, log_id, stored_layout};
use crate::usecase::lead_partitions::{
    LeadPartitions, LeadPorts, LeadershipEnd, LeadershipStatus, PartitionElector,
};
use crate::usecase::process_partition::fakes::{FakeCache, TokioClock, offset, owner};
use crate::usecase::vital_tasks::ProcessTasks;
use async_trait::async_trait;
use axs_domain::balance::VersionedBalance;
use axs_domain::fencing::{Claim, Fence};
use axs_domain::id::{LayoutEpoch, Offset, OwnerId, PartitionId};
use axs_domain::record_digest::RecordDigest;
use axs_domain::rule::BalanceRuleSet;
use axs_domain::time::Timestamp;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A partition's leader row and lease.
#[derive(Debug, Clone)]
pub(super) struct Lead {
    pub(super) fence: Fence,
    pub(super) stored_offset: Offset,
    pub(super) stored_record: Option<RecordDigest>,
    pub(super) layout_epoch: LayoutEpoch,
    /// What the reader finds, by offset.
    pub(super) records: BTreeMap<Offset, InboundRecord>,
    pub(super) lease: Option<(Claim, Instant)>,
    pub(super) log: LogBounds,
    pub(super) take_overs: usize,
    pub(super) results_offset: Offset,
    /// The offsets whose results were published, in the order of publishing.
    pub(super) published: Vec<i64>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) leads: BTreeMap<PartitionId, Lead>,
    pub(super) consumers: HashMap<OwnerId, Instant>,
    pub(super) beats: HashMap<PartitionId, Instant>,
    pub(super) layout: Option<StoredLayout>,
    pub(super) topic: TopicDescription,
    pub(super) database_hangs: bool,
    /// How long each answer takes.
    pub(super) database_delay: Duration,
    /// When a renewal was last asked for that was answered.
    pub(super) renewal_asked: Option<Instant>,
    pub(super) database_away: bool,
    pub(super) broker_away: bool,
    /// Who alone can't reach the broker.
    pub(super) cut_off_from_broker: Vec<OwnerId>,
    /// Who can't reach the broker that leads which partition's log, and reaches the others.
    pub(super) cut_off_from_log: Vec<(OwnerId, PartitionId)>,
    pub(super) redis_away: bool,
    pub(super) results_away: bool,
    /// The next result that is enqueued ends its task.
    pub(super) result_panics: bool,
    /// The results of the rows.
    pub(super) finished: HashMap<ChangeLogKey, StoredResult>,
    /// Take-overs that came while somebody's lease stood.
    pub(super) collisions: usize,
    /// When writes were begun, by owner.
    pub(super) writes: Vec<(OwnerId, PartitionId, Instant)>,
    /// The channels of assigned partitions.
    pub(super) assigned: HashMap<(OwnerId, PartitionId), mpsc::Sender<SourceEvent>>,
}

/// The servers.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) state: Mutex<State>,
    /// Each write waits for a permit.
    pub(super) gate: Semaphore,
    pub(super) codec: Arc<TableCodec>,
}

impl Cluster {
    pub(super) fn new() -> Arc<Self> {
        let layout = stored_layout();
        let lead = Lead {
            fence: Fence::unclaimed(INCARNATION),
            stored_offset: Offset::MIN,
            stored_record: None,
            layout_epoch: LayoutEpoch::MIN,
            records: BTreeMap::new(),
            lease: None,
            log: LogBounds {
                start: Offset::MIN,
                end: offset(1_000),
            },
            take_overs: 0,
            results_offset: Offset::MIN,
            published: Vec::new(),
        };
        Arc::new(Self {
            state: Mutex::new(State {
                leads: layout
                    .layout
                    .partitions()
                    .map(|partition| (partition, lead.clone()))
                    .collect(),
                consumers: HashMap::new(),
                beats: HashMap::new(),
                topic: TopicDescription {
                    topic: layout.events_topic.clone(),
                    cluster_id: layout.cluster_id.clone(),
                    partition_count: Some(layout.layout.partition_count()),
                },
                layout: Some(layout),
                database_hangs: false,
                database_delay: Duration::ZERO,
                renewal_asked: None,
                database_away: false,
                broker_away: false,
                cut_off_from_broker: Vec::new(),
                cut_off_from_log: Vec::new(),
                redis_away: false,
                results_away: false,
                result_panics: false,
                finished: HashMap::new(),
                collisions: 0,
                writes: Vec::new(),
                assigned: HashMap::new(),
            }),
            gate: Semaphore::new(1_000_000),
            codec: Arc::new(TableCodec::default()),
        })
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap())
    }

    /// Answers, errs or hangs as the database does now.
    async fn database(&self) -> Result<(), StoreError> {
        if self.with(|state| state.database_hangs) {
            std::future::pending::<()>().await;
        }
        if self.with(|state| state.database_away) {
            return Err(away());
        }
        tokio::time::sleep(self.with(|state| state.database_delay)).await;
        Ok(())
    }

    fn broker(&self) -> Result<(), BrokerError> {
        if self.with(|state| state.broker_away) {
            return Err(BrokerError::Unavailable {
                brokers: "kafka:9092".to_owned(),
                reason: "connection refused".to_owned(),
            });
        }
        Ok(())
    }

    /// A record for a partition, fit to be decided.
    pub(super) fn record(&self, partition: i32, at: i64) -> SourceEvent {
        let layout = stored_layout().layout;
        let resident = (1..10_000)
            .find(|id| {
                let home = layout.partition_of(account(*id).shard_id);
                home.map(PartitionId::value) == Some(partition)
            })
            .unwrap();
        let event = EventBuilder::new(resident, &format!("key-{at}")).build();
        let header = EnvelopeHeader {
            log_id: log_id(u128::try_from(at + 1).unwrap()),
            shard_id: account(resident).shard_id,
            layout_epoch: LayoutEpoch::MIN,
            logged_at: Timestamp::from_unix_micros(at),
            traceparent: None,
        };
        let payload = self.codec.encode_payload(&event);
        SourceEvent::Records(vec![InboundRecord {
            offset: offset(at),
            key: Bytes::new(),
            payload: self.codec.encode_envelope(header, payload),
        }])
    }

    /// Sends what the source of `process` says of a partition.
    pub(super) fn say(&self, process: &Process, partition: i32, event: SourceEvent) {
        let key = (process.owner, PartitionId::try_new(partition).unwrap());
        self.with(|state| {
            if let SourceEvent::Records(records) = &event {
                let log = &mut state.leads.get_mut(&key.1).unwrap().records;
                log.extend(records.iter().map(|record| (record.offset, record.clone())));
            }
            state.assigned[&key].try_send(event)
        })
        .unwrap();
    }

    /// Writes a record that no source gives.
    pub(super) fn write_unseen(&self, partition: i32, at: i64) {
        let SourceEvent::Records(records) = self.record(partition, at) else {
            return;
        };
        let partition = PartitionId::try_new(partition).unwrap();
        self.with(|state| {
            let log = &mut state.leads.get_mut(&partition).unwrap().records;
            log.extend(records.into_iter().map(|record| (record.offset, record)));
        });
    }

    pub(super) fn writes(&self) -> usize {
        self.with(|state| state.writes.len())
    }
}

/// The database's answers.
#[async_trait]
impl ConsumerRegistry for Cluster {
    async fn check_in(&self, owner: OwnerId, ttl: Duration) -> Result<Vec<OwnerId>, StoreError> {
        self.database().await?;
        let now = Instant::now();
        Ok(self.with(|state| {
            state.consumers.insert(owner, now + ttl);
            state.consumers.retain(|_, until| *until > now);
            state.consumers.keys().copied().collect()
        }))
    }

    async fn leave(&self, owner: OwnerId) -> Result<(), StoreError> {
        self.database().await?;
        self.with(|state| state.consumers.remove(&owner));
        Ok(())
    }

    async fn places(&self) -> Result<BTreeMap<OwnerId, String>, StoreError> {
        Ok(BTreeMap::new())
    }
}

#[async_trait]
impl PartitionLeadership for Cluster {
    async fn take_over(
        &self,
        partition: PartitionId,
        owner: OwnerId,
        ttl: Duration,
    ) -> Result<TakeOver, StoreError> {
        self.database().await?;
        Ok(self.with(|state| {
            let now = Instant::now();
            let lead = state.leads.get_mut(&partition).unwrap();
            if lead
                .lease
                .is_some_and(|(claim, until)| until > now && claim.owner != owner)
            {
                state.collisions += 1;
                return TakeOver::Held;
            }
            let (fence, claim) = lead.fence.raise(owner).unwrap();
            lead.fence = fence;
            lead.lease = Some((claim, now + ttl));
            lead.take_overs += 1;
            TakeOver::Taken {
                claim,
                stored_offset: lead.stored_offset,
                stored_record: lead.stored_record,
                layout_epoch: lead.layout_epoch,
                results_offset: lead.results_offset,
            }
        }))
    }

    async fn results_out(
        &self,
        partition: PartitionId,
        claim: Claim,
        offset: Offset,
    ) -> Result<bool, StoreError> {
        self.database().await?;
        Ok(self.with(|state| {
            let lead = state.leads.get_mut(&partition).unwrap();
            let moves = lead.fence.admit(claim).is_ok() && lead.results_offset < offset;
            if moves {
                assert!(offset <= lead.stored_offset);
                lead.results_offset = offset;
            }
            moves
        }))
    }

    async fn renew(
        &self,
        claims: Vec<(PartitionId, Claim)>,
        ttl: Duration,
    ) -> Result<Vec<PartitionId>, StoreError> {
        let asked = Instant::now();
        self.database().await?;
        Ok(self.with(|state| {
            state.renewal_asked = Some(asked);
            let mut held = Vec::new();
            for (partition, claim) in claims {
                let lead = state.leads.get_mut(&partition).unwrap();
                if lead.lease.is_some_and(|(holder, _)| holder == claim) {
                    lead.lease = Some((claim, Instant::now() + ttl));
                    held.push(partition);
                }
            }
            held
        }))
    }

    async fn release(&self, partition: PartitionId, claim: Claim) -> Result<(), StoreError> {
        self.database().await?;
        self.with(|state| {
            let lead = state.leads.get_mut(&partition).unwrap();
            if lead.lease.is_some_and(|(holder, _)| holder == claim) {
                lead.lease = None;
            }
        });
        Ok(())
    }

    async fn leaders(&self) -> Result<Vec<LeaderView>, StoreError> {
        self.database().await?;
        let now = Instant::now();
        Ok(self.with(|state| {
            let view = |(partition, lead): (&PartitionId, &Lead)| LeaderView {
                partition: *partition,
                held_by: lead
                    .lease
                    .filter(|(_, until)| *until > now)
                    .map(|(claim, _)| claim.owner),
                stored_offset: lead.stored_offset,
            };
            state.leads.iter().map(view).collect()
        }))
    }
}

#[async_trait]
impl BatchWriter for Cluster {
    async fn write(&self, batch: Arc<DecidedBatch>) -> Result<WriteReceipt, WriteError> {
        let begun = (batch.claim.owner, batch.partition, Instant::now());
        self.with(|state| state.writes.push(begun));
        self.gate.acquire().await.unwrap().forget();
        self.with(|state| {
            let lead = state.leads.get_mut(&batch.partition).unwrap();
            if lead.fence.admit(batch.claim).is_err() {
                return Err(WriteError::Fenced);
            }
            assert_eq!(lead.stored_offset, batch.offset_before);
            lead.stored_offset = batch.offset_after;
            lead.stored_record = Some(batch.last_record);
            for event in &batch.events {
                let FinalResult::Applied(entries) = &event.result else {
                    continue;
                };
                let stored = StoredResult {
                    log_id: event.log_id,
                    key: event.key.clone(),
                    partition: batch.partition,
                    offset: event.offset,
                    outcome: FinishedOutcome::Applied(entries.clone()),
                    logged_at: event.logged_at,
                    decided_at: Timestamp::from_unix_micros(0),
                };
                state.finished.insert(event.key.clone(), stored);
            }
            Ok(WriteReceipt {
                decided_at: Timestamp::from_unix_micros(0),
            })
        })
    }

    async fn settle(&self, _partition: PartitionId, _claim: Claim) -> Result<Offset, WriteError> {
        Err(WriteError::Fenced)
    }
}

#[async_trait]
impl ResultSource for Cluster {
    async fn find(&self, keys: Vec<ChangeLogKey>) -> Result<Vec<Option<StoredResult>>, StoreError> {
        self.database().await?;
        Ok(self.with(|state| {
            let find = |key: &ChangeLogKey| state.finished.get(key).cloned();
            keys.iter().map(find).collect()
        }))
    }
}

#[async_trait]
impl ResultPublisher for Cluster {
    fn enqueue(&self, finished: &FinishedEvent) -> Result<Delivery, PublishError> {
        let panics = self.with(|state| std::mem::take(&mut state.result_panics));
        assert!(!panics, "as the test wants");
        self.with(|state| {
            if state.results_away {
                return Err(PublishError::Failed("away".to_owned()));
            }
            let lead = state.leads.get_mut(&finished.partition).unwrap();
            lead.published.push(finished.offset.value());
            let (report, delivery) = Delivery::pending();
            report.send(Ok(None)).unwrap();
            Ok(delivery)
        })
    }

    async fn flush(&self, _timeout: Duration) -> bool {
        true
    }
}

#[async_trait]
impl LayoutStore for Cluster {
    async fn load(&self) -> Result<Option<StoredLayout>, StoreError> {
        self.database().await?;
        Ok(self.with(|state| state.layout.clone()))
    }

    async fn create(
        &self,
        _layout: StoredLayout,
        _starts: Vec<PartitionStart>,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// The topic as one process sees it.
struct Topic {
    cluster: Arc<Cluster>,
    owner: OwnerId,
}

impl Topic {
    /// Hangs for a process that is cut off: packets are dropped, not refused.
    async fn reach(&self) {
        let cut_off = |state: &mut State| state.cut_off_from_broker.contains(&self.owner);
        if self.cluster.with(cut_off) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl EventTopic for Topic {
    async fn describe(&self) -> Result<TopicDescription, BrokerError> {
        self.reach().await;
        self.cluster.describe().await
    }

    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, BrokerError> {
        self.reach().await;
        let from_here = (self.owner, partition);
        if self
            .cluster
            .with(|state| state.cut_off_from_log.contains(&from_here))
        {
            std::future::pending::<()>().await;
        }
        self.cluster.bounds(partition).await
    }

    async fn create(&self, partition_count: usize) -> Result<bool, BrokerError> {
        EventTopic::create(&*self.cluster, partition_count).await
    }

    async fn grow(&self, partition_count: usize) -> Result<(), BrokerError> {
        self.cluster.grow(partition_count).await
    }
}

#[async_trait]
impl EventTopic for Cluster {
    async fn describe(&self) -> Result<TopicDescription, BrokerError> {
        self.broker()?;
        Ok(self.with(|state| state.topic.clone()))
    }

    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, BrokerError> {
        self.broker()?;
        Ok(self.with(|state| state.leads[&partition].log))
    }

    async fn create(&self, _partition_count: usize) -> Result<bool, BrokerError> {
        Ok(false)
    }

    async fn grow(&self, _partition_count: usize) -> Result<(), BrokerError> {
        Ok(())
    }
}

#[async_trait]
impl RecordReader for Cluster {
    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        until: Offset,
        records_max: usize,
    ) -> Result<Vec<InboundRecord>, BrokerError> {
        self.broker()?;
        Ok(self.with(|state| {
            let records = state.leads[&partition].records.range(from..until);
            records
                .take(records_max)
                .map(|(_, record)| record.clone())
                .collect()
        }))
    }
}

#[async_trait]
impl LeaderBeat for Cluster {
    async fn beat(
        &self,
        _owner: OwnerId,
        partitions: Vec<PartitionId>,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        self.with(|state| {
            if state.redis_away {
                return Err(no_redis());
            }
            for partition in partitions {
                state.beats.insert(partition, Instant::now() + ttl);
            }
            Ok(())
        })
    }

    async fn silent(&self, partitions: Vec<PartitionId>) -> Result<Vec<PartitionId>, CacheError> {
        self.with(|state| {
            if state.redis_away {
                return Err(no_redis());
            }
            let now = Instant::now();
            let heard = |at: Option<&Instant>| at.is_some_and(|until| *until > now);
            Ok(partitions
                .into_iter()
                .filter(|partition| !heard(state.beats.get(partition)))
                .collect())
        })
    }
}

fn no_redis() -> CacheError {
    CacheError {
        address: "redis://cache".to_owned(),
        reason: "away".to_owned(),
    }
}

/// The source of one process.
struct Source {
    cluster: Arc<Cluster>,
    owner: OwnerId,
}

#[async_trait]
impl RecordSource for Source {
    async fn assign(
        &self,
        partition: PartitionId,
        from: Offset,
    ) -> Result<mpsc::Receiver<SourceEvent>, SourceError> {
        let (sender, receiver) = mpsc::channel(10);
        self.cluster.with(|state| {
            assert_eq!(from, state.leads[&partition].stored_offset);
            let known = state.assigned.insert((self.owner, partition), sender);
            assert!(known.is_none(), "assigned twice");
        });
        Ok(receiver)
    }

    async fn unassign(&self, partition: PartitionId) -> Result<(), SourceError> {
        self.cluster
            .with(|state| state.assigned.remove(&(self.owner, partition)));
        Ok(())
    }
}

/// A running consumer process.
pub(super) struct Process {
    pub(super) owner: OwnerId,
    pub(super) elector: Arc<PartitionElector>,
    pub(super) shutdown: CancellationToken,
    pub(super) running: JoinHandle<LeadershipEnd>,
    pub(super) vital_tasks: Arc<ProcessTasks>,
    pub(super) cache: Arc<FakeCache>,
}

impl Process {
    pub(super) fn start(cluster: &Arc<Cluster>, number: u128) -> Self {
        let owner = owner(number);
        let mut balances = MockBalanceStore::new();
        balances.expect_load().returning(|keys| {
            Ok(LoadedBalances {
                incarnation: INCARNATION,
                balances: vec![VersionedBalance::ABSENT; keys.len()],
            })
        });
        let mut relay = MockRelaySource::new();
        relay.expect_horizon().returning(|_| {
            Ok(RelayHorizon {
                low_water: None,
                generation: 0,
                until: Timestamp::from_unix_micros(0),
                settled_to: None,
            })
        });
        relay.expect_still_init().returning(|_| Ok(Vec::new()));
        let cache = Arc::new(FakeCache::default());
        let vital_tasks = Arc::new(ProcessTasks::default());
        let ports = LeadPorts {
            clock: Arc::new(TokioClock::new()),
            layouts: cluster.clone(),
            topic: Arc::new(Topic {
                cluster: cluster.clone(),
                owner,
            }),
            registry: cluster.clone(),
            leadership: cluster.clone(),
            beat: cluster.clone(),
            reader: cluster.clone(),
            source: Arc::new(Source {
                cluster: cluster.clone(),
                owner,
            }),
            codec: cluster.codec.clone(),
            balances: Arc::new(balances),
            writer: cluster.clone(),
            cache: cache.clone(),
            relay: Arc::new(relay),
            publisher: Arc::new(MockEventPublisher::new()),
            results: cluster.clone(),
            result_source: cluster.clone(),
            vital_tasks: vital_tasks.clone(),
        };
        let rules = BalanceRuleSet::non_negative();
        let elector = Arc::new(PartitionElector::new(ports, owner, rules, settings()));
        let shutdown = CancellationToken::new();
        let (runs, stop) = (elector.clone(), shutdown.clone());
        Self {
            owner,
            elector,
            shutdown,
            running: tokio::spawn(async move { runs.run(stop).await }),
            vital_tasks,
            cache,
        }
    }

    pub(super) fn status(&self) -> LeadershipStatus {
        self.elector.status()
    }

    /// The partitions it leads, those it hands over left out.
    pub(super) fn leads(&self) -> Vec<i32> {
        let led = self.status().led;
        led.iter()
            .filter(|led| !led.draining)
            .map(|led| led.partition.value())
            .collect()
    }

    /// Ends it as `kill -9` does.
    pub(super) fn kill(&self) {
        self.running.abort();
    }
}
