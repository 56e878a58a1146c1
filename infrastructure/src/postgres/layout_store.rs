//! The stored layout, and what a layout needs around it: fence and lease rows, table partitions.

use super::entity::{layout, partition_leader_lock, partition_lease, shard};
use super::error::StoreName;
use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::layout_change::PartitionStart;
use axs_application::port::layout_store::{LayoutStore, StoredLayout};
use axs_application::port::store_error::StoreError;
use axs_domain::id::LayoutEpoch;
use axs_domain::layout::{Layout, Shard};
use axs_domain::text::PoolName;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    AccessMode, ActiveValue, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr,
    EntityTrait, IsolationLevel, QueryFilter, Statement, TransactionTrait,
};
use shaku::Component;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most shards that share one table partition. Few table partitions keep planning cheap; small
/// ones can be moved to a server of their own.
const SHARDS_PER_TABLE_PARTITION: usize = 16;

/// [`LayoutStore`] in the tables `layout` and `shards`.
#[derive(Component)]
#[shaku(interface = LayoutStore)]
pub struct PgLayoutStore {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgLayoutStore {
    /// The layout of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    fn name(&self) -> StoreName<'_> {
        StoreName::of(&*self.database)
    }
}

#[async_trait]
impl LayoutStore for PgLayoutStore {
    async fn load(&self) -> Result<Option<StoredLayout>, StoreError> {
        let orm = self.database.orm().clone();
        // A task of its own: a caller that gives up while the transaction begins would hand the
        // connection back with the transaction open.
        let read = tokio::spawn(async move {
            // One snapshot for both tables: a layout is raised as a whole.
            let transaction = orm
                .begin_with_config(
                    Some(IsolationLevel::RepeatableRead),
                    Some(AccessMode::ReadOnly),
                )
                .await?;
            let layout = layout::Entity::find().one(&transaction).await?;
            let shards = shard::Entity::find().all(&transaction).await?;
            transaction.commit().await?;
            Ok::<_, DbErr>((layout, shards))
        });
        let read = read.await.map_err(|died| self.name().unavailable(died))?;
        let (layout, shards) = read.map_err(|error| self.name().orm(&error))?;
        layout
            .map(|layout| restore(self.name(), layout, shards))
            .transpose()
    }

    async fn keep_results_topic(&self, topic: String) -> Result<bool, StoreError> {
        layout::Entity::update_many()
            .col_expr(layout::Column::ResultsTopic, Expr::value(topic))
            .filter(layout::Column::ResultsTopic.is_null())
            .exec(self.database.orm())
            .await
            .map(|kept| kept.rows_affected > 0)
            .map_err(|error| self.name().orm(&error))
    }

    async fn create(
        &self,
        stored: StoredLayout,
        starts: Vec<PartitionStart>,
    ) -> Result<bool, StoreError> {
        let numbers = RowNumbers::of(&stored).map_err(|reason| self.name().corrupt(reason))?;
        let orm = self.database.orm().clone();
        let write = tokio::spawn(async move {
            let transaction = orm.begin().await?;
            let first = insert_layout(&transaction, &stored, &numbers).await?;
            if first {
                insert_rows(&transaction, &stored, &numbers, &starts).await?;
                make_table_partitions(&transaction, &stored.layout).await?;
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
            Ok::<_, DbErr>(first)
        });
        let written = write.await.map_err(|died| self.name().unavailable(died))?;
        written.map_err(|error| self.name().orm(&error))
    }
}

/// The layout's counts as columns hold them.
struct RowNumbers {
    partition_count: i32,
}

impl RowNumbers {
    fn of(stored: &StoredLayout) -> Result<Self, std::num::TryFromIntError> {
        Ok(Self {
            partition_count: i32::try_from(stored.layout.partition_count())?,
        })
    }
}

/// Claims the one row; `false` when somebody has it. Of two at once the second waits here.
async fn insert_layout(
    transaction: &DatabaseTransaction,
    stored: &StoredLayout,
    numbers: &RowNumbers,
) -> Result<bool, DbErr> {
    let inserted = layout::Entity::insert(layout::ActiveModel {
        only_row: ActiveValue::Set(true),
        epoch: ActiveValue::Set(stored.layout.epoch().value()),
        partition_count: ActiveValue::Set(numbers.partition_count),
        events_topic: ActiveValue::Set(stored.events_topic.clone()),
        results_topic: ActiveValue::Set(stored.results_topic.clone()),
        cluster_id: ActiveValue::Set(stored.cluster_id.clone()),
        grown_partition_count: ActiveValue::NotSet,
    })
    .on_conflict(
        OnConflict::column(layout::Column::OnlyRow)
            .do_nothing()
            .to_owned(),
    )
    .exec_without_returning(transaction)
    .await?;
    Ok(inserted > 0)
}

/// The shards, and a fence row and a lease row for each partition. A layout is bounded, so each is
/// one statement.
async fn insert_rows(
    transaction: &DatabaseTransaction,
    stored: &StoredLayout,
    numbers: &RowNumbers,
    starts: &[PartitionStart],
) -> Result<(), DbErr> {
    let shards = stored
        .layout
        .shards()
        .iter()
        .map(|shard| shard::ActiveModel {
            shard_id: ActiveValue::Set(shard.shard_id.value()),
            pool: ActiveValue::Set(shard.pool.as_str().to_owned()),
            partition: ActiveValue::Set(shard.partition.value()),
        });
    shard::Entity::insert_many(shards)
        .exec_without_returning(transaction)
        .await?;
    let partitions = 0..numbers.partition_count;
    let starts: BTreeMap<i32, i64> = starts
        .iter()
        .map(|start| (start.partition.value(), start.offset.value()))
        .collect();
    let locks = partitions.clone().map(|partition| {
        let start = starts.get(&partition).copied().unwrap_or(0);
        partition_leader_lock::ActiveModel {
            partition: ActiveValue::Set(partition),
            stored_offset: ActiveValue::Set(start),
            results_offset: ActiveValue::Set(start),
        }
    });
    partition_leader_lock::Entity::insert_many(locks)
        .exec_without_returning(transaction)
        .await?;
    let leases = partitions.map(|partition| partition_lease::ActiveModel {
        partition: ActiveValue::Set(partition),
    });
    partition_lease::Entity::insert_many(leases)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

async fn make_table_partitions(
    transaction: &DatabaseTransaction,
    layout: &Layout,
) -> Result<(), DbErr> {
    for (first, end) in table_ranges(layout.shards()) {
        transaction
            .execute_raw(Statement::from_sql_and_values(
                DbBackend::Postgres,
                include_str!("sql/layout/make_shard_range.sql"),
                [first.into(), end.into()],
            ))
            .await?;
    }
    Ok(())
}

/// Ranges of shards, first inclusive and last exclusive, that share table partitions: at most
/// [`SHARDS_PER_TABLE_PARTITION`], never of two pools, so that a pool can move.
fn table_ranges(shards: &[Shard]) -> Vec<(i32, i32)> {
    shards
        .chunk_by(|a, b| a.pool == b.pool)
        .flat_map(|pool| pool.chunks(SHARDS_PER_TABLE_PARTITION))
        .filter_map(|range| {
            let first = range.first()?.shard_id.value();
            let last = range.last()?.shard_id.value();
            Some((first, last.checked_add(1)?))
        })
        .collect()
}

fn restore(
    name: StoreName<'_>,
    layout: layout::Model,
    shards: Vec<shard::Model>,
) -> Result<StoredLayout, StoreError> {
    let shards = shards
        .into_iter()
        .map(|shard| {
            Ok(Shard {
                shard_id: name.shard_id(shard.shard_id)?,
                pool: PoolName::parse(&shard.pool)
                    .map_err(|error| name.invalid("pool", &shard.pool, error))?,
                partition: name.partition(shard.partition)?,
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    let epoch = LayoutEpoch::try_new(layout.epoch)
        .map_err(|error| name.invalid("epoch", layout.epoch, error))?;
    let partition_count = usize::try_from(layout.partition_count)
        .map_err(|error| name.invalid("partition_count", layout.partition_count, error))?;
    Ok(StoredLayout {
        layout: Layout::restore(epoch, partition_count, shards)
            .map_err(|error| name.corrupt(error))?,
        events_topic: layout.events_topic,
        results_topic: layout.results_topic,
        cluster_id: layout.cluster_id,
        grown_to: layout
            .grown_partition_count
            .map(|count| {
                usize::try_from(count)
                    .map_err(|error| name.invalid("grown_partition_count", count, error))
            })
            .transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axs_domain::layout::PoolSpec;

    fn pool(name: &str, shards: usize) -> PoolSpec {
        PoolSpec {
            name: PoolName::parse(name).unwrap(),
            shards,
            partitions: 1,
        }
    }

    #[test]
    fn a_table_partition_holds_at_most_sixteen_shards_and_never_those_of_two_pools() {
        let ranges_of = |pools: &[PoolSpec]| {
            let layout = Layout::lay_out(pools).unwrap();
            table_ranges(layout.shards())
        };
        assert_eq!(ranges_of(&[pool("a", 1)]), [(0, 1)]);
        assert_eq!(ranges_of(&[pool("a", 16)]), [(0, 16)]);
        assert_eq!(ranges_of(&[pool("a", 17)]), [(0, 16), (16, 17)]);
        assert_eq!(
            ranges_of(&[pool("a", 20), pool("b", 4)]),
            [(0, 16), (16, 20), (20, 24)]
        );
    }
}
