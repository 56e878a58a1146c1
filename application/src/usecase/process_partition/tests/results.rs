//! What a worker hands over after a commit.

use super::bench::{Bench, change, resident};
use crate::port::batch_writer::WriteError;
use crate::port::result_codec::{FinishedEvent, FinishedOutcome};
use crate::usecase::process_partition::fakes::{SCANNED_TO, Trouble, offset, until};
use crate::usecase::publish_results::Next;

/// Waits until the worker knows of a commit up to this offset.
async fn committed(bench: &Bench, to: i64) {
    until("committed", || bench.progress.stored_offset() == offset(to)).await;
}

/// The results that wait behind an offset.
fn results(bench: &Bench, position: i64) -> Vec<FinishedEvent> {
    match bench.results.next(offset(position)) {
        Next::Batch(batch, results) => {
            assert_eq!(batch.from, offset(position));
            assert_eq!(batch.to, offset(bench.stored()));
            results
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_final_event_of_a_batch_is_handed_over_with_its_result_and_no_other() {
    let mut bench = Bench::new();
    let account = resident(0);
    let _worker = bench.start();
    let deposit = bench.log(&change(account, "in", "5"));
    let refused = bench.log(&change(account, "too much", "-50"));
    let taken = bench.log(&change(account, "out", "-2"));
    let copy = deposit.clone();
    bench.publish(vec![deposit, refused, copy, taken]).await;
    committed(&bench, 4).await;
    let results = results(&bench, 0);
    let told: Vec<_> = results
        .iter()
        .map(|finished| {
            let outcome = match &finished.outcome {
                FinishedOutcome::Applied(entries) => {
                    let after = entries.last().unwrap().after;
                    (after.balance.available.to_string(), after.version.value())
                }
                FinishedOutcome::Rejected(reason) => ("refused".to_owned(), reason.code.into()),
            };
            (
                finished.event.idempotency_key().as_str(),
                finished.offset.value(),
                outcome,
            )
        })
        .collect();
    let expected = |text: &str, number| (text.to_owned(), number);
    assert_eq!(
        told,
        [
            ("in", 0, expected("5", 1)),
            ("too much", 1, expected("refused", 1)),
            ("out", 3, expected("3", 2)),
        ]
    );
    assert!(
        results
            .iter()
            .all(|it| it.decided_at.unix_micros() == SCANNED_TO)
    );
}

#[tokio::test(start_paused = true)]
async fn a_parked_event_is_no_result() {
    let mut bench = Bench::new();
    bench.store.state.lock().unwrap().refused_keys = ["bad".to_owned()].into();
    let _worker = bench.start();
    bench.submit(&[change(resident(0), "bad", "1")]).await;
    committed(&bench, 1).await;
    assert_eq!(results(&bench, 0), []);
}

#[tokio::test(start_paused = true)]
async fn a_commit_without_a_known_time_leaves_its_results_to_the_log() {
    let mut bench = Bench::new();
    bench.store.state.lock().unwrap().troubles = [Some(Trouble::CommittedUnknown)].into();
    let _worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    committed(&bench, 1).await;
    let next = bench.results.next(offset(0));
    assert!(
        matches!(next, Next::Replay { until } if until == offset(1)),
        "{next:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_not_committed_is_never_handed_over() {
    let mut bench = Bench::new();
    bench.store.state.lock().unwrap().troubles = [Some(Trouble::Error(WriteError::Fenced))].into();
    let worker = bench.start();
    bench.submit(&[change(resident(0), "a", "1")]).await;
    worker.await.unwrap();
    assert!(matches!(bench.results.next(offset(0)), Next::Nothing));
}
