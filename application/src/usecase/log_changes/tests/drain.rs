//! The end of the loop.

use super::*;
use crate::port::log_id_generator::MockLogIdGenerator;

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_was_taken_and_takes_nothing_more() {
    let bench = Bench::new(MemoryTopic::delivering(), 1);
    bench.log.hold();
    let requests = [
        bench.begin(&["a"], AckLevel::Logged),
        bench.begin(&["b"], AckLevel::Logged),
    ];
    sleep(SETTLED).await;
    let commits = Arc::clone(&bench.commits);
    let drain = tokio::spawn(async move { commits.drain(SETTLED).await });
    sleep(Duration::from_secs(1)).await;
    let late = bench.log(&["c"]).await;
    assert!(matches!(late, Err(LogError::Unavailable(_))));
    bench.log.let_commit(2);
    assert!(drain.await.unwrap());
    for request in requests {
        assert!(request.await.unwrap().is_ok());
    }
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_its_deadline_when_the_database_hangs() {
    let bench = Bench::new(MemoryTopic::delivering(), 1);
    bench.log.hold();
    let _request = bench.begin(&["a"], AckLevel::Logged);
    sleep(SETTLED).await;
    let began = Instant::now();
    assert!(!bench.commits.drain(Duration::from_secs(1)).await);
    assert_eq!(began.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_no_death() {
    let tasks = Arc::new(ProcessTasks::default());
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let commits = GroupCommit::new(
        bench.log.clone(),
        bench.publishing.clone(),
        bench.codec.clone(),
        Arc::new(CountingLogIds::default()),
        layouts(),
        incarnations(),
        tasks.clone(),
        settings(),
    );
    let request = commits.log(vec![change(&bench.codec, "a")], AckLevel::Logged);
    request.await.unwrap();
    assert!(commits.drain(SETTLED).await);
    assert_eq!(tasks.first_death(), None);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_panics_is_told_as_a_death_and_nobody_waits_for_it() {
    let mut log_ids = MockLogIdGenerator::new();
    log_ids.expect_next_id().returning(|| panic!("a bug"));
    let tasks = Arc::new(ProcessTasks::default());
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let commits = GroupCommit::new(
        bench.log.clone(),
        bench.publishing.clone(),
        bench.codec.clone(),
        Arc::new(log_ids),
        layouts(),
        incarnations(),
        tasks.clone(),
        settings(),
    );
    for key in ["a", "b"] {
        let logged = commits
            .log(vec![change(&bench.codec, key)], AckLevel::Logged)
            .await;
        assert!(matches!(logged, Err(LogError::Unavailable(_))));
    }
    let death = tasks.until_death().await;
    assert_eq!(death.task, "group commit");
    assert!(death.reason.contains("a bug"), "{death}");
    assert!(bench.all_places_are_back().await);
    assert!(commits.drain(SETTLED).await, "nothing is left to wait for");
}
