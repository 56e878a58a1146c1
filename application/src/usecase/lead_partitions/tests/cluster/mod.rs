//! PostgreSQL, Kafka and Redis as an elector sees them, in memory; they hang when told to.

mod broker;
mod database;
mod process;
mod redis;

pub(super) use process::Process;

use crate::port::change_log::ChangeLogKey;
use crate::port::event_topic::{LogBounds, TopicDescription};
use crate::port::layout_store::StoredLayout;
use crate::port::record_source::{InboundRecord, SourceEvent};
use crate::port::result_source::StoredResult;
use crate::testkit::{INCARNATION, TableCodec, stored_layout};
use crate::usecase::process_partition::fakes::offset;
use axs_domain::fencing::{Claim, Fence};
use axs_domain::id::{LayoutEpoch, Offset, OwnerId, PartitionId};
use axs_domain::record_digest::RecordDigest;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

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

    pub(super) fn writes(&self) -> usize {
        self.with(|state| state.writes.len())
    }
}
