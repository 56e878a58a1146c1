//! Leading partitions: one election loop per process, one term per led partition.
//!
//! ```text
//!   look ──▶ quota ──▶ take over ──▶ term: assign, worker, relay, ──▶ unassign, release
//!                                          results
//!    ▲         │                       ▲          ▲
//!    │         └─▶ hand over (drain) ──┘          └── revoke: at two thirds of the lease, or
//!    └── every third of the lease, sooner when         when a renewal says it is lost
//!        a leader's beat falls silent
//! ```
//!
//! # What holds
//! - Nothing waits for a server: every question is a task with a time limit, and the loop acts on
//!   answers and timers. A database that hangs can't keep a lease past its time.
//! - The process counts its leases from *before* the request that was confirmed, on a monotonic
//!   clock, so its own count always ends before PostgreSQL's.
//! - Nobody leads on a topic that is not the layout's: another cluster, another number of
//!   partitions, a log that begins after or ends before the stored offset, or one whose record
//!   before it is another than the one processed, is refused with what to do, and looked at again
//!   slowly. A process that can't read the topic does not enter the registry, so that no partitions
//!   are kept free for it.
//! - A partition of which nothing can be read from here is given up, see `reading_watch`.
//! - A partition that was stopped for a reason that a person must look at is tried again after a
//!   pause; it never spins.

mod choose;
mod elector;
mod guard;
mod questions;
mod reading_watch;
mod settings;
mod status;
mod term;

#[cfg(test)]
mod tests;

pub use settings::LeadSettings;
pub use status::{LeadershipStatus, LedPartition, RefusedPartition};

use super::process_partition::{CacheFeed, PreloadTurns, WorkerPorts};
use super::publish_results::ResultPorts;
use super::relay_lost_events::RelayPorts;
use super::vital_tasks::{VitalTasks, vital};
use crate::port::balance_cache::BalanceCache;
use crate::port::balance_store::BalanceStore;
use crate::port::batch_writer::BatchWriter;
use crate::port::clock::Clock;
use crate::port::consumer_registry::ConsumerRegistry;
use crate::port::event_codec::EventCodec;
use crate::port::event_publisher::EventPublisher;
use crate::port::event_topic::EventTopic;
use crate::port::layout_store::LayoutStore;
use crate::port::leader_beat::LeaderBeat;
use crate::port::partition_leadership::PartitionLeadership;
use crate::port::record_reader::RecordReader;
use crate::port::record_source::RecordSource;
use crate::port::relay_source::RelaySource;
use crate::port::result_publisher::ResultPublisher;
use crate::port::result_source::ResultSource;
use async_trait::async_trait;
use axs_domain::id::{OwnerId, PartitionId};
use axs_domain::rule::BalanceRuleSet;
use elector::Elector;
use questions::ElectorPorts;
use settings::CACHE_FLUSH_MAX;
use shaku::{Component, Interface};
use status::StatusBoard;
use std::sync::Arc;
use term::TermPorts;
use tokio_util::sync::CancellationToken;

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeadershipEnd {
    /// Partitions whose term was cut off at the deadline. Nothing is lost by it: their leases end
    /// by themselves, and what was not stored is decided by the successor.
    pub cut_off: Vec<PartitionId>,
}

/// Leads this process's share of the partitions.
#[async_trait]
pub trait LeadPartitions: Interface {
    /// Leads until told to stop, then drains: batches in flight are finished, offsets stored,
    /// leases released and the registry left, within the configured deadline.
    ///
    /// Servers that are away are waited for, and said so in [`LeadPartitions::status`]. Run once
    /// per process.
    async fn run(&self, shutdown: CancellationToken) -> LeadershipEnd;

    /// Where it stands now.
    fn status(&self) -> LeadershipStatus;
}

/// The election loop and its terms.
#[derive(Component)]
#[shaku(interface = LeadPartitions)]
pub struct PartitionElector {
    #[shaku(inject)]
    clock: Arc<dyn Clock>,
    #[shaku(inject)]
    layouts: Arc<dyn LayoutStore>,
    #[shaku(inject)]
    topic: Arc<dyn EventTopic>,
    #[shaku(inject)]
    registry: Arc<dyn ConsumerRegistry>,
    #[shaku(inject)]
    leadership: Arc<dyn PartitionLeadership>,
    #[shaku(inject)]
    beat: Arc<dyn LeaderBeat>,
    #[shaku(inject)]
    reader: Arc<dyn RecordReader>,
    #[shaku(inject)]
    source: Arc<dyn RecordSource>,
    #[shaku(inject)]
    codec: Arc<dyn EventCodec>,
    #[shaku(inject)]
    balances: Arc<dyn BalanceStore>,
    #[shaku(inject)]
    writer: Arc<dyn BatchWriter>,
    #[shaku(inject)]
    cache: Arc<dyn BalanceCache>,
    #[shaku(inject)]
    relay: Arc<dyn RelaySource>,
    #[shaku(inject)]
    publisher: Arc<dyn EventPublisher>,
    #[shaku(inject)]
    results: Arc<dyn ResultPublisher>,
    #[shaku(inject)]
    result_source: Arc<dyn ResultSource>,
    #[shaku(inject)]
    vital_tasks: Arc<dyn VitalTasks>,
    /// The random id of this run of the process.
    #[shaku(default = unreachable!("bootstrap gives the owner's id"))]
    owner: OwnerId,
    /// The rules of the deployment.
    #[shaku(default = BalanceRuleSet::non_negative())]
    rules: BalanceRuleSet,
    /// Times and bounds.
    #[shaku(default = unreachable!("the settings are given by whoever builds the container"))]
    settings: LeadSettings,
    #[shaku(force_default)]
    board: Arc<StatusBoard>,
}

#[async_trait]
impl LeadPartitions for PartitionElector {
    async fn run(&self, shutdown: CancellationToken) -> LeadershipEnd {
        let feed = Arc::new(CacheFeed::new(Arc::clone(&self.cache)));
        let stop_feed = CancellationToken::new();
        let feeding = {
            let (feed, stop) = (Arc::clone(&feed), stop_feed.clone());
            let feeding = async move { feed.run(stop).await };
            let tasks = Arc::clone(&self.vital_tasks);
            tokio::spawn(vital(tasks, "cache feed", stop_feed.clone(), feeding))
        };
        let end = Elector::new(self.elector_ports(Arc::clone(&feed)))
            .run(shutdown)
            .await;
        stop_feed.cancel();
        // After its death what made it die would do so here.
        if let Ok(Ok(Ok(()))) = tokio::time::timeout(CACHE_FLUSH_MAX, feeding).await {
            feed.flush(CACHE_FLUSH_MAX).await;
        }
        end
    }

    fn status(&self) -> LeadershipStatus {
        self.board.read()
    }
}

/// The ports of a [`PartitionElector`], for building one without the container.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the port that its type names")]
pub struct LeadPorts {
    pub clock: Arc<dyn Clock>,
    pub layouts: Arc<dyn LayoutStore>,
    pub topic: Arc<dyn EventTopic>,
    pub registry: Arc<dyn ConsumerRegistry>,
    pub leadership: Arc<dyn PartitionLeadership>,
    pub beat: Arc<dyn LeaderBeat>,
    pub reader: Arc<dyn RecordReader>,
    pub source: Arc<dyn RecordSource>,
    pub codec: Arc<dyn EventCodec>,
    pub balances: Arc<dyn BalanceStore>,
    pub writer: Arc<dyn BatchWriter>,
    pub cache: Arc<dyn BalanceCache>,
    pub relay: Arc<dyn RelaySource>,
    pub publisher: Arc<dyn EventPublisher>,
    pub results: Arc<dyn ResultPublisher>,
    pub result_source: Arc<dyn ResultSource>,
    pub vital_tasks: Arc<dyn VitalTasks>,
}

impl PartitionElector {
    /// An elector over these ports; `owner` is the random id of this run of the process.
    #[must_use]
    pub fn new(
        ports: LeadPorts,
        owner: OwnerId,
        rules: BalanceRuleSet,
        settings: LeadSettings,
    ) -> Self {
        let LeadPorts {
            clock,
            layouts,
            topic,
            registry,
            leadership,
            beat,
            reader,
            source,
            codec,
            balances,
            writer,
            cache,
            relay,
            publisher,
            results,
            result_source,
            vital_tasks,
        } = ports;
        Self {
            clock,
            layouts,
            topic,
            registry,
            leadership,
            beat,
            reader,
            source,
            codec,
            balances,
            writer,
            cache,
            relay,
            publisher,
            results,
            result_source,
            vital_tasks,
            owner,
            rules,
            settings,
            board: Arc::default(),
        }
    }

    fn elector_ports(&self, feed: Arc<CacheFeed>) -> ElectorPorts {
        ElectorPorts {
            clock: Arc::clone(&self.clock),
            layouts: Arc::clone(&self.layouts),
            topic: Arc::clone(&self.topic),
            registry: Arc::clone(&self.registry),
            leadership: Arc::clone(&self.leadership),
            beat: Arc::clone(&self.beat),
            reader: Arc::clone(&self.reader),
            owner: self.owner,
            settings: self.settings.clone(),
            board: Arc::clone(&self.board),
            term: TermPorts {
                source: Arc::clone(&self.source),
                leadership: Arc::clone(&self.leadership),
                topic: Arc::clone(&self.topic),
                results: ResultPorts {
                    publisher: Arc::clone(&self.results),
                    source: Arc::clone(&self.result_source),
                    reader: Arc::clone(&self.reader),
                    topic: Arc::clone(&self.topic),
                    codec: Arc::clone(&self.codec),
                    leadership: Arc::clone(&self.leadership),
                    cache: Arc::clone(&feed),
                    cache_moot_after: self.settings.cache_moot_after,
                },
                worker: WorkerPorts {
                    codec: Arc::clone(&self.codec),
                    balances: Arc::clone(&self.balances),
                    writer: Arc::clone(&self.writer),
                    clock: Arc::clone(&self.clock),
                    cache: feed,
                    rules: Arc::new(self.rules.clone()),
                    preload_turns: PreloadTurns::default(),
                    settings: self.settings.process.clone(),
                },
                relay: RelayPorts {
                    source: Arc::clone(&self.relay),
                    topic: Arc::clone(&self.topic),
                    reader: Arc::clone(&self.reader),
                    publisher: Arc::clone(&self.publisher),
                    codec: Arc::clone(&self.codec),
                    clock: Arc::clone(&self.clock),
                    settings: self.settings.relay.clone(),
                },
            },
        }
    }
}
