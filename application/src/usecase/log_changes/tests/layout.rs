//! A layout that is raised, or being changed.

use super::*;
use crate::port::change_log::AppendError;
use crate::usecase::log_changes::appender::TRIES_MAX;

#[tokio::test(start_paused = true)]
async fn while_the_layout_is_changed_requests_are_refused_with_a_delay_and_nothing_is_logged() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.set_paused(true);
    let refused = bench.log(&["a"]).await;
    assert!(matches!(refused, Err(LogError::Paused { retry_after }) if retry_after == RETRY_AFTER));
    assert!(bench.log.commits().is_empty() && bench.published().is_empty());
    assert!(bench.all_places_are_back().await);
    bench.log.set_paused(false);
    bench.log(&["a"]).await.unwrap();
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn events_placed_by_an_older_layout_are_placed_anew_and_keep_their_order() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.set_epoch(LayoutEpoch::MIN.next().unwrap());
    bench.log(&["a", "b"]).await.unwrap();
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["a", "b"]);
    let raised = raised_layout().layout;
    let home = raised.partition_of(account(1).shard_id).unwrap();
    for record in bench.topic.enqueued() {
        assert_eq!(record.partition, home);
        let header = bench.codec.decode_envelope(record.payload).unwrap().header;
        assert_eq!(header.layout_epoch, raised.epoch());
    }
}

#[tokio::test(start_paused = true)]
async fn events_placed_by_two_layouts_are_written_under_one() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    bench.log.set_epoch(raised_layout().layout.epoch());
    let mut changes = vec![change(&bench.codec, "a"), change(&bench.codec, "b")];
    changes[1].layout_epoch = raised_layout().layout.epoch();
    bench.commits.log(changes, AckLevel::Logged).await.unwrap();
    assert_eq!(bench.log.commits().len(), 1, "no try was in vain");
}

#[tokio::test]
async fn a_layout_that_moves_again_and_again_is_given_up_without_logging() {
    let mut change_log = MockChangeLog::new();
    change_log
        .expect_append()
        .times(TRIES_MAX)
        .returning(|_, placed_by| {
            Err(AppendError::LayoutMoved {
                current: placed_by.layout_epoch.next().unwrap(),
            })
        });
    let (commits, codec) = over(change_log);
    let refused = commits
        .log(vec![change(&codec, "a")], AckLevel::Logged)
        .await;
    assert!(matches!(refused, Err(LogError::Paused { .. })));
}
