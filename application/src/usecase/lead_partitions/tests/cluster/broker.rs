//! Kafka: the topics and their records.

use super::{Cluster, Process, State};
use crate::port::event_codec::{EnvelopeHeader, EventCodec};
use crate::port::event_publisher::{Delivery, PublishError};
use crate::port::event_topic::{BrokerError, EventTopic, LogBounds, TopicDescription};
use crate::port::record_reader::RecordReader;
use crate::port::record_source::{InboundRecord, RecordSource, SourceError, SourceEvent};
use crate::port::result_codec::FinishedEvent;
use crate::port::result_publisher::ResultPublisher;
use crate::testkit::{EventBuilder, account, log_id, stored_layout};
use crate::usecase::process_partition::fakes::offset;
use async_trait::async_trait;
use axs_domain::id::{LayoutEpoch, Offset, OwnerId, PartitionId};
use axs_domain::time::Timestamp;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

impl Cluster {
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
    pub(in super::super) fn record(&self, partition: i32, at: i64) -> SourceEvent {
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
    pub(in super::super) fn say(&self, process: &Process, partition: i32, event: SourceEvent) {
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
    pub(in super::super) fn write_unseen(&self, partition: i32, at: i64) {
        let SourceEvent::Records(records) = self.record(partition, at) else {
            return;
        };
        let partition = PartitionId::try_new(partition).unwrap();
        self.with(|state| {
            let log = &mut state.leads.get_mut(&partition).unwrap().records;
            log.extend(records.into_iter().map(|record| (record.offset, record)));
        });
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

/// The topic as one process sees it.
pub(super) struct Topic {
    pub(super) cluster: Arc<Cluster>,
    pub(super) owner: OwnerId,
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

/// The source of one process.
pub(super) struct Source {
    pub(super) cluster: Arc<Cluster>,
    pub(super) owner: OwnerId,
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
