//! Another history of the database.

use super::*;

const OTHER: Incarnation = Incarnation::new(2);

#[tokio::test(start_paused = true)]
async fn in_another_history_nothing_is_logged_and_whoever_looks_up_is_told() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.set_incarnation(OTHER);
    let refused = bench.log(&["a", "b"]).await;
    assert_eq!(refused.unwrap_err(), LogError::HistoryMoved);
    assert_eq!(*bench.told.lock().unwrap(), [OTHER]);
    assert!(bench.log.commits().is_empty());
    assert!(bench.all_places_are_back().await);
    assert!(bench.published().is_empty());
}

/// Requests of both wait while a commit is under way.
#[tokio::test(start_paused = true)]
async fn a_commit_holds_events_of_one_history_and_the_others_come_with_the_next() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.hold();
    let first = bench.begin(&["first"], AckLevel::Logged);
    sleep(SETTLED).await;
    let old = bench.begin(&["old"], AckLevel::Logged);
    sleep(SETTLED).await;
    let newer = ChangeToLog {
        incarnation: OTHER,
        ..change(&bench.codec, "newer")
    };
    let commits = Arc::clone(&bench.commits);
    let newer = tokio::spawn(async move { commits.log(vec![newer], AckLevel::Logged).await });
    sleep(SETTLED).await;
    bench.log.let_commit(1);
    first.await.unwrap().unwrap();
    bench.log.set_incarnation(OTHER);
    bench.log.let_commit(2);
    assert_eq!(old.await.unwrap().unwrap_err(), LogError::HistoryMoved);
    newer.await.unwrap().unwrap();
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["first", "newer"]);
}
