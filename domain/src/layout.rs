//! The layout: account → shard → partition, in generations.

use crate::id::{AccountId, LayoutEpoch, PartitionId, ShardId};
use crate::text::PoolName;
use std::ops::Range;

/// The most partitions of one layout.
pub const PARTITIONS_MAX: usize = 1_024;
/// The most shards of one layout.
pub const SHARDS_MAX: usize = 4_096;

/// What an operator asks for: a pool with its numbers of shards and partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpec {
    /// The pool's name.
    pub name: PoolName,
    /// Shards of the pool.
    pub shards: usize,
    /// Kafka partitions that these shards share, at most one per shard.
    pub partitions: usize,
}

/// A shard and where it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Which shard.
    pub shard_id: ShardId,
    /// The pool it belongs to.
    pub pool: PoolName,
    /// The partition that carries its events.
    pub partition: PartitionId,
}

/// One generation of the map from shard to partition.
///
/// Shards are numbered 0, 1, 2 … without gaps, those of a pool side by side, so that a pool is a
/// range of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    epoch: LayoutEpoch,
    partition_count: usize,
    shards: Vec<Shard>,
}

impl Layout {
    /// Lays out pools in their order: shards side by side, each pool's shards spread evenly over
    /// partitions of its own.
    ///
    /// # Errors
    /// [`LayoutError`] names the pool and the number that is wrong.
    #[expect(
        clippy::self_named_constructors,
        reason = "a verb, the one an operator uses; it lays pools out and may refuse"
    )]
    pub fn lay_out(pools: &[PoolSpec]) -> Result<Self, LayoutError> {
        if pools.is_empty() {
            return Err(LayoutError::NoPools);
        }
        let mut shards = Vec::new();
        let mut first_partition = 0;
        for (index, pool) in pools.iter().enumerate() {
            if !is_plain(pool.name.as_str()) {
                return Err(LayoutError::NameOfPool {
                    pool: pool.name.clone(),
                });
            }
            if pools[..index]
                .iter()
                .any(|earlier| earlier.name == pool.name)
            {
                return Err(LayoutError::RepeatedPool {
                    pool: pool.name.clone(),
                });
            }
            if pool.partitions == 0 || pool.partitions > pool.shards {
                return Err(LayoutError::PartitionsOfPool {
                    pool: pool.name.clone(),
                    shards: pool.shards,
                    partitions: pool.partitions,
                });
            }
            // Subtracted, not added: what an operator types must not wrap around the bound.
            if pool.shards > SHARDS_MAX - shards.len() {
                return Err(LayoutError::TooManyShards);
            }
            for position in 0..pool.shards {
                // A block of neighbouring shards shares a partition: a leader's rows lie together.
                let block = position * pool.partitions / pool.shards;
                shards.push(Shard {
                    shard_id: id(shards.len())
                        .and_then(|v| ShardId::try_new(v).ok())
                        .ok_or(LayoutError::TooManyShards)?,
                    pool: pool.name.clone(),
                    partition: id(first_partition + block)
                        .and_then(|v| PartitionId::try_new(v).ok())
                        .ok_or(LayoutError::TooManyPartitions)?,
                });
            }
            first_partition += pool.partitions;
        }
        if first_partition > PARTITIONS_MAX {
            return Err(LayoutError::TooManyPartitions);
        }
        Ok(Self {
            epoch: LayoutEpoch::MIN,
            partition_count: first_partition,
            shards,
        })
    }

    /// A layout read back from storage.
    ///
    /// # Errors
    /// [`LayoutError::Corrupt`] when it is not what [`Layout::lay_out`] promises: shards without
    /// gaps, those of a pool side by side, partitions of one pool each, every partition with a
    /// shard, all within the bounds.
    pub fn restore(
        epoch: LayoutEpoch,
        partition_count: usize,
        mut shards: Vec<Shard>,
    ) -> Result<Self, LayoutError> {
        shards.sort_by_key(|shard| shard.shard_id);
        if is_sound(partition_count, &shards) {
            Ok(Self {
                epoch,
                partition_count,
                shards,
            })
        } else {
            Err(LayoutError::Corrupt)
        }
    }

    /// The generation.
    #[must_use]
    pub const fn epoch(&self) -> LayoutEpoch {
        self.epoch
    }

    /// Partitions of the events topic that AXS uses.
    #[must_use]
    pub const fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// All shards, in the order of their numbers.
    #[must_use]
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// All partitions, in order.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.partition_count)
            .filter_map(|index| id(index).and_then(|v| PartitionId::try_new(v).ok()))
    }

    /// The partition that carries the shard's events; `None` for a shard that isn't laid out.
    #[must_use]
    pub fn partition_of(&self, shard: ShardId) -> Option<PartitionId> {
        let index = usize::try_from(shard.value()).ok()?;
        self.shards.get(index).map(|shard| shard.partition)
    }

    /// The shards that the partition carries, in order.
    #[must_use]
    pub fn shards_of(&self, partition: PartitionId) -> Vec<ShardId> {
        self.shards
            .iter()
            .filter(|s| s.partition == partition)
            .map(|s| s.shard_id)
            .collect()
    }

    /// The names of the pools, in the order of their shards.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolName> {
        let mut pools: Vec<PoolName> = self.shards.iter().map(|s| s.pool.clone()).collect();
        pools.dedup();
        pools
    }

    /// The shard that a *new* account of the pool gets: a stable hash of the account's id over the
    /// pool's shards. An existing account keeps the shard that was stored when it was opened.
    #[must_use]
    pub fn shard_for_new_account(&self, account: AccountId, pool: &PoolName) -> Option<ShardId> {
        let range = self.shards_of_pool(pool)?;
        let count = u64::try_from(range.len()).ok()?;
        let position = usize::try_from(mix(account.value().unsigned_abs()) % count).ok()?;
        self.shards
            .get(range.start + position)
            .map(|shard| shard.shard_id)
    }

    fn shards_of_pool(&self, pool: &PoolName) -> Option<Range<usize>> {
        let start = self.shards.iter().position(|shard| &shard.pool == pool)?;
        let length = self.shards[start..]
            .iter()
            .take_while(|shard| &shard.pool == pool)
            .count();
        Some(start..start + length)
    }
}

/// Whether a pool may be called so. Accounts are opened by this name for ever, so what is likely a
/// slip of the keyboard is refused while it can be.
fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, '-' | '_'))
}

/// Whether stored shards, sorted by number, keep every promise of a layout.
fn is_sound(partition_count: usize, shards: &[Shard]) -> bool {
    if shards.is_empty() || shards.len() > SHARDS_MAX || partition_count > PARTITIONS_MAX {
        return false;
    }
    let mut pool_of_partition: Vec<Option<&PoolName>> = vec![None; partition_count];
    for (index, shard) in shards.iter().enumerate() {
        let numbered_without_gap = id(index) == Some(shard.shard_id.value());
        let pool_begins = index == 0 || shards[index - 1].pool != shard.pool;
        let pool_begins_again = pool_begins
            && shards[..index]
                .iter()
                .any(|earlier| earlier.pool == shard.pool);
        let Some(pool) = usize::try_from(shard.partition.value())
            .ok()
            .and_then(|partition| pool_of_partition.get_mut(partition))
        else {
            return false;
        };
        // A pool may live on a server of its own, and a batch of one partition is one transaction.
        let shared_by_pools = pool
            .replace(&shard.pool)
            .is_some_and(|other| other != &shard.pool);
        if !numbered_without_gap || pool_begins_again || shared_by_pools {
            return false;
        }
    }
    pool_of_partition.iter().all(Option::is_some)
}

fn id(index: usize) -> Option<i32> {
    i32::try_from(index).ok()
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
/// Generators, 2014): neighbouring account numbers land on unrelated shards.
const fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Why a layout can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Nothing to lay out.
    #[error("a layout needs at least one pool")]
    NoPools,
    /// A name that nobody would type twice.
    #[error(
        "pool {pool:?}: a name begins with a lower-case letter, and lower-case letters, digits, - \
         and _ follow", pool = .pool.as_str()
    )]
    NameOfPool {
        /// The name.
        pool: PoolName,
    },
    /// Two pools share a name.
    #[error("pool {pool} is named twice")]
    RepeatedPool {
        /// The name.
        pool: PoolName,
    },
    /// Every partition of a pool needs a shard.
    #[error(
        "pool {pool} has {shards} shards and {partitions} partitions; it needs 1 or more partitions and at least one shard for each"
    )]
    PartitionsOfPool {
        /// The pool.
        pool: PoolName,
        /// Its shards.
        shards: usize,
        /// Its partitions.
        partitions: usize,
    },
    /// Beyond [`SHARDS_MAX`].
    #[error("a layout has at most {SHARDS_MAX} shards")]
    TooManyShards,
    /// Beyond [`PARTITIONS_MAX`].
    #[error("a layout has at most {PARTITIONS_MAX} partitions")]
    TooManyPartitions,
    /// What storage holds is no layout.
    #[error("the stored layout is damaged: gaps, a scattered pool, or partitions that fit no pool")]
    Corrupt,
}
