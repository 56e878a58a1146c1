//! What a process reads: each assigned partition in order.

use super::{Broker, SimTopic};
use crate::process::Process;
use crate::world::lock;
use async_trait::async_trait;
use axs_application::port::record_source::{RecordSource, SourceError, SourceEvent};
use axs_domain::id::{Offset, PartitionId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Events that wait for a worker.
const CHANNEL: usize = 2;

/// One process's consumer.
pub struct SimSource {
    topic: Arc<SimTopic>,
    broker: Arc<Broker>,
    process: Arc<Process>,
    assigned: Mutex<BTreeMap<PartitionId, AbortHandle>>,
}

impl SimSource {
    pub fn new(topic: &Arc<SimTopic>) -> Self {
        Self {
            broker: Arc::clone(&topic.broker),
            process: Arc::clone(&topic.process),
            topic: Arc::clone(topic),
            assigned: Mutex::default(),
        }
    }
}

/// Reads on for ever, as far as the worker takes it.
async fn feed(
    topic: Arc<SimTopic>,
    partition: PartitionId,
    mut from: Offset,
    records: mpsc::Sender<SourceEvent>,
) {
    let (broker, process) = (&topic.broker, &topic.process);
    let world = &broker.world;
    loop {
        process.pass().await;
        broker.until_up().await;
        world.travel().await;
        process.pass().await;
        if world.strikes(world.weather.rates().source_breaks) {
            world.tally.count("sources broken");
            let _ = records
                .send(SourceEvent::Broken("it broke".to_owned()))
                .await;
            return;
        }
        let max = usize::try_from(world.pick(1..12)).unwrap();
        let grown = broker.grown.notified();
        let found = topic.slice(partition, from, max);
        let Some((last, _)) = found.last() else {
            grown.await;
            continue;
        };
        from = last.next();
        let found = found.into_iter();
        let read = SourceEvent::Records(found.map(|(at, record)| record.at(at)).collect());
        process.note(&format!("reads {partition} up to {from}"));
        if records.send(read).await.is_err() {
            return;
        }
    }
}

#[async_trait]
impl RecordSource for SimSource {
    async fn assign(
        &self,
        partition: PartitionId,
        from: Offset,
    ) -> Result<mpsc::Receiver<SourceEvent>, SourceError> {
        self.process.pass().await;
        self.process.note(&format!("assign {partition} at {from}"));
        let (sender, receiver) = mpsc::channel(CHANNEL);
        if from > self.broker.end(partition) {
            let what = format!("partition {partition} is read past its end, at {from}");
            self.broker.world.wrong("I7", what);
        }
        let feeding = tokio::spawn(feed(Arc::clone(&self.topic), partition, from, sender));
        let before = lock(&self.assigned).insert(partition, feeding.abort_handle());
        if let Some(before) = before {
            before.abort();
            return Err(SourceError {
                partition,
                reason: "it is assigned already".to_owned(),
            });
        }
        Ok(receiver)
    }

    async fn unassign(&self, partition: PartitionId) -> Result<(), SourceError> {
        self.process.pass().await;
        self.process.note(&format!("unassign {partition}"));
        if let Some(feeding) = lock(&self.assigned).remove(&partition) {
            feeding.abort();
        }
        Ok(())
    }
}
