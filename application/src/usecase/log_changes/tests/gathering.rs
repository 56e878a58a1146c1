//! What one commit gathers, and for how long.

use super::*;
use crate::testkit::log_id;
use crate::usecase::log_changes::pace::GATHERING_MAX;

#[tokio::test(start_paused = true)]
async fn requests_that_come_during_a_commit_are_gathered_into_the_next_in_order() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.hold();
    let mut requests = vec![bench.begin(&["a"], AckLevel::Logged)];
    sleep(SETTLED).await;
    for keys in [["b", "c"], ["d", "e"]] {
        requests.push(bench.begin(&keys, AckLevel::Logged));
        sleep(SETTLED).await;
    }
    bench.log.let_commit(2);
    for request in requests {
        request.await.unwrap().unwrap();
    }
    sleep(SETTLED).await;
    let ids = |numbers: &[u128]| numbers.iter().map(|n| log_id(*n)).collect::<Vec<_>>();
    assert_eq!(bench.log.commits(), [ids(&[1]), ids(&[2, 3, 4, 5])]);
    assert_eq!(bench.published(), ["a", "b", "c", "d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn who_was_answered_and_sends_again_at_once_comes_into_the_next_commit() {
    let bench = Arc::new(Bench::new(MemoryTopic::delivering(), 100));
    bench.log.hold();
    let mut callers = Vec::new();
    for keys in [["a", "c"], ["b", "d"]] {
        let bench = Arc::clone(&bench);
        callers.push(tokio::spawn(async move {
            for key in keys {
                bench.log(&[key]).await.unwrap();
            }
        }));
        sleep(SETTLED).await;
    }
    bench.log.let_commit(100);
    for caller in callers {
        caller.await.unwrap();
    }
    // The last one waited for the caller that had no more to send, in vain and not for long.
    let sizes: Vec<usize> = bench.log.commits().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 2, 1]);
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn callers_are_waited_for_just_after_a_commit_and_not_long_however_slow_it_was() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.hold();
    let first = bench.begin(&["a"], AckLevel::Logged);
    sleep(SETTLED).await;
    let second = bench.begin(&["b"], AckLevel::Logged);
    sleep(SETTLED).await;
    // Two callers, and a commit of ten seconds: the second waits for the first, but not five.
    bench.log.let_commit(2);
    first.await.unwrap().unwrap();
    let answered = Instant::now();
    second.await.unwrap().unwrap();
    assert_eq!(answered.elapsed(), GATHERING_MAX);
    // Whoever comes long after that commit is not kept waiting at all.
    sleep(SETTLED).await;
    bench.log.let_commit(1);
    let asked = Instant::now();
    bench.log(&["c"]).await.unwrap();
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_commit_holds_no_more_events_than_its_bound_unless_one_request_is_larger() {
    let bench = Bench::new(MemoryTopic::delivering(), 2);
    bench.log.hold();
    let mut requests = vec![bench.begin(&["a"], AckLevel::Logged)];
    sleep(SETTLED).await;
    for keys in [&["b"][..], &["c", "d"], &["e", "f", "g"]] {
        requests.push(bench.begin(keys, AckLevel::Logged));
        sleep(SETTLED).await;
    }
    bench.log.let_commit(100);
    for request in requests {
        request.await.unwrap().unwrap();
    }
    sleep(SETTLED).await;
    let sizes: Vec<usize> = bench.log.commits().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 1, 2, 3]);
    assert_eq!(bench.published(), ["a", "b", "c", "d", "e", "f", "g"]);
}
