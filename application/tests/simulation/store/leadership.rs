//! Leases, tokens, and the registry of consumers.

use super::table::{Lease, StoreState};
use super::{Fate, StoreClient, StoreServer, away};
use async_trait::async_trait;
use axs_application::port::consumer_registry::ConsumerRegistry;
use axs_application::port::partition_leadership::{LeaderView, PartitionLeadership, TakeOver};
use axs_application::port::store_error::StoreError;
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, OwnerId, PartitionId};
use axs_domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a candidate waits for the old leader's open transaction before it ends it.
const OLD_LEADER_PATIENCE: Duration = Duration::from_millis(200);

fn after(now: Timestamp, ttl: Duration) -> Timestamp {
    Timestamp::from_unix_micros(now.unix_micros() + i64::try_from(ttl.as_micros()).unwrap())
}

fn is_free(state: &StoreState, partition: PartitionId, owner: OwnerId, now: Timestamp) -> bool {
    state
        .leases
        .get(&partition)
        .is_none_or(|lease| lease.claim.owner == owner || lease.expires_at <= now)
}

impl StoreServer {
    async fn take_over(
        &self,
        partition: PartitionId,
        owner: OwnerId,
        ttl: Duration,
    ) -> Result<TakeOver, StoreError> {
        self.world.travel().await;
        if self.is_down() {
            return Err(away("connection refused"));
        }
        let Some(row) = self.locks.get(&partition) else {
            return Err(StoreError::Corrupt {
                store: "the simulated store".to_owned(),
                reason: format!("partition {partition} has no leader row"),
            });
        };
        {
            let now = self.now();
            let mut state = self.state();
            // Of several candidates one goes on; the others skip what is locked.
            if !is_free(&state, partition, owner, now) || !state.taking.insert(partition) {
                return Ok(TakeOver::Held);
            }
        }
        let _held = if self.breaks.fence_is_a_plain_select {
            None
        } else {
            Some(match timeout(OLD_LEADER_PATIENCE, row.lock()).await {
                Ok(held) => held,
                Err(_) => {
                    self.end_holder(partition);
                    row.lock().await
                }
            })
        };
        let now = self.now();
        let mut state = self.state();
        state.taking.remove(&partition);
        if self.is_down() {
            return Err(away("the server was stopped"));
        }
        let Some(leader) = state.leaders.get_mut(&partition) else {
            return Ok(TakeOver::Held);
        };
        let before = leader.fence.owner;
        let (fence, claim) = leader.fence.raise(owner).unwrap();
        leader.fence = fence;
        let (stored_offset, stored_record) = (leader.stored_offset, leader.stored_record);
        let results_offset = leader.results_offset;
        let layout_epoch = state.layout.layout.epoch();
        let expires_at = after(now, ttl);
        state.leases.insert(partition, Lease { claim, expires_at });
        self.world.tally.count("take-overs");
        if before.is_some_and(|before| before != owner) {
            self.world.tally.count("take-overs from another owner");
        }
        Ok(TakeOver::Taken {
            claim,
            stored_offset,
            stored_record,
            layout_epoch,
            results_offset,
        })
    }

    /// Ends the backend whose open transaction holds the leader row.
    pub(super) fn end_holder(&self, partition: PartitionId) {
        let state = self.state();
        if let Some((_, end)) = state.holders.get(&partition) {
            self.world.tally.count("holders of the leader row ended");
            end.cancel();
        }
    }
}

#[async_trait]
impl PartitionLeadership for StoreClient {
    async fn take_over(
        &self,
        partition: PartitionId,
        owner: OwnerId,
        ttl: Duration,
    ) -> Result<TakeOver, StoreError> {
        self.process.pass().await;
        let fate = self.server.fate();
        if fate == Fate::Refused {
            self.server.world.travel().await;
            return Err(away("connection refused"));
        }
        let server = Arc::clone(&self.server);
        let taking = tokio::spawn(async move { server.take_over(partition, owner, ttl).await });
        let taken = taking.await.unwrap_or_else(|died| {
            let world = &self.server.world;
            world.wrong("harness", format!("take_over: {died}"));
            Err(away("it died"))
        });
        self.server.world.travel().await;
        self.process.pass().await;
        let taken = if fate == Fate::AnswerLost {
            Err(away("connection lost"))
        } else {
            taken
        };
        self.process
            .note(&format!("take_over {partition}: {taken:?}"));
        taken
    }

    async fn renew(
        &self,
        claims: Vec<(PartitionId, Claim)>,
        ttl: Duration,
    ) -> Result<Vec<PartitionId>, StoreError> {
        self.statement("renew", move |state, now| {
            let mut held = Vec::new();
            for (partition, claim) in claims {
                // A lease that is being taken over is locked, and skipped.
                let taken = state.taking.contains(&partition);
                if let Some(lease) = state.leases.get_mut(&partition)
                    && lease.claim == claim
                    && !taken
                {
                    lease.expires_at = after(now, ttl);
                    held.push(partition);
                }
            }
            held
        })
        .await
    }

    async fn release(&self, partition: PartitionId, claim: Claim) -> Result<(), StoreError> {
        self.statement("release", move |state, now| {
            if let Some(lease) = state.leases.get_mut(&partition)
                && lease.claim == claim
            {
                lease.expires_at = now;
            }
        })
        .await
    }

    async fn results_out(
        &self,
        partition: PartitionId,
        claim: Claim,
        offset: Offset,
    ) -> Result<bool, StoreError> {
        self.statement("results_out", move |state, _| {
            let Some(leader) = state.leaders.get_mut(&partition) else {
                return false;
            };
            let moves = leader.fence.admit(claim).is_ok()
                && leader.results_offset < offset
                && offset <= leader.stored_offset;
            if moves {
                leader.results_offset = offset;
            }
            moves
        })
        .await
    }

    async fn leaders(&self) -> Result<Vec<LeaderView>, StoreError> {
        self.statement("leaders", |state, now| {
            let held_by = |partition| {
                let lease = state.leases.get(partition)?;
                (lease.expires_at > now).then_some(lease.claim.owner)
            };
            let leaders = state.leaders.iter();
            leaders
                .map(|(partition, leader)| LeaderView {
                    partition: *partition,
                    held_by: held_by(partition),
                    stored_offset: leader.stored_offset,
                })
                .collect()
        })
        .await
    }
}

#[async_trait]
impl ConsumerRegistry for StoreClient {
    async fn check_in(&self, owner: OwnerId, ttl: Duration) -> Result<Vec<OwnerId>, StoreError> {
        self.statement("check_in", move |state, now| {
            state.consumers.insert(owner, after(now, ttl));
            state.consumers.retain(|_, until| *until > now);
            state.consumers.keys().copied().collect()
        })
        .await
    }

    async fn leave(&self, owner: OwnerId) -> Result<(), StoreError> {
        self.statement("leave", move |state, _| {
            state.consumers.remove(&owner);
        })
        .await
    }

    async fn places(&self) -> Result<BTreeMap<OwnerId, String>, StoreError> {
        Ok(BTreeMap::new())
    }
}
