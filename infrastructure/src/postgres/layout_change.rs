//! Changing the layout: a pause that every append obeys, and one transaction for the switch.
//!
//! # The pause
//! Every append shares an advisory lock, to the end of its transaction, and reads the layout after
//! it has it (`admit_log`). `pause` commits the mark first and takes the lock alone afterwards: who
//! held it before is waited for, and whoever gets it later reads the mark. The two may not be one
//! transaction: an append that waited for it would read the layout as it was.
//!
//! # The switch
//! | # | statement | why |
//! |---|---|---|
//! | 1 | `lock_change.sql` | the pause is still this command's, the layout still the one it began with |
//! | 2 | `lock_leases.sql` | the order of a candidate: lease, then leader row |
//! | 3 | `lock_leaders.sql` | open batches are waited for |
//! | 4 | `fence_leaders.sql`, `end_leases.sql` | nobody goes on under the old map |
//! | 5 | `carry_marks.sql`, `undecided.sql` of a raise | a failover since the drain may have brought events back |
//! | 6 | the change | whole or absent with the rest |

use super::batch::millis;
use super::error::StoreName;
use super::layout_change_notes::standing;
use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::layout_change::{
    LayoutChange, LayoutChangeError, LayoutChangeKind, PartitionStart, Pausing,
};
use axs_application::port::store_error::StoreError;
use axs_domain::id::{LayoutChangeId, LayoutEpoch};
use axs_domain::layout::Layout;
use chrono::{DateTime, Utc};
use shaku::Component;
use sqlx::postgres::PgTransaction;
use sqlx::{AssertSqlSafe, Executor, FromRow, PgPool};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long appends under way, and open batches of leaders, are waited for. Longer than any
/// statement and than a candidate's patience with a leader that froze.
pub(super) const OPEN_WORK_WAIT_MAX: Duration = Duration::from_secs(30);

/// How long a count of what is undecided may take: where a relay has no mark it reads the state
/// tables whole.
const COUNT_WAIT_MAX: Duration = Duration::from_mins(10);

const RAISE: &str = "RAISE";
const ADOPT: &str = "ADOPT";

/// [`LayoutChange`] on the row of the layout.
#[derive(Component)]
#[shaku(interface = LayoutChange)]
pub struct PgLayoutChange {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgLayoutChange {
    /// Changes the layout of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    fn name(&self) -> StoreName<'_> {
        StoreName::of(&*self.database)
    }

    fn pool(&self) -> &PgPool {
        self.database.queries()
    }

    /// Marks the pause under this id; gives whether it was paused before.
    async fn mark(
        &self,
        kind: LayoutChangeKind,
        change: LayoutChangeId,
    ) -> Result<Option<bool>, StoreError> {
        let (kind, count) = columns(kind).map_err(|reason| self.name().corrupt(reason))?;
        sqlx::query_scalar(include_str!("sql/layout/pause.sql"))
            .bind(kind)
            .bind(count)
            .bind(change.uuid())
            .fetch_optional(self.pool())
            .await
            .map_err(|error| self.name().sqlx(&error))
    }

    /// Ends a pause that came to nothing: one append that hangs must not hold up all others until
    /// somebody looks. Not one that an adoption may have begun before, which holds the order.
    async fn give_up(
        &self,
        change: LayoutChangeId,
        kind: LayoutChangeKind,
        was_paused: Option<bool>,
        failure: StoreError,
    ) -> StoreError {
        let holds_order = kind == LayoutChangeKind::Adopt && was_paused != Some(false);
        let why = if holds_order {
            "run the command again".to_owned()
        } else {
            match self.resume(Some(change)).await {
                Ok(true) => return failure,
                // Another command has it by now.
                Ok(false) if was_paused.is_some() => return failure,
                // The statement may still be under way.
                Ok(false) => "see `bootstrap layout show`".to_owned(),
                Err(paused) => paused.to_string(),
            }
        };
        self.name().unavailable(format_args!(
            "{failure}. Writing may be STILL PAUSED: {why}, or `bootstrap layout resume`"
        ))
    }

    async fn await_appends(&self) -> Result<(), StoreError> {
        let wait = async {
            let mut transaction = patient(self.pool(), OPEN_WORK_WAIT_MAX).await?;
            transaction
                .execute(include_str!("sql/layout/await_appends.sql"))
                .await?;
            transaction.commit().await
        };
        wait.await.map_err(|error| self.name().sqlx(&error))
    }

    /// Begins the switch: the change is still the caller's, and every leader is fenced, under
    /// `epoch` or the epoch that stands.
    async fn begin_switch(
        &self,
        change: LayoutChangeId,
        epoch: Option<LayoutEpoch>,
    ) -> Result<PgTransaction<'static>, LayoutChangeError> {
        let failed = |error: sqlx::Error| self.name().sqlx(&error);
        let mut transaction = patient(self.pool(), OPEN_WORK_WAIT_MAX)
            .await
            .map_err(failed)?;
        let row: Option<(Option<Uuid>, i32)> =
            sqlx::query_as(include_str!("sql/layout/lock_change.sql"))
                .fetch_optional(&mut *transaction)
                .await
                .map_err(failed)?;
        let Some((Some(standing_change), standing)) = row else {
            return Err(LayoutChangeError::TakenOver);
        };
        let standing = LayoutEpoch::try_new(standing)
            .map_err(|error| self.name().invalid("epoch", standing, error))?;
        if LayoutChangeId::new(standing_change) != change {
            return Err(LayoutChangeError::TakenOver);
        }
        if epoch.is_some() && epoch != standing.next() {
            return Err(LayoutChangeError::Moved { standing });
        }
        fence_all(&mut transaction, epoch.unwrap_or(standing).value())
            .await
            .map_err(failed)?;
        Ok(transaction)
    }
}

#[async_trait]
impl LayoutChange for PgLayoutChange {
    async fn pause(&self, kind: LayoutChangeKind) -> Result<Pausing, StoreError> {
        let change = LayoutChangeId::new(Uuid::new_v4());
        let was_paused = match self.mark(kind, change).await {
            Ok(Some(was_paused)) => was_paused,
            Ok(None) => {
                return Ok(match standing(&*self.database).await? {
                    Some(standing) => Pausing::OtherUnderWay(standing),
                    None => Pausing::NotLaidOut,
                });
            }
            // Whether it is marked is unknown.
            Err(failure) => return Err(self.give_up(change, kind, None, failure).await),
        };
        match self.await_appends().await {
            Ok(()) if was_paused => Ok(Pausing::GoesOn(change)),
            Ok(()) => Ok(Pausing::Paused(change)),
            Err(failure) => Err(self.give_up(change, kind, Some(was_paused), failure).await),
        }
    }

    async fn resume(&self, change: Option<LayoutChangeId>) -> Result<bool, StoreError> {
        let resumed = sqlx::query(include_str!("sql/layout/resume.sql"))
            .bind(change.map(LayoutChangeId::uuid))
            .execute(self.pool())
            .await
            .map_err(|error| self.name().sqlx(&error))?;
        Ok(resumed.rows_affected() > 0)
    }

    async fn undecided(&self, count_max: u32) -> Result<u32, StoreError> {
        let count = async {
            let mut transaction = patient(self.pool(), COUNT_WAIT_MAX).await?;
            let mark = lowest_mark(&mut transaction).await?;
            let count = count_undecided(&mut transaction, mark.at, count_max).await?;
            transaction.rollback().await?;
            Ok(count)
        };
        count
            .await
            .map_err(|error: sqlx::Error| self.name().sqlx(&error))
    }

    async fn raise(
        &self,
        change: LayoutChangeId,
        layout: Layout,
        starts: Vec<PartitionStart>,
    ) -> Result<(), LayoutChangeError> {
        let mut transaction = self.begin_switch(change, Some(layout.epoch())).await?;
        let (partitions, offsets) = start_columns(&starts);
        let shards: Vec<i32> = layout.shards().iter().map(|s| s.shard_id.value()).collect();
        let homes: Vec<i32> = layout
            .shards()
            .iter()
            .map(|shard| shard.partition.value())
            .collect();
        let partition_count = i32::try_from(layout.partition_count())
            .map_err(|reason| self.name().corrupt(reason))?;
        let failed = |error: sqlx::Error| self.name().sqlx(&error);
        let mark = carry_marks(&mut transaction, layout.epoch()).await;
        // Everything is locked, so it must not take as long as the drain's count could.
        let recent = mark.map_err(failed)?.at_recent;
        let left = count_undecided(&mut transaction, Some(recent), 1).await;
        if left.map_err(failed)? > 0 {
            return Err(LayoutChangeError::Undecided);
        }
        let raise = async {
            sqlx::query(include_str!("sql/layout/add_leaders.sql"))
                .bind(&partitions)
                .bind(offsets)
                .bind(layout.epoch().value())
                .execute(&mut *transaction)
                .await?;
            sqlx::query(include_str!("sql/layout/add_leases.sql"))
                .bind(&partitions)
                .execute(&mut *transaction)
                .await?;
            let moved = sqlx::query(include_str!("sql/layout/move_shards.sql"))
                .bind(&shards)
                .bind(homes)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            sqlx::query(include_str!("sql/layout/raise.sql"))
                .bind(layout.epoch().value())
                .bind(partition_count)
                .execute(&mut *transaction)
                .await?;
            if moved != shards.len() as u64 {
                return Err(sqlx::Error::RowNotFound);
            }
            transaction.commit().await
        };
        raise.await.map_err(|error| self.name().sqlx(&error).into())
    }

    async fn adopt(
        &self,
        change: LayoutChangeId,
        starts: Vec<PartitionStart>,
        cluster_id: Option<String>,
    ) -> Result<(), LayoutChangeError> {
        let mut transaction = self.begin_switch(change, None).await?;
        let (partitions, offsets) = start_columns(&starts);
        let adopt = async {
            let adopted = sqlx::query(include_str!("sql/layout/adopt_log.sql"))
                .bind(partitions)
                .bind(offsets)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            sqlx::query(include_str!("sql/layout/adopt_cluster.sql"))
                .bind(cluster_id)
                .execute(&mut *transaction)
                .await?;
            if adopted != starts.len() as u64 {
                return Err(sqlx::Error::RowNotFound);
            }
            transaction.commit().await
        };
        adopt.await.map_err(|error| self.name().sqlx(&error).into())
    }
}

/// The lowest mark of the relays, if each has one.
#[derive(FromRow)]
struct LowestMark {
    at: Option<DateTime<Utc>>,
    /// The same, and never long ago.
    at_recent: DateTime<Utc>,
}

/// Carries the relays' marks on into the epoch; gives the lowest.
async fn carry_marks(
    transaction: &mut PgTransaction<'static>,
    epoch: LayoutEpoch,
) -> Result<LowestMark, sqlx::Error> {
    sqlx::query(include_str!("sql/layout/carry_marks.sql"))
        .bind(epoch.value())
        .execute(&mut **transaction)
        .await?;
    lowest_mark(transaction).await
}

async fn lowest_mark(transaction: &mut PgTransaction<'static>) -> Result<LowestMark, sqlx::Error> {
    sqlx::query_as(include_str!("sql/layout/lowest_mark.sql"))
        .fetch_one(&mut **transaction)
        .await
}

async fn count_undecided(
    transaction: &mut PgTransaction<'static>,
    mark: Option<DateTime<Utc>>,
    count_max: u32,
) -> Result<u32, sqlx::Error> {
    let count: i64 = sqlx::query_scalar(include_str!("sql/layout/undecided.sql"))
        .bind(i64::from(count_max))
        .bind(mark)
        .fetch_one(&mut **transaction)
        .await?;
    Ok(u32::try_from(count).unwrap_or(count_max))
}

/// Waits for the open batches, fences every leader and ends every lease; gives how many leaders.
pub(super) async fn fence_all(
    transaction: &mut PgTransaction<'static>,
    epoch: i32,
) -> Result<u64, sqlx::Error> {
    for lock in [
        include_str!("sql/layout/lock_leases.sql"),
        include_str!("sql/layout/lock_leaders.sql"),
    ] {
        transaction.execute(lock).await?;
    }
    let fenced = sqlx::query(include_str!("sql/layout/fence_leaders.sql"))
        .bind(epoch)
        .execute(&mut **transaction)
        .await?
        .rows_affected();
    transaction
        .execute(include_str!("sql/layout/end_leases.sql"))
        .await?;
    Ok(fenced)
}

/// A transaction whose statements may wait so long, for locks too.
pub(super) async fn patient(
    pool: &PgPool,
    wait_max: Duration,
) -> Result<PgTransaction<'static>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let wait_ms = millis(wait_max);
    let bounds = format!(
        "SET LOCAL lock_timeout = {wait_ms}; SET LOCAL statement_timeout = {}",
        wait_ms.saturating_mul(2)
    );
    transaction.execute(AssertSqlSafe(bounds)).await?;
    Ok(transaction)
}

fn start_columns(starts: &[PartitionStart]) -> (Vec<i32>, Vec<i64>) {
    starts
        .iter()
        .map(|start| (start.partition.value(), start.offset.value()))
        .unzip()
}

fn columns(
    kind: LayoutChangeKind,
) -> Result<(&'static str, Option<i32>), std::num::TryFromIntError> {
    Ok(match kind {
        LayoutChangeKind::Raise { partition_count } => {
            (RAISE, Some(i32::try_from(partition_count)?))
        }
        LayoutChangeKind::Adopt => (ADOPT, None),
    })
}

pub(super) fn kind_of(kind: &str, count: Option<i32>) -> Option<LayoutChangeKind> {
    match (kind, count) {
        (RAISE, Some(count)) => Some(LayoutChangeKind::Raise {
            partition_count: usize::try_from(count).ok()?,
        }),
        (ADOPT, _) => Some(LayoutChangeKind::Adopt),
        _ => None,
    }
}
