//! Claims about the cached balances.

use crate::support::{
    Fixture, INCARNATION, PATIENCE, account, code, committed, filled, shard, snapshot, stored,
    unused_prefix,
};
use axs_application::port::balance_cache::{BalanceCache, CommittedBalance};
use axs_application::port::balance_store::{AccountBalances, BalancesSnapshot};
use axs_domain::incarnation::Incarnation;
use redis::AsyncCommands;
use std::time::{Duration, Instant};

#[tokio::test]
async fn an_account_is_a_hit_only_after_a_fill() {
    let test = Fixture::new().await;
    assert_eq!(test.balances(1, 7).await, None);
    test.cache
        .write(vec![committed(1, 7, "BTC", 3)])
        .await
        .unwrap();
    assert_eq!(
        test.balances(1, 7).await,
        None,
        "only one currency is known"
    );
    test.cache
        .fill(snapshot(vec![filled(1, 7, &[("BTC", 3), ("USDT", 2)])]))
        .await
        .unwrap();
    assert_eq!(
        test.balances(1, 7).await,
        Some(vec![(code("BTC"), stored(3)), (code("USDT"), stored(2))])
    );
    assert_eq!(test.balances(2, 7).await, None, "of another shard");
}

#[tokio::test]
async fn an_account_that_never_had_a_currency_is_a_hit_without_balances() {
    let test = Fixture::new().await;
    test.cache
        .fill(snapshot(vec![filled(1, 7, &[])]))
        .await
        .unwrap();
    assert_eq!(test.balances(1, 7).await, Some(vec![]));
}

/// Whatever stands under one: neither a newer version nor an older one comes through.
#[tokio::test]
async fn two_histories_on_one_prefix_see_nothing_of_each_other() {
    const OTHER: Incarnation = Incarnation::new(-7);
    let test = Fixture::new().await;
    let asked = || vec![(shard(1), account(7))];
    test.cache
        .fill(snapshot(vec![filled(1, 7, &[("BTC", 9)])]))
        .await
        .unwrap();
    let nothing = test.cache.read(OTHER, asked()).await.unwrap();
    assert_eq!(nothing, [None]);

    let others = BalancesSnapshot {
        incarnation: OTHER,
        accounts: vec![filled(1, 7, &[("BTC", 2)])],
    };
    test.cache.fill(others).await.unwrap();
    let here = committed(1, 7, "BTC", 10);
    let there = CommittedBalance {
        incarnation: OTHER,
        ..committed(1, 7, "BTC", 3)
    };
    test.cache.write(vec![here, there]).await.unwrap();
    for (incarnation, version) in [(INCARNATION, 10), (OTHER, 3)] {
        let read = test.cache.read(incarnation, asked()).await.unwrap();
        let expected = filled(1, 7, &[("BTC", version)]);
        assert_eq!(read, [Some(expected)], "{incarnation}");
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Write(i64),
    Fill(i64),
}

fn orders(steps: &[Step]) -> Vec<Vec<Step>> {
    if steps.is_empty() {
        return vec![vec![]];
    }
    (0..steps.len())
        .flat_map(|first| {
            let mut rest = steps.to_vec();
            let step = rest.remove(first);
            orders(&rest).into_iter().map(move |mut order| {
                order.insert(0, step);
                order
            })
        })
        .collect()
}

/// A fill that read before a commit may arrive after its write; writes may arrive in any order.
#[tokio::test]
async fn in_whatever_order_writes_and_fills_arrive_no_reader_sees_a_balance_go_back() {
    let test = Fixture::new().await;
    let steps = [
        Step::Write(9),
        Step::Write(10),
        Step::Fill(8),
        Step::Fill(9),
    ];
    for (number, order) in (1..).zip(orders(&steps)) {
        let (mut newest, mut is_filled, mut seen) = (0, false, 0);
        for step in &order {
            match *step {
                Step::Write(version) => {
                    newest = newest.max(version);
                    test.cache
                        .write(vec![committed(1, number, "BTC", version)])
                        .await
                        .unwrap();
                }
                Step::Fill(version) => {
                    newest = newest.max(version);
                    is_filled = true;
                    test.cache
                        .fill(snapshot(vec![filled(1, number, &[("BTC", version)])]))
                        .await
                        .unwrap();
                }
            }
            let read = test.balances(1, number).await;
            assert_eq!(read.is_some(), is_filled, "{order:?}");
            if let Some(balances) = read {
                assert_eq!(balances, [(code("BTC"), stored(newest))], "{order:?}");
                assert!(newest >= seen, "{order:?}");
                seen = newest;
            }
        }
        assert_eq!(seen, 10, "{order:?}");
    }
}

#[tokio::test]
async fn a_currency_opened_after_a_fill_was_read_is_not_lost_by_it() {
    let test = Fixture::new().await;
    test.cache
        .write(vec![committed(1, 7, "ETH", 1)])
        .await
        .unwrap();
    test.cache
        .fill(snapshot(vec![filled(1, 7, &[("BTC", 5)])]))
        .await
        .unwrap();
    assert_eq!(
        test.balances(1, 7).await,
        Some(vec![(code("BTC"), stored(5)), (code("ETH"), stored(1))])
    );
}

/// As texts "9" sorts after "10"; as Lua numbers the versions above 2^53 would be equal.
#[tokio::test]
async fn versions_are_compared_exactly_up_to_the_last_one() {
    let test = Fixture::new().await;
    let rows: &[(i64, i64)] = &[
        (9, 10),
        (99, 100),
        (199, 200),
        (1 << 53, (1 << 53) + 1),
        (i64::MAX - 1, i64::MAX),
        (999_999_999_999_999_999, 1_000_000_000_000_000_000),
    ];
    for (number, (older, newer)) in (1..).zip(rows) {
        test.cache
            .fill(snapshot(vec![filled(1, number, &[("BTC", *older)])]))
            .await
            .unwrap();
        test.cache
            .write(vec![committed(1, number, "BTC", *newer)])
            .await
            .unwrap();
        let expected = Some(vec![(code("BTC"), stored(*newer))]);
        assert_eq!(test.balances(1, number).await, expected);
        test.cache
            .write(vec![committed(1, number, "BTC", *older)])
            .await
            .unwrap();
        test.cache
            .fill(snapshot(vec![filled(1, number, &[("BTC", *older)])]))
            .await
            .unwrap();
        assert_eq!(test.balances(1, number).await, expected, "{older} {newer}");
    }
}

#[tokio::test]
async fn the_newest_of_a_balance_that_stands_in_a_batch_more_than_once_stays() {
    let test = Fixture::new().await;
    let batch = [3, 5, 4].map(|version| committed(1, 7, "BTC", version));
    test.cache.write(batch.to_vec()).await.unwrap();
    test.cache
        .fill(snapshot(vec![filled(1, 7, &[])]))
        .await
        .unwrap();
    assert_eq!(
        test.balances(1, 7).await,
        Some(vec![(code("BTC"), stored(5))])
    );
}

#[tokio::test]
async fn a_fill_expires_while_writes_go_on_and_its_hash_stays_to_refuse_what_is_older() {
    let mut test = Fixture::with_fill_ttl(Duration::from_millis(300)).await;
    test.cache
        .fill(snapshot(vec![filled(1, 7, &[("BTC", 1)])]))
        .await
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut version = 1;
    while test.balances(1, 7).await.is_some() {
        assert!(Instant::now() < deadline, "writes keep the fill alive");
        version += 1;
        test.cache
            .write(vec![committed(1, 7, "BTC", version)])
            .await
            .unwrap();
    }
    let left: i64 = test.plain.pttl(test.key(1, 7)).await.unwrap();
    assert!(left > 60_000, "{left} ms");
    test.cache
        .fill(snapshot(vec![filled(1, 7, &[("BTC", 1)])]))
        .await
        .unwrap();
    let expected = Some(vec![(code("BTC"), stored(version))]);
    assert_eq!(test.balances(1, 7).await, expected);
}

#[tokio::test]
async fn every_hash_goes_some_day_one_that_was_only_written_too() {
    let mut test = Fixture::new().await;
    test.cache
        .write(vec![committed(1, 7, "BTC", 1)])
        .await
        .unwrap();
    test.cache
        .fill(snapshot(vec![filled(1, 8, &[])]))
        .await
        .unwrap();
    for number in [7, 8] {
        let left: i64 = test.plain.pttl(test.key(1, number)).await.unwrap();
        assert!((60_000..=120_000).contains(&left), "{left} ms");
    }
}

#[tokio::test]
async fn a_batch_of_many_accounts_and_shards_is_stored_and_read_whole() {
    const ACCOUNTS: i64 = 2_500;
    let test = Fixture::new().await;
    let shard_of = |number: i64| i32::try_from(number % 5).unwrap();
    let batch: Vec<CommittedBalance> = (1..=ACCOUNTS)
        .flat_map(|n| ["BTC", "USDT"].map(|c| committed(shard_of(n), n, c, n + 1)))
        .collect();
    test.cache.write(batch).await.unwrap();
    let fills: Vec<AccountBalances> = (1..=ACCOUNTS)
        .map(|n| filled(shard_of(n), n, &[("BTC", n), ("ETH", n), ("USDT", n)]))
        .collect();
    test.cache.fill(snapshot(fills)).await.unwrap();
    // In an order of the reader's own, with misses in between.
    let asked: Vec<_> = (1..=ACCOUNTS + 10)
        .rev()
        .map(|n| (shard(shard_of(n)), account(n)))
        .collect();
    let answers = test.cache.read(INCARNATION, asked).await.unwrap();
    for (number, answer) in (1..=ACCOUNTS + 10).rev().zip(answers) {
        let expected = (number <= ACCOUNTS).then(|| AccountBalances {
            shard_id: shard(shard_of(number)),
            account_id: account(number),
            balances: vec![
                (code("BTC"), stored(number + 1)),
                (code("ETH"), stored(number)),
                (code("USDT"), stored(number + 1)),
            ],
        });
        assert_eq!(answer, expected);
    }
}

#[tokio::test]
async fn an_account_with_more_currencies_than_one_script_takes_is_filled_whole() {
    let test = Fixture::new().await;
    let codes: Vec<String> = (0..2_500).map(|n| format!("C{n:05}")).collect();
    let balances: Vec<(&str, i64)> = codes.iter().map(|c| (c.as_str(), 1)).collect();
    let (first, large, last) = (
        filled(1, 1, &[]),
        filled(1, 2, &balances),
        filled(1, 3, &[]),
    );
    test.cache
        .fill(snapshot(vec![first, large, last]))
        .await
        .unwrap();
    assert_eq!(test.balances(1, 1).await, Some(vec![]));
    assert_eq!(test.balances(1, 2).await.unwrap().len(), codes.len());
    assert_eq!(test.balances(1, 3).await, Some(vec![]));
}

#[tokio::test]
async fn what_is_no_balance_is_a_miss_for_its_account_alone_and_a_fill_heals_it() {
    let mut test = Fixture::new().await;
    let fill = [7, 8, 9].map(|number| filled(1, number, &[("BTC", 4)]));
    test.cache.fill(snapshot(fill.to_vec())).await.unwrap();
    let (field, wrong_type) = (test.key(1, 7), test.key(1, 8));
    let _: () = test.plain.hset(&field, "BTC", "4|1e3|0").await.unwrap();
    let _: () = test.plain.del(&wrong_type).await.unwrap();
    let _: () = test.plain.set(&wrong_type, "no hash").await.unwrap();
    assert_eq!(test.balances(1, 7).await, None);
    assert_eq!(test.balances(1, 8).await, None);
    let sound = Some(vec![(code("BTC"), stored(4))]);
    assert_eq!(test.balances(1, 9).await, sound);
    test.cache.fill(snapshot(fill.to_vec())).await.unwrap();
    for number in [7, 8, 9] {
        assert_eq!(test.balances(1, number).await, sound, "{number}");
    }
    let _: () = test.plain.del(&wrong_type).await.unwrap();
    let _: () = test.plain.set(&wrong_type, "no hash").await.unwrap();
    test.cache
        .fill(snapshot(vec![filled(1, 8, &[])]))
        .await
        .unwrap();
    assert_eq!(test.balances(1, 8).await, Some(vec![]));
}

#[tokio::test]
async fn a_script_that_redis_forgot_is_brought_along() {
    let mut test = Fixture::new().await;
    test.cache
        .write(vec![committed(1, 7, "BTC", 1)])
        .await
        .unwrap();
    let _: () = redis::cmd("SCRIPT")
        .arg("FLUSH")
        .query_async(&mut test.plain)
        .await
        .unwrap();
    test.cache
        .fill(snapshot(vec![filled(1, 7, &[("BTC", 2)])]))
        .await
        .unwrap();
    let expected = Some(vec![(code("BTC"), stored(2))]);
    assert_eq!(test.balances(1, 7).await, expected);
}

#[tokio::test]
async fn nothing_asked_is_nothing_done_even_without_redis() {
    let prefix = unused_prefix();
    let nowhere = crate::support::cache("redis://127.0.0.1:1/", &prefix, PATIENCE);
    assert_eq!(nowhere.read(INCARNATION, vec![]).await, Ok(vec![]));
    assert_eq!(nowhere.write(vec![]).await, Ok(()));
    assert_eq!(nowhere.fill(snapshot(vec![])).await, Ok(()));
}
