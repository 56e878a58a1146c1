//! What a dead leader had committed and not sent.

use super::world::{Running, World};
use crate::usecase::process_partition::fakes::{let_others_run, offset, until};
use crate::usecase::publish_results::replay::PAGE_RECORDS_MAX;

#[tokio::test(start_paused = true)]
async fn a_successor_sends_results_and_cache_writes_from_the_results_offset_on() {
    let world = World::at(7);
    for at in 0..7 {
        let _ = world.commit(at);
    }
    let running = Running::start(&world, 4);
    until("what was missing is out", || world.published().len() == 3).await;
    until("the cache has it", || world.cached() == Some(7)).await;
    running.feed.offer(world.batch(7..8));
    running.finish().await;
    assert_eq!(world.published(), [4, 5, 6, 7]);
    assert_eq!((world.cached(), world.stored()), (Some(8), Some(8)));
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_dies_too_is_made_good_and_nothing_is_left_out() {
    let records = i64::try_from(PAGE_RECORDS_MAX).unwrap() * 2 + 5;
    let world = World::at(records);
    for at in 0..records {
        let _ = world.commit(at);
    }
    // Dies after the first page, which it could not store yet.
    world.with(|state| state.store_away = false);
    let running = Running::start(&world, 0);
    until("a page is out", || !world.published().is_empty()).await;
    let stored = world.stored().unwrap_or(0);
    running.kill().await;
    let before = world.with(|state| std::mem::take(&mut state.published));
    let running = Running::start(&world, stored);
    running.finish().await;
    let after = world.published();
    assert!(before.is_sorted() && after.is_sorted());
    let mut all: Vec<i64> = before.into_iter().chain(after).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (0..records).collect::<Vec<_>>());
    assert_eq!(world.stored(), Some(records));
}

#[tokio::test(start_paused = true)]
async fn results_whose_records_a_cut_log_lacks_are_waited_for_and_not_passed_over() {
    let world = World::at(4);
    for at in 0..4 {
        let _ = world.commit(at);
    }
    let tail = world.with(|state| {
        state.cut_at = Some(2);
        state.records.split_off(&offset(2))
    });
    let running = Running::start(&world, 0);
    until("what is there is out", || world.published().len() == 2).await;
    until("it has looked again", || {
        world.with(|state| state.readings) > 3
    })
    .await;
    assert!(world.stored().is_none_or(|stored| stored <= 2));
    world.with(|state| {
        state.cut_at = None;
        state.records.extend(tail);
    });
    running.finish().await;
    assert_eq!(world.published(), [0, 1, 2, 3]);
    assert_eq!(world.stored(), Some(4));
}

#[tokio::test(start_paused = true)]
async fn copies_and_records_without_a_result_are_passed_over() {
    let world = World::at(6);
    let first = world.commit(0);
    let fourth = world.commit(3);
    world.write_record(1, &first);
    world.write_bytes(2, "no envelope".into());
    // Parked, or with another row under its key: not final here.
    let parked = world.commit(4);
    world.with(|state| state.rows.retain(|_, row| row.log_id != parked.log_id));
    // Offset 5 holds no record.
    world.write_record(1, &fourth);
    let running = Running::start(&world, 0);
    running.finish().await;
    assert_eq!(world.published(), [0, 3]);
    assert_eq!(world.stored(), Some(6));
}

#[tokio::test(start_paused = true)]
async fn a_forged_record_with_the_key_of_a_real_one_sends_no_result() {
    let world = World::at(2);
    let mut forged = world.commit(0);
    forged.log_id = crate::testkit::log_id(99);
    world.write_record(1, &forged);
    world.with(|state| {
        for row in state.rows.values_mut() {
            row.offset = crate::usecase::process_partition::fakes::offset(1);
        }
    });
    let running = Running::start(&world, 0);
    running.finish().await;
    assert_eq!(world.published(), [0_i64; 0]);
}

#[tokio::test(start_paused = true)]
async fn records_that_were_dropped_before_their_results_are_no_reason_to_wait() {
    for (log_start, expected) in [(3, vec![3, 4]), (5, vec![])] {
        let world = World::at(5);
        for at in 0..5 {
            let _ = world.commit(at);
        }
        world.with(|state| state.log_start = log_start);
        let running = Running::start(&world, 1);
        running.feed.offer(world.batch(5..6));
        running.finish().await;
        let expected: Vec<i64> = expected.into_iter().chain([5]).collect();
        assert_eq!(world.published(), expected);
        assert_eq!(world.stored(), Some(6));
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_is_waited_for_and_asked_again() {
    let world = World::at(2);
    for at in 0..2 {
        let _ = world.commit(at);
    }
    world.with(|state| state.store_away = true);
    let running = Running::start(&world, 0);
    running.feed.offer(world.batch(2..3));
    let_others_run().await;
    assert_eq!(world.published(), [0_i64; 0], "never out of order");
    world.with(|state| state.store_away = false);
    running.finish().await;
    assert_eq!(world.published(), [0, 1, 2]);
}
