//! Two commits under way.

use super::*;
use crate::usecase::log_changes::pace::{CALLERS_WORTH_A_COMMIT, EVENTS_WORTH_A_COMMIT};
use tokio::task::JoinHandle;

/// A request whose commit is held, and one that has come to the end of its own beside it.
async fn held_and_beside_it(
    bench: &Bench,
    held: &[&str],
    beside: &[&str],
) -> [JoinHandle<LogResult>; 2] {
    bench.log.hold_next(1);
    let held = bench.begin(held, AckLevel::Logged);
    sleep(SETTLED).await;
    let beside = bench.begin(beside, AckLevel::Logged);
    sleep(SETTLED).await;
    [held, beside]
}

#[tokio::test(start_paused = true)]
async fn a_full_commit_begins_beside_the_one_under_way_and_is_published_and_answered_behind_it() {
    let bench = Bench::new(MemoryTopic::delivering(), 2);
    let [first, second] = held_and_beside_it(&bench, &["a"], &["b", "c"]).await;
    let committed: Vec<usize> = bench.log.commits().iter().map(Vec::len).collect();
    assert_eq!(committed, [2], "the second is committed, the first is not");
    assert!(!second.is_finished());
    assert!(bench.published().is_empty());
    bench.log.let_commit(1);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_not_full_waits_for_the_one_under_way_and_a_third_for_one_of_two() {
    let bench = Bench::new(MemoryTopic::delivering(), 2);
    // A third would not be held, and would show itself.
    bench.log.hold_next(2);
    let mut requests = vec![bench.begin(&["a"], AckLevel::Logged)];
    sleep(SETTLED).await;
    for keys in [&["b"][..], &["c"], &["d", "e"]] {
        requests.push(bench.begin(keys, AckLevel::Logged));
        sleep(SETTLED).await;
    }
    assert!(bench.log.commits().is_empty());
    bench.log.let_commit(2);
    for request in requests {
        request.await.unwrap().unwrap();
    }
    sleep(SETTLED).await;
    let sizes: Vec<usize> = bench.log.commits().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 2, 2]);
    assert_eq!(bench.published(), ["a", "b", "c", "d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn enough_events_begin_a_commit_beside_the_one_under_way_though_it_is_not_full() {
    let bench = Bench::with_window(MemoryTopic::delivering(), 1_000, 1_000);
    bench.log.hold_next(1);
    let mut requests = vec![bench.begin(&["first"], AckLevel::Logged)];
    sleep(SETTLED).await;
    let keys: Vec<String> = (0..EVENTS_WORTH_A_COMMIT).map(|n| n.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    requests.push(bench.begin(&keys[1..], AckLevel::Logged));
    sleep(SETTLED).await;
    assert!(bench.log.commits().is_empty(), "too few");
    requests.push(bench.begin(&keys[..1], AckLevel::Logged));
    sleep(SETTLED).await;
    let committed: Vec<usize> = bench.log.commits().iter().map(Vec::len).collect();
    assert_eq!(committed, [EVENTS_WORTH_A_COMMIT]);
    bench.log.let_commit(1);
    for request in requests {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn half_of_many_callers_begin_a_commit_beside_the_one_under_way() {
    let bench = Bench::with_window(MemoryTopic::delivering(), 1_000, 1_000);
    let committed = || -> Vec<usize> { bench.log.commits().iter().map(Vec::len).collect() };
    let mut requests = Vec::new();
    let mut begin = async |count: usize| {
        for caller in requests.len()..requests.len() + count {
            requests.push(bench.begin(&[caller.to_string().as_str()], AckLevel::Logged));
        }
        sleep(SETTLED).await;
    };
    bench.log.hold_next(2);
    begin(1).await;
    // So many that half of all is more than the least that is worth a commit.
    let beside = CALLERS_WORTH_A_COMMIT + 10;
    begin(beside).await;
    begin(CALLERS_WORTH_A_COMMIT).await;
    bench.log.let_commit(1);
    sleep(SETTLED).await;
    assert_eq!(committed(), [1], "half of all would be more");
    // The one that was answered, those that wait, and those under way.
    let all = 1 + beside + CALLERS_WORTH_A_COMMIT;
    let half = all.div_ceil(2);
    begin(half - CALLERS_WORTH_A_COMMIT - 1).await;
    assert_eq!(committed(), [1]);
    begin(1).await;
    assert_eq!(committed(), [1, half]);
    bench.log.let_commit(1);
    for request in requests {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn without_anybody_who_could_send_the_loop_ends() {
    let bench = Bench::new(MemoryTopic::delivering(), 2);
    bench.log(&["a"]).await.unwrap();
    let tasks = bench.commits.running.tasks.clone();
    tasks.close();
    drop(bench);
    assert!(timeout(SETTLED, tasks.wait()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_second_commit_is_published_though_the_first_fails_and_whoever_was_in_that_is_told() {
    let bench = Bench::new(MemoryTopic::delivering(), 2);
    let [first, second] = held_and_beside_it(&bench, &["a"], &["b", "c"]).await;
    bench.log.set_away(true);
    bench.log.let_commit(1);
    assert!(matches!(
        first.await.unwrap(),
        Err(LogError::Unavailable(_))
    ));
    second.await.unwrap().unwrap();
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["b", "c"]);
    bench.log.set_away(false);
    assert!(bench.all_places_are_back().await);
}

/// Whichever wrote its row first, what stands before it in one of the two could be overtaken by it,
/// or by it what stands behind it in the other.
#[tokio::test(start_paused = true)]
async fn a_commit_with_a_key_of_one_under_way_waits_for_its_end_however_full_it_is() {
    let bench = Bench::new(MemoryTopic::delivering(), 2);
    let [first, again] = held_and_beside_it(&bench, &["a"], &["b", "a"]).await;
    assert!(bench.log.commits().is_empty());
    bench.log.let_commit(1);
    let first = first.await.unwrap().unwrap();
    let again = again.await.unwrap().unwrap();
    assert!(matches!(first[0], LogOutcome::Logged { .. }), "{first:?}");
    assert!(matches!(again[1], LogOutcome::Known { .. }), "{again:?}");
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["a", "b"]);
    assert!(bench.all_places_are_back().await);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_waited_for_in_either_commit_under_way_and_no_longer_than_that_one() {
    let bench = Bench::new(MemoryTopic::delivering(), 2);
    bench.log.hold_next(2);
    let mut requests = Vec::new();
    for keys in [&["a", "b"][..], &["c", "d"], &["e", "d"], &["f", "g"]] {
        requests.push(bench.begin(keys, AckLevel::Logged));
        sleep(SETTLED).await;
    }
    bench.log.let_commit(1);
    sleep(SETTLED).await;
    let committed = || bench.log.commits().len();
    assert_eq!(committed(), 1, "the third has a key of the second");
    bench.log.let_commit(1);
    for request in requests {
        request.await.unwrap().unwrap();
    }
    assert_eq!(committed(), 4);
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["a", "b", "c", "d", "e", "f", "g"]);
}
