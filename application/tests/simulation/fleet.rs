//! The processes: API and consumer, each the real use cases over simulated ports.

use crate::broker::{
    Broker, Kind, ResultLog, SimProducer, SimResultPublisher, SimSource, SimTopic,
};
use crate::cache::{CacheClient, CacheServer};
use crate::process::{Process, SimClock, SimLogIds};
use crate::settings;
use crate::store::{StoreClient, StoreServer};
use crate::world::{World, lock};
use axs_application::port::event_topic::TopicDescription;
use axs_application::testkit::{TableCodec, log_id};
use axs_application::usecase::account_lookup::RememberedAccounts;
use axs_application::usecase::backlog::PartitionBacklog;
use axs_application::usecase::currency_lookup::CurrencySnapshot;
use axs_application::usecase::incarnation_lookup::IncarnationSeen;
use axs_application::usecase::layout_lookup::LayoutSnapshot;
use axs_application::usecase::lead_partitions::{
    LeadPartitions, LeadPorts, LeadershipEnd, PartitionElector,
};
use axs_application::usecase::log_changes::{GroupCommit, LogChanges};
use axs_application::usecase::publish_events::{OrderedPublishing, PublishEvents, PublishHealth};
use axs_application::usecase::submit_balance_changes::BalanceChangeSubmission;
use axs_application::usecase::vital_tasks::ProcessTasks;
use axs_domain::id::OwnerId;
use axs_domain::rule::BalanceRuleSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a process that is told to stop may take.
const DRAIN_MAX: Duration = Duration::from_secs(4);
/// How long a consumer may take to stop, pauses included, before something is wrong.
const STOP_MAX: Duration = Duration::from_secs(40);

/// The servers that outlive every process.
pub struct Servers {
    pub world: Arc<World>,
    pub store: Arc<StoreServer>,
    pub broker: Arc<Broker>,
    pub cache: Arc<CacheServer>,
    pub results: Arc<ResultLog>,
    pub codec: Arc<TableCodec>,
    pub rules: BalanceRuleSet,
    started: AtomicU64,
}

impl Servers {
    pub fn new(
        store: Arc<StoreServer>,
        broker: Arc<Broker>,
        cache: Arc<CacheServer>,
        results: Arc<ResultLog>,
        rules: BalanceRuleSet,
    ) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(&store.world),
            store,
            broker,
            cache,
            results,
            codec: Arc::default(),
            rules,
            started: AtomicU64::new(0),
        })
    }

    fn process(&self, kind: &str, slot: usize) -> Arc<Process> {
        let number = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        let name = format!("{kind}-{slot}#{number}");
        Process::start(&self.world, &name, number)
    }

    fn store_of(&self, process: &Arc<Process>) -> Arc<StoreClient> {
        Arc::new(StoreClient {
            server: Arc::clone(&self.store),
            process: Arc::clone(process),
        })
    }

    fn topic_of(&self, process: &Arc<Process>) -> Arc<SimTopic> {
        let layout = self.store.state().layout.clone();
        Arc::new(SimTopic {
            broker: Arc::clone(&self.broker),
            process: Arc::clone(process),
            described: TopicDescription {
                topic: layout.events_topic,
                cluster_id: layout.cluster_id,
                partition_count: Some(layout.layout.partition_count()),
            },
        })
    }
}

/// `bootstrap grpc`.
pub struct Api {
    pub process: Arc<Process>,
    pub submission: BalanceChangeSubmission,
    log: Arc<GroupCommit>,
    publishing: Arc<OrderedPublishing>,
}

impl Api {
    fn start(servers: &Servers, slot: usize) -> Arc<Self> {
        let process = servers.process("api", slot);
        let store = servers.store_of(&process);
        let producer = SimProducer::start(
            &servers.broker,
            &process,
            settings::PRODUCER_QUEUE,
            Kind::Gapless,
        );
        let backlog = Arc::new(PartitionBacklog::new(
            store.clone(),
            servers.topic_of(&process),
            settings::backlog(),
        ));
        let publishing = Arc::new(OrderedPublishing::new(
            producer,
            store.clone(),
            backlog.clone(),
            Arc::new(ProcessTasks::default()),
            settings::publishing(),
        ));
        let layouts = Arc::new(LayoutSnapshot::new(store.clone()));
        let incarnations = Arc::new(IncarnationSeen::new(store.clone()));
        let log = Arc::new(GroupCommit::new(
            store.clone(),
            publishing.clone(),
            servers.codec.clone(),
            Arc::new(SimLogIds(Arc::clone(&process))),
            layouts.clone(),
            incarnations.clone(),
            Arc::new(ProcessTasks::default()),
            settings::logging(),
        ));
        let submission = BalanceChangeSubmission::new(
            Arc::new(RememberedAccounts::new(
                store.clone(),
                incarnations,
                settings::looking_up(),
            )),
            Arc::new(CurrencySnapshot::new(store.clone())),
            layouts,
            servers.codec.clone(),
            log.clone(),
            store.clone(),
            backlog,
            settings::submitting(),
        );
        process.note("starts");
        Arc::new(Self {
            process,
            submission,
            log,
            publishing,
        })
    }

    pub fn publishes(&self) -> bool {
        !matches!(self.publishing.health(), PublishHealth::Broken(_))
    }

    async fn drain(&self) {
        self.log.drain(DRAIN_MAX).await;
        self.publishing.drain(DRAIN_MAX).await;
    }
}

/// `bootstrap consumer`.
pub struct Consumer {
    pub process: Arc<Process>,
    shutdown: CancellationToken,
    running: Mutex<Option<JoinHandle<LeadershipEnd>>>,
}

impl Consumer {
    fn start(servers: &Servers, slot: usize) -> Arc<Self> {
        let process = servers.process("consumer", slot);
        let store = servers.store_of(&process);
        let topic = servers.topic_of(&process);
        let cache = Arc::new(CacheClient {
            server: Arc::clone(&servers.cache),
            process: Arc::clone(&process),
        });
        let publisher = SimProducer::start(
            &servers.broker,
            &process,
            settings::PRODUCER_QUEUE,
            Kind::GoesOn,
        );
        let results = SimResultPublisher {
            log: Arc::clone(&servers.results),
            producer: SimProducer::start(
                &servers.results.broker,
                &process,
                settings::PRODUCER_QUEUE,
                Kind::Results,
            ),
        };
        let ports = LeadPorts {
            clock: Arc::new(SimClock(Arc::clone(&process))),
            layouts: store.clone(),
            topic: topic.clone(),
            reader: topic.clone(),
            registry: store.clone(),
            leadership: store.clone(),
            beat: cache.clone(),
            source: Arc::new(SimSource::new(&topic)),
            codec: servers.codec.clone(),
            balances: store.clone(),
            writer: store.clone(),
            cache,
            relay: store.clone(),
            publisher,
            results: Arc::new(results),
            result_source: store,
            vital_tasks: Arc::new(ProcessTasks::default()),
        };
        let owner = OwnerId::new(log_id(u128::from(process.number)).uuid());
        let elector =
            PartitionElector::new(ports, owner, servers.rules.clone(), settings::leading());
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        process.note("starts");
        Arc::new(Self {
            process,
            shutdown,
            running: Mutex::new(Some(tokio::spawn(async move { elector.run(stop).await }))),
        })
    }

    fn kill(&self) {
        self.process.kill();
        if let Some(running) = lock(&self.running).take() {
            running.abort();
        }
    }

    async fn drain(&self) {
        self.shutdown.cancel();
        let running = lock(&self.running).take();
        if let Some(running) = running {
            tokio::select! {
                biased;
                () = self.process.death() => {}
                ended = tokio::time::timeout(STOP_MAX, running) => {
                    if ended.is_err() {
                        let what = format!("{} does not stop", self.process.name);
                        self.process.world.wrong("I12", what);
                    }
                }
            }
        }
    }
}

/// Every process that runs, each in its slot.
pub struct Fleet {
    pub servers: Arc<Servers>,
    apis: Mutex<Vec<Option<Arc<Api>>>>,
    consumers: Mutex<Vec<Option<Arc<Consumer>>>>,
}

impl Fleet {
    pub fn new(servers: Arc<Servers>, apis: usize, consumers: usize) -> Arc<Self> {
        let fleet = Self {
            servers,
            apis: Mutex::new(vec![None; apis]),
            consumers: Mutex::new(vec![None; consumers]),
        };
        fleet.start_missing();
        Arc::new(fleet)
    }

    pub fn start_missing(&self) {
        for (slot, api) in lock(&self.apis).iter_mut().enumerate() {
            api.get_or_insert_with(|| Api::start(&self.servers, slot));
        }
        for (slot, consumer) in lock(&self.consumers).iter_mut().enumerate() {
            consumer.get_or_insert_with(|| Consumer::start(&self.servers, slot));
        }
    }

    pub fn api_count(&self) -> usize {
        lock(&self.apis).len()
    }

    pub fn consumer_count(&self) -> usize {
        lock(&self.consumers).len()
    }

    pub fn api(&self, slot: usize) -> Option<Arc<Api>> {
        lock(&self.apis)[slot].clone()
    }

    pub fn consumer(&self, slot: usize) -> Option<Arc<Consumer>> {
        lock(&self.consumers)[slot].clone()
    }

    pub fn kill_api(&self, slot: usize) {
        if let Some(api) = lock(&self.apis)[slot].take() {
            self.servers.world.tally.count("processes killed: api");
            api.process.kill();
        }
    }

    pub fn kill_consumer(&self, slot: usize) {
        if let Some(consumer) = lock(&self.consumers)[slot].take() {
            self.servers.world.tally.count("processes killed: consumer");
            consumer.kill();
        }
    }

    pub async fn drain_api(&self, slot: usize) {
        let api = lock(&self.apis)[slot].take();
        if let Some(api) = api {
            self.servers.world.tally.count("processes drained");
            api.process.note("drains");
            api.drain().await;
            api.process.kill();
        }
    }

    pub async fn drain_consumer(&self, slot: usize) {
        let consumer = lock(&self.consumers)[slot].take();
        if let Some(consumer) = consumer {
            self.servers.world.tally.count("processes drained");
            consumer.process.note("drains");
            consumer.drain().await;
            consumer.process.kill();
        }
    }

    /// Resumes whatever is paused.
    pub fn resume_all(&self) {
        for api in lock(&self.apis).iter().flatten() {
            api.process.resume();
        }
        for consumer in lock(&self.consumers).iter().flatten() {
            consumer.process.resume();
        }
    }

    /// Kills API processes that say that they publish no more: whoever operates them restarts
    /// them.
    pub fn replace_the_broken(&self) {
        for slot in 0..self.api_count() {
            if self.api(slot).is_some_and(|api| !api.publishes()) {
                self.servers.world.tally.count("apis restarted as broken");
                self.kill_api(slot);
            }
        }
        self.start_missing();
    }
}
