//! Order, failures and bounds.

use super::world::{Running, World};
use crate::usecase::process_partition::fakes::{let_others_run, until};
use crate::usecase::publish_results::feed::WAITING_EVENTS_MAX;

fn first_of_each(published: &[i64]) -> Vec<i64> {
    let mut seen = Vec::new();
    for at in published {
        if !seen.contains(at) {
            seen.push(*at);
        }
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn committed_batches_are_published_in_their_order_without_being_read_again() {
    let world = World::at(0);
    let running = Running::start(&world, 0);
    for batch in [0..3, 3..4, 4..9] {
        running.feed.offer(world.batch(batch));
        let_others_run().await;
    }
    running.finish().await;
    assert_eq!(world.published(), (0..9).collect::<Vec<_>>());
    assert_eq!(world.with(|state| state.readings), 0);
    assert_eq!(world.stored(), Some(9));
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_rest_is_published_again_and_nothing_is_left_out() {
    // How the enqueueings end, how the deliveries end.
    let rows: [(&[bool], &[bool]); 4] = [
        (&[false], &[]),
        (&[true, true, false], &[]),
        (&[], &[true, false]),
        (&[], &[false, true, true, false, true, true, true, false]),
    ];
    for (enqueued, delivered) in rows {
        let world = World::at(0);
        world.with(|state| {
            state.enqueued_well = enqueued.iter().copied().collect();
            state.delivered_well = delivered.iter().copied().collect();
        });
        let running = Running::start(&world, 0);
        running.feed.offer(world.batch(0..3));
        running.feed.offer(world.batch(3..6));
        let_others_run().await;
        running.feed.offer(world.batch(6..7));
        running.finish().await;
        let published = world.published();
        let mut all = first_of_each(&published);
        all.sort_unstable();
        assert_eq!(all, (0..7).collect::<Vec<_>>(), "{published:?}");
        assert_eq!(world.stored(), Some(7));
        // Behind the last failure everything stands in order.
        let last_run = &published[published.len() - 4..];
        assert!(last_run.is_sorted(), "{published:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_is_dropped_and_read_again_from_the_topic() {
    let world = World::at(0);
    world.with(|state| state.kept = Some(Vec::new()));
    let running = Running::start(&world, 0);
    running.feed.offer(world.batch(0..1));
    let_others_run().await;
    // The task waits for a report, so that all of this has to wait.
    let most = i64::try_from(WAITING_EVENTS_MAX).unwrap();
    running.feed.offer(world.batch(1..1 + most));
    running.feed.offer(world.batch(1 + most..3 + most));
    let_others_run().await;
    assert_eq!(world.published(), [0]);
    let kept = world.with(|state| state.kept.take());
    for report in kept.unwrap() {
        report.send(Ok(None)).unwrap();
    }
    running.finish().await;
    assert_eq!(world.published(), (0..3 + most).collect::<Vec<_>>());
    assert_eq!(world.with(|state| state.readings), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_commit_was_found_out_later_is_read_from_the_log() {
    let world = World::at(0);
    let running = Running::start(&world, 0);
    let mut unknown = world.batch(0..2);
    unknown.results = None;
    running.feed.offer(unknown);
    running.feed.offer(world.batch(2..3));
    running.finish().await;
    assert_eq!(world.published(), [0, 1, 2]);
    assert_eq!(world.with(|state| state.readings), 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_topic_that_is_away_is_tried_again_with_pauses() {
    let world = World::at(0);
    world.with(|state| state.enqueued_well = std::iter::repeat_n(false, 10).collect());
    let running = Running::start(&world, 0);
    let began = tokio::time::Instant::now();
    running.feed.offer(world.batch(0..1));
    until("it is published", || world.published() == [0]).await;
    // Doubling from 20 ms to a second, each at least half: ten of them.
    assert!(began.elapsed().as_secs() >= 2, "{:?}", began.elapsed());
    running.finish().await;
}
