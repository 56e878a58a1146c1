//! When the results offset moves.

use super::world::{MOOT_AFTER, Running, World};
use crate::port::balance_cache::CommittedBalance;
use crate::testkit::{INCARNATION, code};
use crate::usecase::process_partition::CacheFeed;
use crate::usecase::process_partition::fakes::{FakeCache, let_others_run, offset, until};
use crate::usecase::publish_results::outlet::{Outlet, STRETCHES_MAX, Stretch};
use crate::usecase::publish_results::replay::balances_after;
use axs_domain::incarnation::Incarnation;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn the_offset_is_stored_about_once_a_second_and_once_at_the_end() {
    let world = World::at(0);
    let running = Running::start(&world, 0);
    for at in 0..50 {
        running.feed.offer(world.batch(at..at + 1));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    running.feed.offer(world.batch(50..51));
    running.finish().await;
    let stored = world.with(|state| state.stored.clone());
    assert!((5..=9).contains(&stored.len()), "{stored:?}");
    assert_eq!(stored.last(), Some(&51));
    assert_eq!(world.progress.results_lag(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn the_offset_waits_for_the_cache_until_its_word_is_moot() {
    let world = World::at(0);
    *world.cache.failures.lock().unwrap() = usize::MAX;
    let running = Running::start(&world, 0);
    running.feed.offer(world.batch(0..2));
    tokio::time::sleep(MOOT_AFTER - Duration::from_secs(5)).await;
    assert_eq!(world.published(), [0, 1], "results don't wait");
    assert_eq!(world.stored(), None);
    assert_eq!(world.progress.results_lag(), Some(2));
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(world.stored(), Some(2));
    running.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_cache_write_that_gives_way_to_a_later_one_holds_up_only_the_later_offset() {
    let world = World::at(0);
    *world.cache.failures.lock().unwrap() = usize::MAX;
    let running = Running::start(&world, 0);
    running.feed.offer(world.batch(0..1));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.stored(), None);
    // The same balance: on a replay the later batch tells it.
    running.feed.offer(world.batch(1..2));
    until("the first is covered by the second", || {
        world.stored() == Some(1)
    })
    .await;
    *world.cache.failures.lock().unwrap() = 0;
    until("the cache has both", || world.stored() == Some(2)).await;
    assert_eq!(world.cached(), Some(2));
    running.kill().await;
}

#[tokio::test(start_paused = true)]
async fn an_offset_that_can_not_be_stored_is_stored_later() {
    let world = World::at(0);
    world.with(|state| state.store_away = true);
    let running = Running::start(&world, 0);
    running.feed.offer(world.batch(0..1));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.published(), [0]);
    world.with(|state| state.store_away = false);
    until("it is stored", || world.stored() == Some(1)).await;
    running.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_out_when_each_of_its_writes_is_written_or_gave_way() {
    let world = World::at(0);
    let cache = Arc::new(FakeCache::default());
    let feed = CacheFeed::new(cache.clone());
    let balance =
        |at| -> Vec<CommittedBalance> { balances_after(&[world.commit(at)], INCARNATION) };
    assert!(feed.offer(Vec::new()).is_out(), "nothing is to be written");
    let first = feed.offer(balance(1));
    // The same again, as a replay offers it: the later ticket stands for both.
    let again = feed.offer(balance(1));
    assert!(first.is_out() && !again.is_out());
    let older = feed.offer(balance(0));
    assert!(
        older.is_out() && !again.is_out(),
        "a newer one waits already"
    );
    // A failed write waits again, under its own ticket.
    *cache.failures.lock().unwrap() = 1;
    feed.flush(Duration::from_secs(1)).await;
    assert!(!again.is_out());
    feed.flush(Duration::from_secs(1)).await;
    assert!(again.is_out());
}

/// Of two histories each has its own versions.
#[tokio::test]
async fn a_balance_of_another_history_waits_beside_the_one_of_before() {
    let world = World::at(0);
    let feed = CacheFeed::new(Arc::new(FakeCache::default()));
    let before = feed.offer(balances_after(&[world.commit(5)], Incarnation::new(2)));
    let now = feed.offer(balances_after(&[world.commit(1)], INCARNATION));
    assert!(!before.is_out() && !now.is_out());
    feed.flush(Duration::from_secs(1)).await;
    assert!(before.is_out() && now.is_out());
}

/// What a panic unwinds over holds no mark any more, and was not written all the same.
#[tokio::test]
async fn what_a_write_that_dies_had_taken_is_never_out() {
    let cache = Arc::new(FakeCache::default());
    cache.panics.store(true, Ordering::SeqCst);
    let feed = Arc::new(CacheFeed::new(cache));
    let ticket = feed.offer(balances_after(&[World::at(0).commit(1)], INCARNATION));
    let dying = Arc::clone(&feed);
    let died = tokio::spawn(async move { dying.flush(Duration::from_secs(1)).await }).await;
    assert!(died.is_err());
    assert!(!ticket.is_out() && ticket.was_dropped());
}

#[tokio::test(start_paused = true)]
async fn stretches_that_wait_for_the_cache_are_bounded_by_what_the_cache_feed_holds() {
    let world = World::at(0);
    let cache = Arc::new(FakeCache::default());
    let feed = CacheFeed::new(cache);
    let mut outlet = Outlet::new(offset(0), MOOT_AFTER);
    let since = Instant::now();
    // One that nobody writes, then another one over and over: the newest of it waits too.
    let mut held = balances_after(&[world.commit(0)], INCARNATION);
    held[0].key.currency = code("EUR");
    let cache = feed.offer(held);
    let to = offset(1);
    outlet.push(Stretch { to, cache, since });
    for at in 1..5_000 {
        let cache = feed.offer(balances_after(&[world.commit(at)], INCARNATION));
        let to = offset(at + 1);
        outlet.push(Stretch { to, cache, since });
        assert_eq!(outlet.out_at(since), offset(0));
        assert!(outlet.len() <= STRETCHES_MAX + 1);
    }
    let_others_run().await;
    assert_eq!(outlet.out_at(since + MOOT_AFTER), offset(5_000));
    assert!(outlet.is_empty());
}
