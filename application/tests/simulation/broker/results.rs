//! The result topic: a broker of its own, and one process's way to it.

use super::{Broker, SimProducer};
use crate::world::lock;
use async_trait::async_trait;
use axs_application::port::event_publisher::{
    Delivery, EventPublisher, OutboundRecord, PublishError,
};
use axs_application::port::result_codec::FinishedEvent;
use axs_application::port::result_publisher::ResultPublisher;
use axs_domain::id::PartitionId;
use bytes::Bytes;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The result topic. Its records are places in a table.
pub struct ResultLog {
    pub broker: Arc<Broker>,
    table: Mutex<Vec<FinishedEvent>>,
}

impl ResultLog {
    pub fn new(broker: Arc<Broker>) -> Arc<Self> {
        Arc::new(Self {
            broker,
            table: Mutex::default(),
        })
    }

    fn encode(&self, finished: &FinishedEvent) -> Bytes {
        let mut table = lock(&self.table);
        table.push(finished.clone());
        Bytes::copy_from_slice(&(table.len() - 1).to_be_bytes())
    }

    /// Every record of a partition, in order.
    pub fn read(&self, partition: PartitionId) -> Vec<FinishedEvent> {
        let table = lock(&self.table);
        let place = |payload: &[u8]| usize::from_be_bytes(payload.try_into().unwrap());
        let records = self.broker.log(partition);
        let results = records.iter().map(|it| table[place(&it.payload)].clone());
        results.collect()
    }
}

/// One process's way to the result topic.
pub struct SimResultPublisher {
    pub log: Arc<ResultLog>,
    pub producer: Arc<SimProducer>,
}

#[async_trait]
impl ResultPublisher for SimResultPublisher {
    fn enqueue(&self, finished: &FinishedEvent) -> Result<Delivery, PublishError> {
        self.producer.enqueue(OutboundRecord {
            partition: finished.partition,
            account_id: finished.event.account_id(),
            payload: self.log.encode(finished),
        })
    }

    async fn flush(&self, timeout: Duration) -> bool {
        self.producer.flush(timeout).await
    }
}
