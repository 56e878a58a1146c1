//! Raising the number of partitions.

use crate::support::builder::pool;
use axs_domain::id::PartitionId;
use axs_domain::layout::{Layout, PARTITIONS_MAX, PoolSpec};
use axs_domain::layout_raise::{PoolPartitions, RaiseError, has_grown_from, is_raised, raise};
use axs_domain::text::PoolName;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn layout(pools: &[(&str, usize, usize)]) -> Layout {
    let specs: Vec<PoolSpec> = pools
        .iter()
        .map(|(name, shards, partitions)| PoolSpec {
            name: pool(name),
            shards: *shards,
            partitions: *partitions,
        })
        .collect();
    Layout::lay_out(&specs).unwrap()
}

fn to(name: &str, partitions: usize) -> PoolPartitions {
    PoolPartitions {
        name: pool(name),
        partitions,
    }
}

fn homes(layout: &Layout) -> Vec<i32> {
    layout
        .shards()
        .iter()
        .map(|s| s.partition.value())
        .collect()
}

#[test]
fn every_pool_keeps_its_partitions_and_new_ones_come_behind_all() {
    let before = layout(&[("retail", 6, 2), ("whale", 2, 1)]);
    assert_eq!(homes(&before), [0, 0, 0, 1, 1, 1, 2, 2]);
    let after = raise(&before, 6, &[to("whale", 2), to("retail", 4)]).unwrap();
    assert_eq!(homes(&after), [0, 0, 3, 1, 1, 4, 2, 5]);
    assert_eq!(after.partition_count(), 6);
    assert_eq!(after.epoch(), before.epoch().next().unwrap());
}

#[test]
fn a_lone_pool_need_not_be_named() {
    let before = layout(&[("retail", 8, 4)]);
    let after = raise(&before, 8, &[]).unwrap();
    assert_eq!(homes(&after), [0, 4, 1, 5, 2, 6, 3, 7]);
    assert_eq!(raise(&before, 8, &[to("retail", 8)]), Ok(after));
}

#[test]
fn what_can_not_be_raised_is_refused_with_the_numbers() {
    let two = layout(&[("retail", 6, 2), ("whale", 2, 1)]);
    let standing = || "retail=2, whale=1".to_owned();
    let refused = |asked, pools: &[PoolPartitions]| raise(&two, asked, pools).unwrap_err();
    let not_more = |asked| RaiseError::NotMore { standing: 3, asked };
    let asked = PARTITIONS_MAX + 1;
    let rows = [
        (refused(3, &[]), not_more(3)),
        (refused(0, &[to("retail", 5)]), not_more(0)),
        (refused(asked, &[]), RaiseError::TooMany { asked }),
        (
            refused(4, &[]),
            RaiseError::PoolsNeeded {
                standing: standing(),
                asked: 4,
            },
        ),
        (
            refused(4, &[to("minnow", 2)]),
            RaiseError::UnknownPool {
                pool: pool("minnow"),
                standing: standing(),
            },
        ),
        (
            refused(4, &[to("retail", 3), to("retail", 3)]),
            RaiseError::RepeatedPool {
                pool: pool("retail"),
            },
        ),
        (
            refused(4, &[to("retail", 1), to("whale", 3)]),
            RaiseError::PoolShrinks {
                pool: pool("retail"),
                standing: 2,
                asked: 1,
            },
        ),
        (
            refused(5, &[to("whale", 3)]),
            RaiseError::TooFewShards {
                pool: pool("whale"),
                shards: 2,
                asked: 3,
            },
        ),
        (
            refused(5, &[to("retail", 3)]),
            RaiseError::Sum { sum: 4, asked: 5 },
        ),
    ];
    for (found, expected) in rows {
        assert_eq!(found, expected);
    }
}

/// Shards by partition, and the pools of each partition.
fn load(layout: &Layout) -> BTreeMap<PartitionId, (usize, BTreeSet<PoolName>)> {
    let mut load: BTreeMap<PartitionId, (usize, BTreeSet<PoolName>)> = BTreeMap::new();
    for shard in layout.shards() {
        let (count, pools) = load.entry(shard.partition).or_default();
        *count += 1;
        pools.insert(shard.pool.clone());
    }
    load
}

proptest! {
    #[test]
    fn raises_one_after_another_keep_every_pool_even_and_apart_and_move_no_shard_in_vain(
        shards in (1usize..60, 1usize..30),
        first in (0usize..60, 0usize..30),
        more in prop::collection::vec((0usize..10, 0usize..10), 1..4),
    ) {
        let first = (1 + first.0 % shards.0, 1 + first.1 % shards.1);
        let mut layout = layout(&[("a", shards.0, first.0), ("b", shards.1, first.1)]);
        let mut counts = first;
        for (a, b) in more {
            let next = ((counts.0 + a).min(shards.0), (counts.1 + b).min(shards.1));
            if next == counts {
                continue;
            }
            let raised = raise(&layout, next.0 + next.1, &[to("a", next.0), to("b", next.1)]).unwrap();
            let again = raise(&layout, next.0 + next.1, &[to("b", next.1), to("a", next.0)]);
            prop_assert_eq!(again, Ok(raised.clone()));
            let load = load(&raised);
            prop_assert_eq!(load.len(), next.0 + next.1, "every partition carries something");
            for (name, partitions, shards) in [("a", next.0, shards.0), ("b", next.1, shards.1)] {
                let of_pool: Vec<usize> = load
                    .values()
                    .filter(|(_, pools)| pools.contains(&pool(name)))
                    .map(|(count, _)| *count)
                    .collect();
                prop_assert_eq!(of_pool.len(), partitions);
                prop_assert!(of_pool.iter().all(|c| *c == shards / partitions
                    || *c == shards.div_ceil(partitions)));
            }
            prop_assert!(load.values().all(|(_, pools)| pools.len() == 1), "pools keep apart");
            let moved: Vec<_> = layout.shards().iter().zip(raised.shards())
                .filter(|(before, after)| before.partition != after.partition)
                .collect();
            let onto_new = load.iter()
                .filter(|(p, _)| usize::try_from(p.value()).unwrap() >= layout.partition_count())
                .map(|(_, (count, _))| *count)
                .sum::<usize>();
            prop_assert_eq!(moved.len(), onto_new, "only what the new partitions carry has moved");
            for (before, after) in layout.shards().iter().zip(raised.shards()) {
                prop_assert_eq!(before.shard_id, after.shard_id);
                prop_assert_eq!(&before.pool, &after.pool);
            }
            layout = raised;
            counts = next;
        }
    }
}

#[test]
fn what_was_raised_stands_for_every_smaller_plan_of_the_same_shards_and_for_no_other() {
    let first = layout(&[("retail", 6, 2), ("whale", 2, 1)]);
    let raised = raise(&first, 6, &[to("retail", 4), to("whale", 2)]).unwrap();
    type Row<'a> = (&'a [(&'a str, usize, usize)], bool);
    let rows: [Row<'_>; 6] = [
        (&[("retail", 6, 2), ("whale", 2, 1)], true),
        (&[("retail", 6, 4), ("whale", 2, 2)], true),
        (&[("retail", 6, 5), ("whale", 2, 1)], false),
        (&[("retail", 7, 2), ("whale", 2, 1)], false),
        (&[("whale", 2, 1), ("retail", 6, 2)], false),
        (&[("retail", 6, 2)], false),
    ];
    for (plan, grown) in rows {
        assert_eq!(has_grown_from(&raised, &layout(plan)), grown, "{plan:?}");
    }
    assert!(!has_grown_from(&first, &first), "it was never raised");
    assert!(is_raised(&raised, 6, &[]));
    assert!(is_raised(&raised, 6, &[to("retail", 4)]));
    assert!(!is_raised(&raised, 6, &[to("retail", 5)]));
    assert!(!is_raised(&raised, 6, &[to("nobody", 4)]));
    assert!(!is_raised(&first, 6, &[]));
}
