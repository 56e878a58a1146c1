//! Places of the publish window.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_while_it_waits_for_places_leaves_nothing_behind() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let held = bench.publishing.reserve(8).await.unwrap();
    let request = bench.begin(&["a"], AckLevel::Logged);
    tokio::task::yield_now().await;
    request.abort();
    drop(held);
    assert!(bench.all_places_are_back().await);
    assert!(bench.log.commits().is_empty());
}

#[tokio::test(start_paused = true)]
async fn while_the_broker_is_away_events_are_logged_up_to_the_window_and_then_refused() {
    let bench = Bench::new(MemoryTopic::holding(2), 100);
    bench.log(&["a", "b", "c", "d"]).await.unwrap();
    bench.log(&["e", "f", "g", "h"]).await.unwrap();
    let refused = bench.log(&["i"]).await.unwrap_err();
    let LogError::BacklogFull {
        retry_after,
        reason,
    } = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(retry_after, RETRY_AFTER);
    assert!(reason.contains("8 of 8"), "{reason}");
    assert_eq!(bench.log.commits().concat().len(), 8);
    // The broker comes back: everything is published in order and the backlog is gone.
    for _ in 0..4 {
        bench.topic.deliver(2);
        sleep(SETTLED).await;
    }
    assert!(bench.all_places_are_back().await);
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    assert_eq!(bench.published(), keys);
}

#[tokio::test(start_paused = true)]
async fn while_publishing_is_renewed_events_are_logged_up_to_the_window_and_published_after_it() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.topic.refuse_renewals(usize::MAX);
    bench.topic.fail("fatal");
    let mut logged = Vec::new();
    let refused = loop {
        let key = format!("k{}", logged.len());
        match bench.log(&[&key]).await {
            Ok(_) => logged.push(key),
            Err(refused) => break refused,
        }
    };
    assert!(
        matches!(refused, LogError::BacklogFull { .. }),
        "{refused:?}"
    );
    assert_eq!(logged.len(), usize::try_from(WINDOW).unwrap());
    assert_eq!(bench.log.commits().concat().len(), logged.len());
    bench.topic.refuse_renewals(0);
    sleep(SETTLED * 2).await;
    assert!(bench.all_places_are_back().await);
    assert_eq!(bench.published(), logged);
}
