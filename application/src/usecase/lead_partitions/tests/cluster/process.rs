//! A consumer process on the cluster.

use super::Cluster;
use super::broker::{Source, Topic};
use crate::port::balance_store::{LoadedBalances, MockBalanceStore};
use crate::port::event_publisher::MockEventPublisher;
use crate::port::relay_source::{MockRelaySource, RelayHorizon, RelayPage};
use crate::testkit::INCARNATION;
use crate::usecase::lead_partitions::tests::settings::settings;
use crate::usecase::lead_partitions::{
    LeadPartitions, LeadPorts, LeadershipEnd, LeadershipStatus, PartitionElector,
};
use crate::usecase::process_partition::fakes::{FakeCache, TokioClock, owner};
use crate::usecase::vital_tasks::ProcessTasks;
use axs_domain::balance::VersionedBalance;
use axs_domain::id::OwnerId;
use axs_domain::rule::BalanceRuleSet;
use axs_domain::time::Timestamp;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running consumer process.
pub(in super::super) struct Process {
    pub(in super::super) owner: OwnerId,
    elector: Arc<PartitionElector>,
    pub(in super::super) shutdown: CancellationToken,
    pub(in super::super) running: JoinHandle<LeadershipEnd>,
    pub(in super::super) vital_tasks: Arc<ProcessTasks>,
    pub(in super::super) cache: Arc<FakeCache>,
}

impl Process {
    pub(in super::super) fn start(cluster: &Arc<Cluster>, number: u128) -> Self {
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
        relay.expect_still_init().returning(|scan| {
            Ok(RelayPage {
                rows: Vec::new(),
                read_to: scan.until,
            })
        });
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

    pub(in super::super) fn status(&self) -> LeadershipStatus {
        self.elector.status()
    }

    /// The partitions it leads, those it hands over left out.
    pub(in super::super) fn leads(&self) -> Vec<i32> {
        let led = self.status().led;
        led.iter()
            .filter(|led| !led.draining)
            .map(|led| led.partition.value())
            .collect()
    }

    /// Ends it as `kill -9` does.
    pub(in super::super) fn kill(&self) {
        self.running.abort();
    }
}
