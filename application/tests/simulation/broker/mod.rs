//! Kafka as the ports promise it, with its accidents.

mod producer;
mod results;
mod source;
mod topic;

pub use producer::{Kind, SimProducer};
pub use results::{ResultLog, SimResultPublisher};
pub use source::SimSource;
pub use topic::SimTopic;

use crate::world::{World, lock};
use axs_application::port::event_topic::BrokerError;
use axs_application::port::record_source::InboundRecord;
use axs_domain::id::{Offset, PartitionId};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// A record of the topic.
#[derive(Debug, Clone)]
pub struct Record {
    pub key: Bytes,
    pub payload: Bytes,
}

impl Record {
    pub fn at(self, offset: Offset) -> InboundRecord {
        InboundRecord {
            offset,
            key: self.key,
            payload: self.payload,
        }
    }
}

/// The broker. It lives through every process.
pub struct Broker {
    pub world: Arc<World>,
    logs: Mutex<BTreeMap<PartitionId, Vec<Record>>>,
    grown: Notify,
    down: AtomicBool,
}

/// How often a client looks whether the broker is back.
const OUTAGE_LOOK: Duration = Duration::from_millis(50);

impl Broker {
    pub fn new(world: &Arc<World>, partitions: impl Iterator<Item = PartitionId>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            logs: Mutex::new(partitions.map(|p| (p, Vec::new())).collect()),
            grown: Notify::new(),
            down: AtomicBool::new(false),
        })
    }

    pub fn go_down(&self) {
        self.world.tally.count("broker outages");
        self.world.note("broker", "goes down");
        self.down.store(true, Ordering::SeqCst);
    }

    pub fn come_up(&self) {
        self.world.note("broker", "comes up");
        self.down.store(false, Ordering::SeqCst);
    }

    fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    async fn until_up(&self) {
        while self.is_down() {
            tokio::time::sleep(OUTAGE_LOOK).await;
        }
    }

    /// Writes a record at the end of a partition.
    pub fn land(&self, partition: PartitionId, record: Record) -> Offset {
        let mut logs = lock(&self.logs);
        let log = logs.get_mut(&partition).unwrap();
        log.push(record);
        let offset = offset(log.len() - 1);
        drop(logs);
        self.grown.notify_waiters();
        offset
    }

    /// Every record of a partition, in order.
    pub fn log(&self, partition: PartitionId) -> Vec<Record> {
        lock(&self.logs)[&partition].clone()
    }

    pub fn partitions(&self) -> Vec<PartitionId> {
        lock(&self.logs).keys().copied().collect()
    }

    /// The offset that the next record will get.
    pub fn end(&self, partition: PartitionId) -> Offset {
        offset(lock(&self.logs)[&partition].len())
    }

    /// Writes the last records of a partition again, as a producer does that heard of no delivery.
    pub fn deliver_again(&self, partition: PartitionId, records: usize) {
        let log = self.log(partition);
        for record in log.iter().skip(log.len().saturating_sub(records)) {
            self.land(partition, record.clone());
            self.world.tally.count("records delivered again");
        }
    }

    async fn answers(&self) -> Result<(), BrokerError> {
        self.world.travel().await;
        if self.is_down()
            || self
                .world
                .strikes(self.world.weather.rates().broker_refuses)
        {
            return Err(BrokerError::Unavailable {
                brokers: "the simulated broker".to_owned(),
                reason: "no answer".to_owned(),
            });
        }
        Ok(())
    }
}

fn offset(place: usize) -> Offset {
    Offset::try_new(i64::try_from(place).unwrap()).unwrap()
}
