//! The stored layout.

use crate::laid_out::{layout, on_laid_out_database};
use crate::support::on_database;
use axs_application::port::layout_change::PartitionStart;
use axs_application::port::layout_store::{LayoutStore, StoredLayout};
use axs_domain::id::{Offset, PartitionId};
use axs_domain::layout::{Layout, PARTITIONS_MAX, PoolSpec, SHARDS_MAX};
use axs_domain::text::PoolName;
use axs_infrastructure::postgres::layout_store::PgLayoutStore;

#[tokio::test]
async fn a_layout_is_read_back_as_it_was_made() {
    on_database(async |test| {
        let store = PgLayoutStore::new(test.database());
        assert_eq!(store.load().await.unwrap(), None);
        assert!(store.create(layout(), Vec::new()).await.unwrap());
        assert_eq!(store.load().await.unwrap(), Some(layout()));
    })
    .await;
}

#[tokio::test]
async fn a_result_topic_is_kept_once() {
    on_database(async |test| {
        let store = PgLayoutStore::new(test.database());
        let early = store.keep_results_topic("early".to_owned()).await;
        assert_eq!(early, Ok(false), "there is no layout");
        let older = StoredLayout {
            results_topic: None,
            ..layout()
        };
        assert!(store.create(older, Vec::new()).await.unwrap());
        for (topic, keeps) in [("first", true), ("second", false)] {
            let kept = store.keep_results_topic(topic.to_owned()).await;
            assert_eq!(kept, Ok(keeps));
            let stored = store.load().await.unwrap().unwrap();
            assert_eq!(stored.results_topic.as_deref(), Some("first"));
        }
    })
    .await;
}

#[tokio::test]
async fn every_partition_has_a_fence_and_a_lease_and_every_range_its_tables() {
    on_laid_out_database(async |test| {
        for table in ["partition_leader_locks", "partition_leases"] {
            let rows = test.number(&format!("SELECT count(*) FROM {table}")).await;
            assert_eq!(rows, 3, "{table}");
        }
        for table in [
            "account_balances",
            "balance_change_states",
            "ledger_entries",
        ] {
            let ranges = test
                .number(&format!(
                    "SELECT count(*) FROM pg_inherits WHERE inhparent = '{table}'::regclass"
                ))
                .await;
            assert_eq!(ranges, 3, "{table}");
        }
        let covered = test
            .number(
                "SELECT count(*) FROM pg_class WHERE relname IN
                 ('account_balances_s0_15', 'account_balances_s16_19', 'account_balances_s20_23')",
            )
            .await;
        assert_eq!(covered, 3);
    })
    .await;
}

#[tokio::test]
async fn a_partition_is_read_from_the_start_that_it_is_given_and_others_from_the_first_record() {
    on_database(async |test| {
        let store = PgLayoutStore::new(test.database());
        let start = PartitionStart {
            partition: PartitionId::try_new(1).unwrap(),
            offset: Offset::try_new(17).unwrap(),
        };
        assert!(store.create(layout(), vec![start]).await.unwrap());
        for (partition, offset) in [(0, 0), (1, 17), (2, 0)] {
            for column in ["stored_offset", "results_offset"] {
                let found = test
                    .number(&format!(
                        "SELECT {column} FROM partition_leader_locks WHERE partition = {partition}"
                    ))
                    .await;
                assert_eq!(found, offset, "{column} of partition {partition}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn of_two_that_make_the_layout_at_once_one_does_and_its_layout_stands() {
    on_database(async |test| {
        let here = PgLayoutStore::new(test.database());
        let there = PgLayoutStore::new(test.elsewhere().database());
        let other = StoredLayout {
            layout: Layout::lay_out(&[PoolSpec {
                name: PoolName::parse("only").unwrap(),
                shards: 8,
                partitions: 4,
            }])
            .unwrap(),
            events_topic: "axs.other".to_owned(),
            cluster_id: None,
            results_topic: None,
            grown_to: None,
        };
        let (first, second) = tokio::join!(
            here.create(layout(), Vec::new()),
            there.create(other.clone(), Vec::new())
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        assert!(first != second, "{first} {second}");
        let standing = if first { layout() } else { other };
        assert_eq!(here.load().await.unwrap(), Some(standing.clone()));
        assert!(
            !here.create(layout(), Vec::new()).await.unwrap(),
            "a third comes late"
        );
        assert_eq!(here.load().await.unwrap(), Some(standing));
    })
    .await;
}

#[tokio::test]
async fn the_largest_layout_can_be_made() {
    on_database(async |test| {
        let largest = StoredLayout {
            layout: Layout::lay_out(&[PoolSpec {
                name: PoolName::parse("large").unwrap(),
                shards: SHARDS_MAX,
                partitions: PARTITIONS_MAX,
            }])
            .unwrap(),
            ..layout()
        };
        let store = PgLayoutStore::new(test.database());
        assert!(store.create(largest.clone(), Vec::new()).await.unwrap());
        assert_eq!(store.load().await.unwrap(), Some(largest));
    })
    .await;
}
