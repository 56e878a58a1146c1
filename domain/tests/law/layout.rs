//! Account → shard → partition.

use crate::support::builder::{account, pool};
use axs_domain::id::{LayoutEpoch, PartitionId, ShardId};
use axs_domain::layout::{Layout, LayoutError, PARTITIONS_MAX, PoolSpec, SHARDS_MAX, Shard};
use proptest::prelude::*;

fn spec(name: &str, shards: usize, partitions: usize) -> PoolSpec {
    PoolSpec {
        name: pool(name),
        shards,
        partitions,
    }
}

fn shard(number: i32, name: &str, partition: i32) -> Shard {
    Shard {
        shard_id: ShardId::try_new(number).unwrap(),
        pool: pool(name),
        partition: PartitionId::try_new(partition).unwrap(),
    }
}

fn retail_and_whale() -> Layout {
    Layout::lay_out(&[spec("retail", 5, 3), spec("whale", 2, 2)]).unwrap()
}

#[test]
fn shards_lie_side_by_side_and_share_partitions_of_their_pool_in_blocks() {
    let expected = [
        shard(0, "retail", 0),
        shard(1, "retail", 0),
        shard(2, "retail", 1),
        shard(3, "retail", 1),
        shard(4, "retail", 2),
        shard(5, "whale", 3),
        shard(6, "whale", 4),
    ];
    let layout = retail_and_whale();
    assert_eq!(layout.shards(), expected);
    assert_eq!(layout.partition_count(), 5);
    assert_eq!(layout.epoch(), LayoutEpoch::MIN);
    assert_eq!(layout.pools(), [pool("retail"), pool("whale")]);
    assert_eq!(
        layout.shards_of(expected[2].partition),
        [expected[2].shard_id, expected[3].shard_id]
    );
    assert_eq!(
        layout.partition_of(expected[6].shard_id),
        Some(expected[6].partition)
    );
    assert_eq!(layout.partition_of(ShardId::try_new(7).unwrap()), None);
}

#[test]
fn a_layout_that_cannot_be_is_refused_with_the_pool_and_the_numbers() {
    let wrong = |name: &str, shards, partitions| LayoutError::PartitionsOfPool {
        pool: pool(name),
        shards,
        partitions,
    };
    let misnamed = |name: &str| LayoutError::NameOfPool { pool: pool(name) };
    let rows = [
        (vec![], LayoutError::NoPools),
        (vec![spec("Retail", 1, 1)], misnamed("Retail")),
        (vec![spec("a", 1, 1), spec("b,c", 1, 1)], misnamed("b,c")),
        (vec![spec("--pool", 1, 1)], misnamed("--pool")),
        (vec![spec("1", 1, 1)], misnamed("1")),
        (vec![spec("a", 0, 0)], wrong("a", 0, 0)),
        (vec![spec("a", 4, 0)], wrong("a", 4, 0)),
        (vec![spec("a", 4, 5)], wrong("a", 4, 5)),
        (vec![spec("a", 4, 2), spec("b", 0, 1)], wrong("b", 0, 1)),
        (
            vec![spec("a", 1, 1), spec("b", 1, 1), spec("a", 1, 1)],
            LayoutError::RepeatedPool { pool: pool("a") },
        ),
        (
            vec![spec("a", SHARDS_MAX + 1, 1)],
            LayoutError::TooManyShards,
        ),
        (
            vec![spec("a", SHARDS_MAX, 1), spec("b", 1, 1)],
            LayoutError::TooManyShards,
        ),
        (
            vec![spec("a", 1, 1), spec("b", usize::MAX, 1)],
            LayoutError::TooManyShards,
        ),
        (
            vec![spec("a", usize::MAX, usize::MAX)],
            LayoutError::TooManyShards,
        ),
        (
            vec![spec("a", SHARDS_MAX, PARTITIONS_MAX + 1)],
            LayoutError::TooManyPartitions,
        ),
        (
            vec![spec("a", PARTITIONS_MAX, PARTITIONS_MAX), spec("b", 1, 1)],
            LayoutError::TooManyPartitions,
        ),
    ];
    for (pools, error) in rows {
        assert_eq!(Layout::lay_out(&pools), Err(error), "{pools:?}");
    }
    assert!(Layout::lay_out(&[spec("a", SHARDS_MAX, PARTITIONS_MAX)]).is_ok());
}

#[test]
fn a_damaged_layout_is_never_restored() {
    let sound = || retail_and_whale().shards().to_vec();
    let edited = |edit: fn(&mut Vec<Shard>)| {
        let mut shards = sound();
        edit(&mut shards);
        shards
    };
    let beyond = i32::try_from(SHARDS_MAX).unwrap();
    let too_many = (0..=beyond)
        .map(|number| shard(number, "retail", 0))
        .collect();
    let rows: Vec<(&str, usize, Vec<Shard>)> = vec![
        ("no shard at all", 5, vec![]),
        ("no partition at all", 0, sound()),
        (
            "a shard is missing inside",
            5,
            edited(|s| drop(s.remove(1))),
        ),
        (
            "the first shard is missing",
            5,
            edited(|s| drop(s.remove(0))),
        ),
        ("a shard stands twice", 5, edited(|s| s[1] = s[0].clone())),
        ("a shard points past the partitions", 4, sound()),
        ("a partition has no shard", 6, sound()),
        (
            "a partition lost its only shard",
            5,
            edited(|s| s[4].partition = s[3].partition),
        ),
        (
            "a pool is scattered",
            5,
            edited(|s| s[6].pool = pool("retail")),
        ),
        (
            "two pools share a partition",
            4,
            edited(|s| {
                s[5].partition = s[4].partition;
                s[6].partition = PartitionId::try_new(3).unwrap();
            }),
        ),
        ("more shards than a layout has", 1, too_many),
        ("a partition past every bound", usize::MAX, sound()),
    ];
    for (claim, partition_count, shards) in rows {
        let restored = Layout::restore(LayoutEpoch::MIN, partition_count, shards);
        assert_eq!(restored, Err(LayoutError::Corrupt), "{claim}");
    }
}

/// Computed apart from this code. An account opened in one release must be found by the next:
/// never edit these.
#[test]
fn the_shard_of_a_new_account_is_pinned_for_ever() {
    let layout = Layout::lay_out(&[spec("retail", 48, 8), spec("whale", 16, 4)]).unwrap();
    let rows: &[(i64, i32, i32)] = &[
        (1, 17, 49),
        (2, 46, 62),
        (3, 45, 61),
        (10, 10, 58),
        (1_000, 40, 56),
        (1_000_000, 39, 55),
        (9_007_199_254_740_993, 23, 55),
        (9_223_372_036_854_775_807, 39, 55),
    ];
    for (number, in_retail, in_whale) in rows {
        let shards = ["retail", "whale"].map(|name| {
            layout
                .shard_for_new_account(account(*number), &pool(name))
                .map(ShardId::value)
        });
        assert_eq!(
            shards,
            [Some(*in_retail), Some(*in_whale)],
            "account {number}"
        );
    }
    assert_eq!(
        layout.shard_for_new_account(account(1), &pool("nobody")),
        None
    );
}

#[test]
fn neighbouring_accounts_spread_evenly_over_the_shards_of_their_pool() {
    let layout = Layout::lay_out(&[spec("retail", 12, 6), spec("whale", 10, 5)]).unwrap();
    let mut counts = [0u32; 22];
    for number in 1..=10_000 {
        let shard = layout
            .shard_for_new_account(account(number), &pool("whale"))
            .unwrap();
        counts[usize::try_from(shard.value()).unwrap()] += 1;
    }
    assert_eq!(counts[..12], [0; 12], "retail got whales");
    // 1,000 expected; the bound is four standard deviations of a fair draw.
    assert!(
        counts[12..]
            .iter()
            .all(|count| (880..=1_120).contains(count)),
        "{counts:?}"
    );
}

fn any_pools() -> impl Strategy<Value = Vec<PoolSpec>> {
    let sizes = (1usize..40).prop_flat_map(|shards| (Just(shards), 1..=shards));
    proptest::collection::vec(sizes, 1..6).prop_map(|sizes| {
        sizes
            .into_iter()
            .enumerate()
            .map(|(index, (shards, partitions))| spec(&format!("pool-{index}"), shards, partitions))
            .collect()
    })
}

proptest! {
    #[test]
    fn pools_are_contiguous_and_every_partition_has_shards_of_one_pool_evenly(
        pools in any_pools(),
    ) {
        let layout = Layout::lay_out(&pools).unwrap();
        let total: usize = pools.iter().map(|pool| pool.partitions).sum();
        prop_assert_eq!(layout.partition_count(), total);
        prop_assert_eq!(layout.partitions().count(), total);

        let mut next_shard = 0;
        let mut next_partition = 0;
        for pool in &pools {
            let shards = &layout.shards()[next_shard..next_shard + pool.shards];
            prop_assert!(shards.iter().all(|shard| shard.pool == pool.name));
            let sizes: Vec<usize> = layout
                .partitions()
                .skip(next_partition)
                .take(pool.partitions)
                .map(|partition| {
                    let of_partition = layout.shards_of(partition);
                    let inside = |id: &ShardId| shards.iter().any(|s| s.shard_id == *id);
                    if of_partition.iter().all(inside) { of_partition.len() } else { 0 }
                })
                .collect();
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            prop_assert!(*least > 0 && most - least <= 1, "{:?}", sizes);
            prop_assert_eq!(sizes.iter().sum::<usize>(), pool.shards);
            next_shard += pool.shards;
            next_partition += pool.partitions;
        }
        prop_assert_eq!(next_shard, layout.shards().len());
    }

    #[test]
    fn what_was_laid_out_is_restored_from_rows_in_any_order(
        (pools, order) in any_pools().prop_flat_map(|pools| {
            let shards: usize = pools.iter().map(|pool| pool.shards).sum();
            (Just(pools), Just((0..shards).collect::<Vec<_>>()).prop_shuffle())
        }),
        epoch in 1..1_000i32,
    ) {
        let layout = Layout::lay_out(&pools).unwrap();
        let rows = order.iter().map(|index| layout.shards()[*index].clone()).collect();
        let epoch = LayoutEpoch::try_new(epoch).unwrap();
        let restored = Layout::restore(epoch, layout.partition_count(), rows).unwrap();
        prop_assert_eq!(restored.shards(), layout.shards());
        prop_assert_eq!(restored.epoch(), epoch);
    }

    #[test]
    fn a_new_account_gets_a_shard_of_its_pool_whatever_pools_stand_behind_it(
        pools in any_pools(),
        number in 1..i64::MAX,
    ) {
        let whole = Layout::lay_out(&pools).unwrap();
        for index in 0..pools.len() {
            let name = &pools[index].name;
            let shard = whole.shard_for_new_account(account(number), name).unwrap();
            let found = whole.shards().iter().find(|s| s.shard_id == shard).unwrap();
            prop_assert_eq!(&found.pool, name);
            let without_later_pools = Layout::lay_out(&pools[..=index]).unwrap();
            let alone = without_later_pools.shard_for_new_account(account(number), name);
            prop_assert_eq!(alone, Some(shard));
        }
    }
}
