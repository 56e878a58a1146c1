//! Raising the number of partitions: the next generation of a layout. Pure.
//!
//! Every pool keeps the partitions it has and gets new ones behind the last of all; only as many
//! shards move as an even spread asks for, and only within their pool.

use crate::id::{PartitionId, ShardId};
use crate::layout::{Layout, LayoutError, PARTITIONS_MAX, Shard};
use crate::text::PoolName;
use std::collections::BTreeMap;

/// How many partitions a pool shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPartitions {
    /// The pool.
    pub name: PoolName,
    /// Its partitions after the raise.
    pub partitions: usize,
}

/// Why a layout can't be raised so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RaiseError {
    /// Partitions only grow: Kafka takes none back.
    #[error(
        "the layout has {standing} partitions already; a raise needs more than that, not {asked}"
    )]
    NotMore {
        /// Partitions of the layout.
        standing: usize,
        /// Partitions asked for.
        asked: usize,
    },
    /// Beyond [`PARTITIONS_MAX`].
    #[error("a layout has at most {PARTITIONS_MAX} partitions, not {asked}")]
    TooMany {
        /// Partitions asked for.
        asked: usize,
    },
    /// Which pools get the new partitions must be said.
    #[error(
        "the layout has several pools ({standing}): say how many partitions each that grows shall \
         have, all together {asked}"
    )]
    PoolsNeeded {
        /// The pools with their partitions now.
        standing: String,
        /// Partitions asked for.
        asked: usize,
    },
    /// No such pool.
    #[error("there is no pool {pool}; the pools are {standing}")]
    UnknownPool {
        /// The name.
        pool: PoolName,
        /// The pools with their partitions now.
        standing: String,
    },
    /// Two numbers for one pool.
    #[error("pool {pool} is named twice")]
    RepeatedPool {
        /// The name.
        pool: PoolName,
    },
    /// A pool never loses partitions.
    #[error("pool {pool} has {standing} partitions and can't go down to {asked}")]
    PoolShrinks {
        /// The pool.
        pool: PoolName,
        /// Its partitions now.
        standing: usize,
        /// Its partitions asked for.
        asked: usize,
    },
    /// Every partition of a pool needs a shard.
    #[error("pool {pool} has {shards} shards, too few for {asked} partitions: each needs one")]
    TooFewShards {
        /// The pool.
        pool: PoolName,
        /// Its shards, which never change.
        shards: usize,
        /// Its partitions asked for.
        asked: usize,
    },
    /// The pools don't come to the number asked for.
    #[error("the pools come to {sum} partitions, not to {asked}")]
    Sum {
        /// Partitions of all pools.
        sum: usize,
        /// Partitions asked for.
        asked: usize,
    },
    /// The epoch's numbering has ended.
    #[error("the layout has no epoch after this one")]
    NoMoreEpochs,
    /// The layout, or what came of it, is damaged.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// The layout with so many partitions, one epoch later.
///
/// Pools that are not named keep what they have; a lone pool need not be named. Each pool's shards
/// are spread evenly over its partitions, with a difference of at most one; the same arguments
/// always give the same map.
///
/// # Errors
/// [`RaiseError`] names the numbers that don't fit.
pub fn raise(
    layout: &Layout,
    partition_count: usize,
    pools: &[PoolPartitions],
) -> Result<Layout, RaiseError> {
    let standing = layout.partition_count();
    if partition_count <= standing {
        return Err(RaiseError::NotMore {
            standing,
            asked: partition_count,
        });
    }
    if partition_count > PARTITIONS_MAX {
        return Err(RaiseError::TooMany {
            asked: partition_count,
        });
    }
    let wanted = wanted(layout, partition_count, pools)?;
    let mut shards = Vec::with_capacity(layout.shards().len());
    let mut new_partitions = layout_partitions(standing, partition_count);
    for (pool, partitions) in wanted {
        let of_pool: Vec<&Shard> = layout.shards().iter().filter(|s| s.pool == pool).collect();
        let mut carriers = partitions_of(&of_pool);
        let more = partitions - carriers.len();
        carriers.extend(new_partitions.by_ref().take(more));
        shards.extend(spread(&of_pool, &carriers));
    }
    let epoch = layout.epoch().next().ok_or(RaiseError::NoMoreEpochs)?;
    Ok(Layout::restore(epoch, partition_count, shards)?)
}

/// Whether the layout is already what such a raise asks for: so many partitions, and in each named
/// pool as many as are named.
#[must_use]
pub fn is_raised(layout: &Layout, partition_count: usize, pools: &[PoolPartitions]) -> bool {
    let standing = pool_sizes(layout);
    let stands = |order: &PoolPartitions| {
        standing
            .iter()
            .any(|size| size.pool == order.name && size.partitions == order.partitions)
    };
    layout.partition_count() == partition_count && pools.iter().all(stands)
}

/// Whether the layout may have come from this first one by raises: it is of a later epoch, has the
/// same shards in the same pools, and no pool has fewer partitions. The map itself is no part of
/// the question, since it depends on the steps of the raises.
#[must_use]
pub fn has_grown_from(layout: &Layout, first: &Layout) -> bool {
    let (grown, first_sizes) = (pool_sizes(layout), pool_sizes(first));
    let no_less = |(now, then): (&PoolSize, &PoolSize)| {
        now.pool == then.pool && now.shards == then.shards && now.partitions >= then.partitions
    };
    layout.epoch() > first.epoch()
        && grown.len() == first_sizes.len()
        && grown.iter().zip(&first_sizes).all(no_less)
}

/// A pool with its numbers.
struct PoolSize {
    pool: PoolName,
    shards: usize,
    partitions: usize,
}

/// The pools in the order of their shards.
fn pool_sizes(layout: &Layout) -> Vec<PoolSize> {
    let size = |pool: PoolName| {
        let of_pool: Vec<&Shard> = layout.shards().iter().filter(|s| s.pool == pool).collect();
        PoolSize {
            shards: of_pool.len(),
            partitions: partitions_of(&of_pool).len(),
            pool,
        }
    };
    layout.pools().into_iter().map(size).collect()
}

/// How many partitions each pool shall have, in the order of the pools.
fn wanted(
    layout: &Layout,
    asked: usize,
    named: &[PoolPartitions],
) -> Result<Vec<(PoolName, usize)>, RaiseError> {
    let mut wanted: Vec<(PoolName, usize)> = pool_sizes(layout)
        .into_iter()
        .map(|size| (size.pool, size.partitions))
        .collect();
    let standing = wanted
        .iter()
        .map(|(pool, count)| format!("{pool}={count}"))
        .collect::<Vec<_>>()
        .join(", ");
    if named.is_empty() {
        let [lone] = &mut wanted[..] else {
            return Err(RaiseError::PoolsNeeded { standing, asked });
        };
        lone.1 = asked;
    }
    for (index, order) in named.iter().enumerate() {
        let pool = order.name.clone();
        if named[..index].iter().any(|earlier| earlier.name == pool) {
            return Err(RaiseError::RepeatedPool { pool });
        }
        let Some(found) = wanted.iter_mut().find(|(name, _)| *name == pool) else {
            return Err(RaiseError::UnknownPool { pool, standing });
        };
        if order.partitions < found.1 {
            return Err(RaiseError::PoolShrinks {
                pool,
                standing: found.1,
                asked: order.partitions,
            });
        }
        found.1 = order.partitions;
    }
    for (pool, partitions) in &wanted {
        let shards = layout.shards().iter().filter(|s| s.pool == *pool).count();
        if *partitions > shards {
            return Err(RaiseError::TooFewShards {
                pool: pool.clone(),
                shards,
                asked: *partitions,
            });
        }
    }
    // What an operator types must not wrap around: each is within the shards' bound by now.
    let sum: usize = wanted.iter().map(|(_, partitions)| partitions).sum();
    if sum == asked {
        Ok(wanted)
    } else {
        Err(RaiseError::Sum { sum, asked })
    }
}

/// Partitions from one number to before another, in order.
fn layout_partitions(from: usize, until: usize) -> impl Iterator<Item = PartitionId> {
    (from..until).filter_map(|index| {
        let number = i32::try_from(index).ok()?;
        PartitionId::try_new(number).ok()
    })
}

fn partitions_of(shards: &[&Shard]) -> Vec<PartitionId> {
    let mut partitions: Vec<PartitionId> = shards.iter().map(|shard| shard.partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}

/// Spreads a pool's shards over its partitions: each partition keeps its first shards up to its
/// share, and what is left fills the others, lowest first.
fn spread(shards: &[&Shard], carriers: &[PartitionId]) -> Vec<Shard> {
    let shares = shares(shards, carriers);
    let mut room = shares.clone();
    let mut homeless: Vec<ShardId> = Vec::new();
    let mut homes: BTreeMap<ShardId, PartitionId> = BTreeMap::new();
    for shard in shards {
        match room.get_mut(&shard.partition) {
            Some(left) if *left > 0 => {
                *left -= 1;
                homes.insert(shard.shard_id, shard.partition);
            }
            _ => homeless.push(shard.shard_id),
        }
    }
    let mut free = room
        .into_iter()
        .flat_map(|(partition, left)| std::iter::repeat_n(partition, left));
    for shard in homeless {
        if let Some(partition) = free.next() {
            homes.insert(shard, partition);
        }
    }
    shards
        .iter()
        .map(|shard| Shard {
            shard_id: shard.shard_id,
            pool: shard.pool.clone(),
            partition: homes
                .get(&shard.shard_id)
                .copied()
                .unwrap_or(shard.partition),
        })
        .collect()
}

/// How many shards each partition is to carry. The larger shares go to those that carry most now,
/// so that fewer shards move.
fn shares(shards: &[&Shard], carriers: &[PartitionId]) -> BTreeMap<PartitionId, usize> {
    let mut by_load: Vec<(usize, PartitionId)> = carriers
        .iter()
        .map(|carrier| {
            let carried = shards.iter().filter(|s| s.partition == *carrier).count();
            (carried, *carrier)
        })
        .collect();
    by_load.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let each = shards.len() / carriers.len().max(1);
    let larger = shards.len() % carriers.len().max(1);
    by_load
        .into_iter()
        .enumerate()
        .map(|(place, (_, carrier))| (carrier, each + usize::from(place < larger)))
        .collect()
}
