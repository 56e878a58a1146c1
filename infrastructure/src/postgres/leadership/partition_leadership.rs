//! [`PartitionLeadership`] over the leader rows and the lease rows.

use super::stale_backend::past_stale_backend;
use crate::postgres::batch::millis;
use crate::postgres::error::StoreName;
use crate::postgres::pool::Database;
use async_trait::async_trait;
use axs_application::port::partition_leadership::{LeaderView, PartitionLeadership, TakeOver};
use axs_application::port::store_error::StoreError;
use axs_domain::fencing::Claim;
use axs_domain::id::{FencingToken, IdError, LayoutEpoch, Offset, OwnerId, PartitionId};
use axs_domain::incarnation::Incarnation;
use axs_domain::record_digest::RecordDigest;
use shaku::Component;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Executor, PgPool, Row};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const IS_FREE: &str = include_str!("../sql/leadership/is_free.sql");
const LOCK_FREE_LEASE: &str = include_str!("../sql/leadership/lock_free_lease.sql");
const RAISE_TOKEN: &str = include_str!("../sql/leadership/raise_token.sql");
const GRANT_LEASE: &str = include_str!("../sql/leadership/grant_lease.sql");
const RENEW_LEASES: &str = include_str!("../sql/leadership/renew_leases.sql");
const RELEASE_LEASE: &str = include_str!("../sql/leadership/release_lease.sql");
const RESULTS_OUT: &str = include_str!("../sql/leadership/results_out.sql");
const LEADERS: &str = include_str!("../sql/leadership/leaders.sql");

/// The bounds of taking over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeadershipSettings {
    /// How long a candidate waits for the open transaction of the old leader, whose lease has
    /// ended, before it ends that transaction's backend.
    pub old_leader_patience: Duration,
}

impl Default for LeadershipSettings {
    fn default() -> Self {
        Self {
            old_leader_patience: Duration::from_secs(1),
        }
    }
}

/// [`PartitionLeadership`] in PostgreSQL.
///
/// Taking over may wait for the old leader, so it uses the query pool; heartbeats use the
/// operations pool and never stand behind it.
#[derive(Component)]
#[shaku(interface = PartitionLeadership)]
pub struct PgPartitionLeadership {
    #[shaku(inject)]
    database: Arc<dyn Database>,
    /// The bounds.
    #[shaku(default)]
    settings: LeadershipSettings,
}

impl PgPartitionLeadership {
    /// Leadership in this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, settings: LeadershipSettings) -> Self {
        Self { database, settings }
    }

    fn failed(&self, error: &sqlx::Error) -> StoreError {
        StoreName {
            address: self.database.address(),
        }
        .sqlx(error)
    }
}

#[async_trait]
impl PartitionLeadership for PgPartitionLeadership {
    async fn take_over(
        &self,
        partition: PartitionId,
        owner: OwnerId,
        ttl: Duration,
    ) -> Result<TakeOver, StoreError> {
        let candidate = Candidate {
            pool: self.database.queries().clone(),
            partition,
            owner,
            ttl,
            patience: self.settings.old_leader_patience,
        };
        // A task of its own: a caller that is cancelled must not leave the leader row locked.
        match tokio::spawn(candidate.take_over()).await {
            Ok(taken) => taken.map_err(|error| self.failed(&error)),
            Err(ended) => Err(self.failed(&sqlx::Error::Io(std::io::Error::other(ended)))),
        }
    }

    async fn renew(
        &self,
        claims: Vec<(PartitionId, Claim)>,
        ttl: Duration,
    ) -> Result<Vec<PartitionId>, StoreError> {
        let partitions: Vec<i32> = claims.iter().map(|(p, _)| p.value()).collect();
        let tokens: Vec<i64> = claims.iter().map(|(_, c)| c.token.value()).collect();
        let owners: Vec<Uuid> = claims.iter().map(|(_, c)| c.owner.uuid()).collect();
        let incarnations: Vec<i64> = claims.iter().map(|(_, c)| c.incarnation.value()).collect();
        let renewed: Result<Vec<i32>, sqlx::Error> = sqlx::query_scalar(RENEW_LEASES)
            .bind(partitions)
            .bind(tokens)
            .bind(owners)
            .bind(incarnations)
            .bind(lease_millis(ttl))
            .fetch_all(self.database.operations())
            .await;
        renewed
            .and_then(|numbers| {
                numbers
                    .into_iter()
                    .map(|number| PartitionId::try_new(number).map_err(decode_error))
                    .collect()
            })
            .map_err(|error| self.failed(&error))
    }

    async fn release(&self, partition: PartitionId, claim: Claim) -> Result<(), StoreError> {
        sqlx::query(RELEASE_LEASE)
            .bind(partition.value())
            .bind(claim.token.value())
            .bind(claim.owner.uuid())
            .execute(self.database.operations())
            .await
            .map(|_| ())
            .map_err(|error| self.failed(&error))
    }

    /// May wait for a batch, so it uses the query pool.
    async fn results_out(
        &self,
        partition: PartitionId,
        claim: Claim,
        offset: Offset,
    ) -> Result<bool, StoreError> {
        sqlx::query(RESULTS_OUT)
            .bind(partition.value())
            .bind(claim.token.value())
            .bind(claim.owner.uuid())
            .bind(offset.value())
            .execute(self.database.queries())
            .await
            .map(|done| done.rows_affected() == 1)
            .map_err(|error| self.failed(&error))
    }

    async fn leaders(&self) -> Result<Vec<LeaderView>, StoreError> {
        sqlx::query(LEADERS)
            .fetch_all(self.database.operations())
            .await
            .and_then(|rows| rows.iter().map(leader_view).collect())
            .map_err(|error| self.failed(&error))
    }
}

/// One attempt to lead.
struct Candidate {
    pool: PgPool,
    partition: PartitionId,
    owner: OwnerId,
    ttl: Duration,
    patience: Duration,
}

impl Candidate {
    async fn take_over(self) -> Result<TakeOver, sqlx::Error> {
        if !self.sees_it_free().await? {
            return Ok(TakeOver::Held);
        }
        past_stale_backend(&self.pool, self.partition, || self.try_take()).await
    }

    async fn sees_it_free(&self) -> Result<bool, sqlx::Error> {
        // No lease row: no layout has this partition.
        sqlx::query_scalar(IS_FREE)
            .bind(self.partition.value())
            .bind(self.owner.uuid())
            .fetch_one(&self.pool)
            .await
    }

    /// Lease and leader row in one transaction.
    async fn try_take(&self) -> Result<TakeOver, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let patience = format!("SET LOCAL lock_timeout = {}", millis(self.patience));
        transaction.execute(AssertSqlSafe(patience)).await?;
        let free = sqlx::query(LOCK_FREE_LEASE)
            .bind(self.partition.value())
            .bind(self.owner.uuid())
            .fetch_optional(&mut *transaction)
            .await?;
        if free.is_none() {
            transaction.rollback().await?;
            return Ok(TakeOver::Held);
        }
        let leader = sqlx::query(RAISE_TOKEN)
            .bind(self.partition.value())
            .bind(self.owner.uuid())
            .fetch_one(&mut *transaction)
            .await?;
        let token =
            FencingToken::try_new(leader.try_get("fencing_token")?).map_err(decode_error)?;
        sqlx::query(GRANT_LEASE)
            .bind(self.partition.value())
            .bind(self.owner.uuid())
            .bind(token.value())
            .bind(lease_millis(self.ttl))
            .execute(&mut *transaction)
            .await?;
        fail::fail_point!("takeover.before_commit");
        transaction.commit().await?;
        fail::fail_point!("takeover.after_commit");
        Ok(TakeOver::Taken {
            claim: Claim {
                token,
                owner: self.owner,
                incarnation: Incarnation::new(leader.try_get("incarnation")?),
            },
            stored_offset: offset(&leader, "stored_offset")?,
            stored_record: record_digest(&leader)?,
            layout_epoch: LayoutEpoch::try_new(leader.try_get("layout_epoch")?)
                .map_err(decode_error)?,
            results_offset: offset(&leader, "results_offset")?,
        })
    }
}

fn leader_view(row: &PgRow) -> Result<LeaderView, sqlx::Error> {
    Ok(LeaderView {
        partition: PartitionId::try_new(row.try_get("partition")?).map_err(decode_error)?,
        held_by: row.try_get::<Option<Uuid>, _>("held_by")?.map(OwnerId::new),
        stored_offset: offset(row, "stored_offset")?,
    })
}

fn offset(row: &PgRow, column: &str) -> Result<Offset, sqlx::Error> {
    Offset::try_new(row.try_get(column)?).map_err(decode_error)
}

fn record_digest(row: &PgRow) -> Result<Option<RecordDigest>, sqlx::Error> {
    row.try_get::<Option<&[u8]>, _>("stored_record_digest")?
        .map(|bytes| {
            RecordDigest::restore(bytes).ok_or_else(|| {
                sqlx::Error::Decode(format!("a digest of {} bytes", bytes.len()).into())
            })
        })
        .transpose()
}

fn decode_error(error: IdError) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

/// A lease's length as a parameter; far below the largest number.
pub(super) fn lease_millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}
