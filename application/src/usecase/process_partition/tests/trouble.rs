//! A store that fails, and a lease that ends.

use super::bench::{Bench, change, partition, resident};
use crate::port::batch_writer::{MockBatchWriter, WriteError};
use crate::usecase::process_partition::StopReason;
use crate::usecase::process_partition::fakes::{Trouble, let_others_run, offset, until};
use crate::usecase::process_partition::write::{WriteEnd, WriteTools, write_to_the_end};
use axs_domain::log_status::LogStatus;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

fn retryable() -> Option<Trouble> {
    Some(Trouble::Error(WriteError::Retryable("deadlock".to_owned())))
}

fn writes_begun(bench: &Bench) -> usize {
    bench.store.state.lock().unwrap().writes_begun
}

#[tokio::test(start_paused = true)]
async fn the_same_batch_is_written_again_after_a_passing_failure() {
    let mut bench = Bench::new();
    bench.store.state.lock().unwrap().troubles = [retryable(), retryable(), None].into();
    let _worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    until("committed", || bench.stored() == 1).await;
    assert_eq!(writes_begun(&bench), 3);
    assert_eq!(
        bench.store.state.lock().unwrap().loads.len(),
        1,
        "not decided again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_does_not_pass_stops_the_partition() {
    let mut bench = Bench::new();
    bench.settings.write_retries_max = 3;
    bench.store.state.lock().unwrap().troubles = (0..9).map(|_| retryable()).collect();
    let worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    assert!(matches!(worker.await.unwrap().reason, StopReason::Store(_)));
    assert_eq!((bench.stored(), writes_begun(&bench)), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn retries_end_when_the_lease_is_not_sure_any_more() {
    let mut bench = Bench::new();
    bench.settings.write_retries_max = u32::MAX;
    bench.store.state.lock().unwrap().troubles = (0..10_000).map(|_| retryable()).collect();
    let worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    assert_eq!(worker.await.unwrap().reason, StopReason::LeaseUnsure);
    let begun = writes_begun(&bench);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(writes_begun(&bench), begun);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_that_was_a_commit_goes_on_and_is_not_written_twice() {
    let mut bench = Bench::new();
    {
        let mut state = bench.store.state.lock().unwrap();
        state.troubles = [Some(Trouble::CommittedUnknown)].into();
        let away = WriteError::Retryable("no connection yet".to_owned());
        state.settle_troubles = [away.clone(), away].into();
    }
    let _worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    until("noticed", || bench.progress.stored_offset() == offset(1)).await;
    bench.submit(&[change(resident(0), "b", "1")]).await;
    until("next", || bench.stored() == 2).await;
    assert_eq!(bench.store.usd(resident(0)), ("2".to_owned(), 2));
    assert_eq!(writes_begun(&bench), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_that_was_no_commit_is_written_again() {
    let mut bench = Bench::new();
    bench.store.state.lock().unwrap().troubles = [Some(Trouble::LostUnknown)].into();
    let _worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    until("committed", || bench.stored() == 1).await;
    assert_eq!(bench.store.usd(resident(0)), ("1".to_owned(), 1));
    assert_eq!(writes_begun(&bench), 2);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_stays_unknown_stops_the_partition_without_another_write() {
    let mut bench = Bench::new();
    bench.settings.write_retries_max = 3;
    {
        let mut state = bench.store.state.lock().unwrap();
        state.troubles = [Some(Trouble::LostUnknown)].into();
        let away = WriteError::Retryable("away".to_owned());
        state.settle_troubles = (0..99).map(|_| away.clone()).collect();
    }
    let worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    assert!(matches!(worker.await.unwrap().reason, StopReason::Store(_)));
    assert_eq!(writes_begun(&bench), 1);
}

#[tokio::test(start_paused = true)]
async fn fenced_stops_at_once_with_no_further_write() {
    let mut bench = Bench::new();
    bench.store.gate.forget_permits(1_000_000);
    let worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    until("being written", || writes_begun(&bench) == 1).await;
    bench.submit(&[change(resident(0), "b", "1")]).await;
    let_others_run().await;
    {
        let mut state = bench.store.state.lock().unwrap();
        let rival = crate::usecase::process_partition::fakes::owner(2);
        state.fence = state.fence.raise(rival).unwrap().0;
    }
    bench.store.gate.add_permits(100);
    assert_eq!(worker.await.unwrap().reason, StopReason::Fenced);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((bench.stored(), writes_begun(&bench)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn fenced_is_never_tried_again_nor_settled() {
    let mut bench = Bench::new();
    let payload = bench.log(&change(resident(0), "a", "1"));
    drop(payload);
    let mut writer = MockBatchWriter::new();
    writer
        .expect_write()
        .times(1)
        .returning(|_| Err(WriteError::Fenced));
    writer.expect_settle().never();
    assert_eq!(
        write_to_the_end(tools(&bench, writer), Arc::new(empty_batch(&bench))).await,
        WriteEnd::Stopped(StopReason::Fenced)
    );
}

#[tokio::test(start_paused = true)]
async fn a_zombie_whose_lease_ran_out_begins_no_write() {
    let mut bench = Bench::new();
    let worker = bench.start();
    tokio::time::sleep(Duration::from_secs(6)).await;
    bench.submit(&[change(resident(0), "a", "1")]).await;
    assert_eq!(worker.await.unwrap().reason, StopReason::LeaseUnsure);
    assert_eq!(writes_begun(&bench), 0);

    for revoked in [false, true] {
        let bench = Bench::new();
        let mut writer = MockBatchWriter::new();
        writer.expect_write().never();
        writer.expect_settle().never();
        if revoked {
            bench.lease.revoke();
        } else {
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        let end = write_to_the_end(tools(&bench, writer), Arc::new(empty_batch(&bench))).await;
        assert_eq!(end, WriteEnd::Stopped(StopReason::LeaseUnsure));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_database_refuses_is_found_by_halving_and_parked_while_the_rest_commits() {
    let mut bench = Bench::new();
    let account = resident(0);
    let refused = ["k3", "k6"];
    bench.store.state.lock().unwrap().refused_keys =
        refused.map(str::to_owned).into_iter().collect();
    let _worker = bench.start();
    let events: Vec<_> = (0..8)
        .map(|n| change(account, &format!("k{n}"), "1"))
        .collect();
    bench.submit(&events).await;
    bench.submit(&[change(account, "later", "-6")]).await;
    until("all", || bench.stored() == 9).await;
    for (key, status) in bench.store.statuses() {
        let expected = if refused.contains(&key.as_str()) {
            LogStatus::Parked
        } else {
            LogStatus::Applied
        };
        assert_eq!(status, expected, "{key}");
    }
    assert_eq!(bench.store.usd(account), ("0".to_owned(), 7));
    let state = bench.store.state.lock().unwrap();
    let reason = state
        .rows
        .values()
        .find_map(|row| row.reason.clone())
        .unwrap();
    assert!(reason.contains("22003"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_refuses_everything_stops_the_partition_instead_of_parking_all() {
    let mut bench = Bench::new();
    bench.settings.poison_in_a_row_max = NonZeroUsize::new(2).unwrap();
    let events: Vec<_> = (0..9)
        .map(|n| change(resident(0), &format!("k{n}"), "1"))
        .collect();
    bench.store.state.lock().unwrap().refused_keys = (0..9).map(|n| format!("k{n}")).collect();
    let worker = bench.start();
    bench.submit(&events).await;
    assert!(matches!(
        worker.await.unwrap().reason,
        StopReason::Poison { .. }
    ));
    let parked = bench.store.statuses();
    let parked = parked.values().filter(|s| **s == LogStatus::Parked).count();
    assert_eq!((parked, bench.stored()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_even_parking_does_not_help_stops_the_partition() {
    let mut bench = Bench::new();
    let refusal = WriteError::RefusedData {
        sqlstate: "23514".to_owned(),
        message: "no partition of relation".to_owned(),
    };
    bench.store.state.lock().unwrap().troubles = (0..9)
        .map(|_| Some(Trouble::Error(refusal.clone())))
        .collect();
    let worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    let end = worker.await.unwrap();
    assert!(matches!(end.reason, StopReason::Refused { .. }), "{end:?}");
    assert_eq!(writes_begun(&bench), 2);
}

#[tokio::test(start_paused = true)]
async fn moved_drops_the_memory_reads_again_and_goes_on() {
    let mut bench = Bench::new();
    let account = resident(0);
    let _worker = bench.start();
    bench.submit(&[change(account, "a", "1")]).await;
    until("remembered", || bench.stored() == 1).await;
    // A person repaired the balance behind the leader's back.
    bench.endow(account, "50");
    {
        let mut state = bench.store.state.lock().unwrap();
        for stored in state.balances.values_mut() {
            stored.version = axs_domain::id::BalanceVersion::try_new(9).unwrap();
        }
    }
    bench.submit(&[change(account, "b", "-40")]).await;
    until("second", || bench.stored() == 2).await;
    assert_eq!(bench.store.usd(account), ("10".to_owned(), 10));
    assert_eq!(bench.store.state.lock().unwrap().loads, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn moved_again_and_again_is_a_second_writer_and_stops_the_partition() {
    let mut bench = Bench::new();
    let moved = WriteError::Moved("version 3, expected 2".to_owned());
    bench.store.state.lock().unwrap().troubles = (0..9)
        .map(|_| Some(Trouble::Error(moved.clone())))
        .collect();
    let worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    assert!(matches!(worker.await.unwrap().reason, StopReason::Moved(_)));
    assert_eq!(writes_begun(&bench), 2);
}

fn tools(bench: &Bench, writer: MockBatchWriter) -> WriteTools {
    WriteTools {
        writer: Arc::new(writer),
        clock: bench.clock.clone(),
        lease: bench.lease.clone(),
        retries_max: 5,
    }
}

fn empty_batch(bench: &Bench) -> crate::port::batch_writer::DecidedBatch {
    crate::port::batch_writer::DecidedBatch {
        claim: bench.claim,
        offset_after: offset(1),
        ..crate::testkit::empty_batch(partition())
    }
}
