//! Balances in memory before the events that need them.

use super::bench::{Bench, change, resident};
use crate::port::batch_writer::WriteError;
use crate::usecase::process_partition::fakes::{Trouble, until};
use std::time::Duration;

fn loads(bench: &Bench) -> usize {
    bench.store.state.lock().unwrap().loads.len()
}

/// Long enough that everything is preloaded, for each shard a page and its rest.
async fn until_preloaded() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}

fn preloading() -> Bench {
    let mut bench = Bench::new();
    bench.settings.preload_balances = true;
    for n in 0..4 {
        bench.endow(resident(n), "100");
    }
    bench
}

#[tokio::test(start_paused = true)]
async fn what_was_preloaded_is_not_loaded_and_is_right() {
    let mut bench = preloading();
    let _worker = bench.start();
    until_preloaded().await;
    let events: Vec<_> = (0..4).map(|n| change(resident(n), "k", "-1")).collect();
    bench.submit(&events).await;
    until("all", || bench.stored() == 4).await;
    for n in 0..4 {
        assert_eq!(bench.store.usd(resident(n)), ("99".to_owned(), 2));
    }
    assert_eq!(loads(&bench), 0);
    // What has no row was not read.
    bench.submit(&[change(resident(5), "k", "1")]).await;
    until("the other", || bench.stored() == 5).await;
    assert_eq!(loads(&bench), 1);
}

/// The page is on its way while the events that change its balances are decided and written.
#[tokio::test(start_paused = true)]
async fn a_page_that_comes_late_replaces_nothing() {
    let mut bench = preloading();
    let _worker = bench.start();
    for round in 0..30 {
        let key = format!("k{round}");
        let events: Vec<_> = (0..4).map(|n| change(resident(n), &key, "-1")).collect();
        bench.submit(&events).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    until("all", || bench.stored() == 120).await;
    for n in 0..4 {
        assert_eq!(bench.store.usd(resident(n)), ("70".to_owned(), 31));
    }
    let state = bench.store.state.lock().unwrap();
    let refused = state.writes_begun - state.committed.len();
    assert_eq!(refused, 0, "none was decided on an old balance");
}

#[tokio::test(start_paused = true)]
async fn after_the_memory_was_dropped_it_is_preloaded_again() {
    let mut bench = preloading();
    let moved = WriteError::Moved("version 3, expected 2".to_owned());
    bench.store.state.lock().unwrap().troubles = vec![Some(Trouble::Error(moved))].into();
    let _worker = bench.start();
    until_preloaded().await;
    bench.submit(&[change(resident(0), "k", "-1")]).await;
    until("it is decided again", || bench.stored() == 1).await;
    assert_eq!(loads(&bench), 1, "at once, before it is preloaded");
    until_preloaded().await;
    let events: Vec<_> = (0..4).map(|n| change(resident(n), "l", "-1")).collect();
    bench.submit(&events).await;
    until("all", || bench.stored() == 5).await;
    assert_eq!(loads(&bench), 1);
    assert_eq!(bench.store.usd(resident(0)), ("98".to_owned(), 3));
}
