//! What a process asks of the topic.

use super::{Broker, Record, offset};
use crate::process::Process;
use async_trait::async_trait;
use axs_application::port::event_topic::{BrokerError, EventTopic, LogBounds, TopicDescription};
use axs_application::port::record_reader::RecordReader;
use axs_application::port::record_source::InboundRecord;
use axs_domain::id::{Offset, PartitionId};
use std::sync::Arc;

/// One process's questions.
pub struct SimTopic {
    pub broker: Arc<Broker>,
    pub process: Arc<Process>,
    pub described: TopicDescription,
}

#[async_trait]
impl EventTopic for SimTopic {
    async fn describe(&self) -> Result<TopicDescription, BrokerError> {
        self.process.pass().await;
        let answer = self.broker.answers().await;
        self.process.pass().await;
        self.process.note(&format!("describe: {}", answer.is_ok()));
        answer.map(|()| self.described.clone())
    }

    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, BrokerError> {
        self.process.pass().await;
        let answer = self.broker.answers().await;
        let end = self.broker.end(partition);
        self.process.pass().await;
        self.process
            .note(&format!("bounds {partition}: {end} {}", answer.is_ok()));
        answer.map(|()| LogBounds {
            start: Offset::MIN,
            end,
        })
    }

    async fn create(&self, _partition_count: usize) -> Result<bool, BrokerError> {
        Ok(false)
    }

    async fn grow(&self, _partition_count: usize) -> Result<(), BrokerError> {
        Ok(())
    }
}

#[async_trait]
impl RecordReader for SimTopic {
    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        until: Offset,
        records_max: usize,
    ) -> Result<Vec<InboundRecord>, BrokerError> {
        self.process.pass().await;
        let answer = self.broker.answers().await;
        let found = self.slice(partition, from, records_max);
        self.process.pass().await;
        self.process.note(&format!(
            "read {partition} {from}..{until}: {}",
            answer.is_ok()
        ));
        answer.map(|()| {
            let found = found.into_iter();
            let wanted = found.take_while(|(offset, _)| *offset < until);
            wanted.map(|(offset, record)| record.at(offset)).collect()
        })
    }
}

impl SimTopic {
    /// The records from an offset on.
    pub fn slice(&self, partition: PartitionId, from: Offset, max: usize) -> Vec<(Offset, Record)> {
        let begin = usize::try_from(from.value()).unwrap();
        let log = self.broker.log(partition);
        let records = log.into_iter().enumerate().skip(begin).take(max);
        records
            .map(|(place, record)| (offset(place), record))
            .collect()
    }
}
