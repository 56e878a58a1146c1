//! PostgreSQL: the registry, leader rows and leases, batches and their results, the layout.

use super::{Cluster, Lead};
use crate::port::batch_writer::{BatchWriter, DecidedBatch, FinalResult, WriteError, WriteReceipt};
use crate::port::change_log::ChangeLogKey;
use crate::port::consumer_registry::ConsumerRegistry;
use crate::port::layout_change::PartitionStart;
use crate::port::layout_store::{LayoutStore, StoredLayout};
use crate::port::partition_leadership::{LeaderView, PartitionLeadership, TakeOver};
use crate::port::result_codec::FinishedOutcome;
use crate::port::result_source::{ResultSource, StoredResult};
use crate::port::store_error::StoreError;
use crate::testkit::away;
use async_trait::async_trait;
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, OwnerId, PartitionId};
use axs_domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Cluster {
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
impl LayoutStore for Cluster {
    async fn load(&self) -> Result<Option<StoredLayout>, StoreError> {
        self.database().await?;
        Ok(self.with(|state| state.layout.clone()))
    }

    async fn keep_results_topic(&self, _topic: String) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn create(
        &self,
        _layout: StoredLayout,
        _starts: Vec<PartitionStart>,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }
}
