//! Order, batches, and deciding ahead.

use super::bench::{Bench, change, resident};
use crate::port::batch_writer::{FinalResult, WriteError};
use crate::port::record_source::SourceEvent;
use crate::testkit::EventBuilder;
use crate::usecase::process_partition::StopReason;
use crate::usecase::process_partition::fakes::{FakeStore, Trouble, let_others_run, offset, until};
use axs_domain::log_status::LogStatus;
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

fn shut(store: &FakeStore) {
    store.gate.forget_permits(1_000_000);
}

fn writes_begun(bench: &Bench) -> usize {
    bench.store.state.lock().unwrap().writes_begun
}

#[tokio::test(start_paused = true)]
async fn events_of_one_batch_see_the_effect_of_earlier_ones_and_take_the_offset_with_them() {
    let mut bench = Bench::new();
    let account = resident(0);
    let worker = bench.start();
    bench
        .submit(&[
            change(account, "deposit", "100"),
            change(account, "spend", "-70"),
            change(account, "too-much", "-31"),
            change(account, "rest", "-30"),
        ])
        .await;
    until("committed", || bench.stored() == 4).await;
    assert_eq!(bench.store.usd(account), ("0".to_owned(), 3));
    let statuses = bench.store.statuses();
    assert_eq!(statuses["too-much"], LogStatus::Rejected);
    assert_eq!(statuses["rest"], LogStatus::Applied);
    let committed = bench.store.state.lock().unwrap().committed.clone();
    assert_eq!(committed.len(), 1);
    let FinalResult::Rejected(reason) = &committed[0].events[2].result else {
        panic!("rejected");
    };
    assert_eq!(reason.message, "changes[0]: asked for 31 USD, 30 available");
    bench.drain.cancel();
    assert_eq!(worker.await.unwrap().reason, StopReason::Drained);
    assert_eq!(bench.progress.stored_offset(), offset(4));
}

#[tokio::test(start_paused = true)]
async fn a_batch_stops_at_its_size_and_the_next_one_gathers_while_it_is_written() {
    let mut bench = Bench::new();
    bench.settings.batch_events_max = NonZeroUsize::new(3).unwrap();
    shut(&bench.store);
    let account = resident(0);
    let _worker = bench.start();
    let events: Vec<_> = (0..8)
        .map(|n| change(account, &format!("k{n}"), "1"))
        .collect();
    bench.submit(&events[..4]).await;
    until("first write", || writes_begun(&bench) == 1).await;
    // Singles arrive while the first batch is being written; they share one batch.
    bench.submit(&events[4..5]).await;
    let_others_run().await;
    bench.submit(&events[5..6]).await;
    let_others_run().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(writes_begun(&bench), 1, "one batch in flight at a time");
    bench.store.gate.add_permits(100);
    bench.submit(&events[6..]).await;
    until("all", || bench.stored() == 8).await;
    let sizes: Vec<usize> = bench
        .store
        .state
        .lock()
        .unwrap()
        .committed
        .iter()
        .map(|batch| batch.events.len())
        .collect();
    assert_eq!(sizes[..2], [3, 3], "{sizes:?}");
    assert_eq!(
        writes_begun(&bench),
        sizes.len(),
        "chunks of one batch merge into what the store has"
    );
    assert_eq!(bench.store.usd(account), ("8".to_owned(), 8));
}

#[tokio::test(start_paused = true)]
async fn a_lone_record_waits_a_short_time_for_company_and_no_longer() {
    let mut bench = Bench::new();
    let _worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    let_others_run().await;
    assert_eq!(writes_begun(&bench), 0);
    tokio::time::sleep(bench.settings.batch_linger).await;
    let_others_run().await;
    assert_eq!(writes_begun(&bench), 1);
}

/// Writes two single events and gives the time between the beginnings of their batches, when the
/// first takes so long.
async fn spacing_after(first_takes: Duration) -> Duration {
    let mut bench = Bench::new();
    bench.settings.batch_interval = Duration::from_millis(100);
    bench.settings.batch_linger = Duration::ZERO;
    shut(&bench.store);
    let _worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    until("the first begins", || writes_begun(&bench) == 1).await;
    let began = Instant::now();
    bench.submit(&[change(resident(0), "b", "1")]).await;
    tokio::time::sleep(first_takes).await;
    bench.store.gate.add_permits(1);
    until("the second begins", || writes_begun(&bench) == 2).await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_quick_store_is_asked_soon_again_and_a_slow_one_in_larger_batches() {
    for (first_takes, spacing) in [(0, 0), (12, 16), (30, 40), (90, 100), (250, 250)] {
        let spaced = spacing_after(Duration::from_millis(first_takes)).await;
        let lateness = spaced.saturating_sub(Duration::from_millis(spacing));
        assert!(
            spaced.as_millis() >= spacing.into(),
            "{first_takes}: {spaced:?}"
        );
        assert!(
            lateness < Duration::from_millis(10),
            "{first_takes}: {spaced:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn balances_are_loaded_once_in_one_query_and_then_remembered() {
    let mut bench = Bench::new();
    let (a, b) = (resident(0), resident(1));
    let _worker = bench.start();
    let fee = EventBuilder::new(b, "fee")
        .change("BNB", "-1", "0")
        .fallback("USD", "-1", "0")
        .build();
    bench
        .submit(&[change(a, "a1", "5"), change(b, "b1", "5"), fee])
        .await;
    until("first", || bench.stored() == 3).await;
    bench
        .submit(&[change(a, "a2", "-5"), change(b, "b2", "-4")])
        .await;
    until("second", || bench.stored() == 5).await;
    assert_eq!(bench.store.state.lock().unwrap().loads, [3]);
    assert_eq!(bench.store.usd(b), ("0".to_owned(), 3));
}

/// The race: the spend is decided on a deposit that is being written, and on what it leaves.
#[tokio::test(start_paused = true)]
async fn batch_n_fails_while_the_next_is_decided_on_it_and_no_refusal_is_kept_that_it_caused() {
    let mut bench = Bench::new();
    let account = resident(0);
    bench.endow(account, "100");
    // The withdrawal was final before: its record is a redelivery that must not count.
    let withdrawal = change(account, "withdrawal", "-100");
    let redelivered = bench.log(&withdrawal);
    for row in bench.store.state.lock().unwrap().rows.values_mut() {
        row.status = LogStatus::Rejected;
    }
    shut(&bench.store);
    let _worker = bench.start();
    bench.publish(vec![redelivered]).await;
    until("n is being written", || writes_begun(&bench) == 1).await;
    // Decided on the withdrawal, this lacks funds.
    bench.submit(&[change(account, "spend", "-60")]).await;
    let_others_run().await;
    bench.store.gate.add_permits(100);
    until("all", || bench.stored() == 2).await;
    assert_eq!(bench.store.statuses()["spend"], LogStatus::Applied);
    assert_eq!(bench.store.usd(account), ("40".to_owned(), 2));
}

/// The same race the other way round: a yes that rests on money that never came.
#[tokio::test(start_paused = true)]
async fn nothing_is_applied_that_rests_on_a_batch_that_failed() {
    let mut bench = Bench::new();
    let account = resident(0);
    let forged = change(account, "forged-deposit", "1000");
    let forged = bench.record(&forged, 999, 999);
    shut(&bench.store);
    let _worker = bench.start();
    bench.publish(vec![forged]).await;
    until("n is being written", || writes_begun(&bench) == 1).await;
    bench.submit(&[change(account, "spend", "-60")]).await;
    let_others_run().await;
    bench.store.gate.add_permits(100);
    until("all", || bench.stored() == 2).await;
    assert_eq!(bench.store.statuses()["spend"], LogStatus::Rejected);
    assert_eq!(bench.store.usd(account), ("-".to_owned(), 0));
    assert_eq!(bench.store.state.lock().unwrap().dead_letters.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_next_batch_is_decided_on_the_one_in_flight_and_written_as_decided() {
    let mut bench = Bench::new();
    let account = resident(0);
    shut(&bench.store);
    let _worker = bench.start();
    bench.submit(&[change(account, "deposit", "100")]).await;
    until("n is being written", || writes_begun(&bench) == 1).await;
    bench.submit(&[change(account, "spend", "-60")]).await;
    let_others_run().await;
    let loads = bench.store.state.lock().unwrap().loads.len();
    bench.store.gate.add_permits(100);
    until("all", || bench.stored() == 2).await;
    assert_eq!(bench.store.usd(account), ("40".to_owned(), 2));
    let state = bench.store.state.lock().unwrap();
    assert_eq!((state.writes_begun, state.committed.len()), (2, 2));
    assert_eq!(state.loads.len(), loads, "nothing is read again");
}

#[tokio::test(start_paused = true)]
async fn an_account_whose_balance_was_forgotten_under_memory_pressure_stays_right() {
    let mut bench = Bench::new();
    bench.settings.memory_balances_max = NonZeroUsize::MIN;
    let _worker = bench.start();
    for round in 0..5 {
        let events: Vec<_> = (0..4)
            .map(|n| change(resident(n), &format!("k{round}-{n}"), "1"))
            .collect();
        bench.submit(&events).await;
    }
    until("all", || bench.stored() == 20).await;
    for n in 0..4 {
        assert_eq!(bench.store.usd(resident(n)), ("5".to_owned(), 5));
    }
}

#[tokio::test(start_paused = true)]
async fn draining_finishes_the_batch_in_flight_and_leaves_the_rest_to_the_successor() {
    let mut bench = Bench::new();
    let account = resident(0);
    shut(&bench.store);
    let worker = bench.start();
    bench.submit(&[change(account, "first", "1")]).await;
    until("being written", || writes_begun(&bench) == 1).await;
    bench.submit(&[change(account, "second", "1")]).await;
    let_others_run().await;
    bench.drain.cancel();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!worker.is_finished(), "it waits for the batch");
    bench.store.gate.add_permits(100);
    assert_eq!(worker.await.unwrap().reason, StopReason::Drained);
    assert_eq!((bench.stored(), writes_begun(&bench)), (1, 1));
    assert_eq!(bench.progress.stored_offset(), offset(1));
    assert_eq!(bench.store.statuses()["second"], LogStatus::Init);
}

#[tokio::test(start_paused = true)]
async fn a_broken_source_ends_the_worker_after_what_was_read_is_written() {
    let mut bench = Bench::new();
    let worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    bench
        .send(SourceEvent::Broken(
            "the log ends before offset 7".to_owned(),
        ))
        .await;
    let end = worker.await.unwrap();
    let why = "the log ends before offset 7".to_owned();
    assert_eq!(end.reason, StopReason::SourceBroken(why));
    assert_eq!(bench.stored(), 1);
}

#[tokio::test(start_paused = true)]
async fn committed_balances_reach_the_cache_even_when_it_fails_first() {
    let mut bench = Bench::new();
    *bench.cache.failures.lock().unwrap() = 2;
    let feed = bench.feed.clone();
    let stop = CancellationToken::new();
    tokio::spawn(async move { feed.run(stop).await });
    let _worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    until("committed", || bench.stored() == 1).await;
    bench.submit(&[change(resident(0), "b", "2")]).await;
    let cache = bench.cache.clone();
    until("cached", || {
        let balances = cache.balances.lock().unwrap();
        balances.values().any(|stored| stored.version.value() == 2)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_failed_to_be_written_never_reaches_the_cache() {
    let mut bench = Bench::new();
    let error = WriteError::Moved("a second writer".to_owned());
    bench.store.state.lock().unwrap().troubles = [
        Some(Trouble::Error(error.clone())),
        Some(Trouble::Error(error)),
    ]
    .into();
    let worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    worker.await.unwrap();
    bench.feed.flush(Duration::from_secs(1)).await;
    assert!(bench.cache.balances.lock().unwrap().is_empty());
}
