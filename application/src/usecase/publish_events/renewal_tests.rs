//! Claims about going on after a failed producer.

use super::tests::{SETTLED, all_places_are_back, events, noting, numbers, publishing};
use super::*;
use crate::testkit::MemoryTopic;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;

/// Events of one account, in the order of their first copies on the topic.
fn first_copies(topic: &MemoryTopic) -> Vec<i64> {
    let mut seen = Vec::new();
    for record in topic.landed() {
        let number = record.account_id.value();
        if !seen.contains(&number) {
            seen.push(number);
        }
    }
    seen
}

fn is_renewing(publishing: &OrderedPublishing) -> bool {
    matches!(publishing.health(), PublishHealth::Renewing(_))
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_producer_everything_is_published_by_the_next_one_in_order() {
    let topic = Arc::new(MemoryTopic::holding(100));
    let publishing = publishing(&topic, noting());
    publishing.publish(events(&publishing, &[1, 2]).await);
    sleep(SETTLED).await;
    topic.fail("fatal: out of sequence");
    publishing.publish(events(&publishing, &[3, 4]).await);
    sleep(SETTLED).await;
    assert_eq!(topic.renewals(), 1);
    assert_eq!(numbers(&topic), [1, 2, 1, 2, 3, 4]);
    assert_eq!(
        publishing.health(),
        PublishHealth::Renewing("fatal: out of sequence".to_owned())
    );
    topic.deliver(4);
    assert!(all_places_are_back(&publishing).await);
    assert_eq!(first_copies(&topic), [1, 2, 3, 4]);
    assert_eq!(publishing.health(), PublishHealth::Publishing);
}

#[tokio::test(start_paused = true)]
async fn a_failed_delivery_is_repeated_before_anything_newer() {
    let topic = Arc::new(MemoryTopic::holding(2));
    let publishing = publishing(&topic, noting());
    publishing.publish(events(&publishing, &[1, 2, 3]).await);
    sleep(SETTLED).await;
    topic.deliver(1);
    sleep(SETTLED).await;
    topic.fail_delivery("refused");
    publishing.publish(events(&publishing, &[4]).await);
    for _ in 0..3 {
        sleep(SETTLED).await;
        topic.deliver(1);
    }
    assert!(all_places_are_back(&publishing).await);
    assert_eq!(first_copies(&topic), [1, 2, 3, 4]);
    assert_eq!(publishing.health(), PublishHealth::Publishing);
}

#[tokio::test(start_paused = true)]
async fn while_publishing_is_renewed_places_stay_taken_and_a_full_window_says_so() {
    let topic = Arc::new(MemoryTopic::holding(100));
    let publishing = publishing(&topic, noting());
    topic.refuse_renewals(usize::MAX);
    topic.fail("fatal");
    publishing.publish(events(&publishing, &[1, 2]).await);
    sleep(SETTLED).await;
    assert!(is_renewing(&publishing));
    // There is room still: what is logged now waits behind.
    publishing.publish(events(&publishing, &[3, 4]).await);
    let refused = publishing.reserve(1).await.unwrap_err();
    assert!(
        matches!(refused, ReserveError::Full { used: 4, .. }),
        "{refused:?}"
    );
    assert!(numbers(&topic).is_empty());
    topic.refuse_renewals(0);
    sleep(SETTLED * 2).await;
    topic.deliver(4);
    assert!(all_places_are_back(&publishing).await);
    assert_eq!(first_copies(&topic), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn renewals_that_fail_are_repeated_with_growing_pauses() {
    let topic = Arc::new(MemoryTopic::delivering());
    let publishing = publishing(&topic, noting());
    topic.refuse_renewals(usize::MAX);
    topic.fail("fatal");
    publishing.publish(events(&publishing, &[1]).await);
    sleep(Duration::from_secs(100)).await;
    let tries = topic.renewals();
    // Five seconds at most and half of it at least, once the pauses have grown.
    assert!((20..=50).contains(&tries), "{tries}");
    assert!(is_renewing(&publishing));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_refused_again_and_again_is_not_called_recovered() {
    let topic = Arc::new(MemoryTopic::holding(100));
    let publishing = publishing(&topic, noting());
    publishing.publish(events(&publishing, &[1, 2]).await);
    for _ in 0..6 {
        sleep(SETTLED * 2).await;
        topic.fail_delivery("too large");
    }
    assert_eq!(topic.renewals(), 5, "the pauses did not grow");
    assert!(is_renewing(&publishing));
    assert!(
        topic.landed().is_empty(),
        "the second must not overtake the first"
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiter_waits_on_through_a_renewal() {
    let topic = Arc::new(MemoryTopic::holding(1));
    let publishing = publishing(&topic, noting());
    let mut published = events(&publishing, &[1]).await;
    let (waiter, publication) = Publication::pending();
    published[0].waiter = Some(waiter);
    publishing.publish(published);
    sleep(SETTLED).await;
    topic.fail_delivery("refused");
    sleep(SETTLED).await;
    let delivered = async { topic.deliver(1) };
    let waited = publication.wait_until(Instant::now() + SETTLED);
    assert!(tokio::join!(waited, delivered).0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_during_a_renewal_waits_for_what_is_repeated() {
    let topic = Arc::new(MemoryTopic::holding(100));
    let publishing = publishing(&topic, noting());
    topic.refuse_renewals(3);
    topic.fail("fatal");
    publishing.publish(events(&publishing, &[1, 2]).await);
    let broker = async {
        while topic.waiting() < 2 {
            sleep(Duration::from_millis(100)).await;
        }
        topic.deliver(2);
    };
    let (drained, ()) = tokio::join!(publishing.drain(SETTLED * 4), broker);
    assert!(drained);
    assert_eq!(first_copies(&topic), [1, 2]);
}

/// Whatever fails and however late copies land, first copies stand in the order of acceptance.
#[tokio::test(start_paused = true)]
async fn under_any_failures_first_copies_land_in_the_order_of_acceptance() {
    for seed in 0..100 {
        let mut chance = StdRng::seed_from_u64(seed);
        let topic = Arc::new(MemoryTopic::holding(3));
        let publishing = publishing(&topic, noting());
        let mut next = 1;
        for _ in 0..60 {
            match chance.random_range(0..10) {
                0 => topic.fail("fatal"),
                1 if topic.waiting() > 0 => topic.fail_delivery("refused"),
                2 => topic.refuse_renewals(1),
                3 => topic.land_late(chance.random_range(1..4)),
                4..7 if topic.waiting() > 0 => topic.deliver(1),
                _ => {
                    if let Ok(mut places) = publishing.reserve(1).await {
                        let place = places.split_one().unwrap();
                        publishing.publish(vec![super::tests::event(next, place)]);
                        next += 1;
                    }
                }
            }
            sleep(Duration::from_millis(chance.random_range(0..300))).await;
        }
        while publishing.window().used() > 0 {
            sleep(SETTLED).await;
            topic.deliver(topic.waiting());
        }
        let expected: Vec<i64> = (1..next).collect();
        assert_eq!(first_copies(&topic), expected, "seed {seed}");
        assert!(publishing.drain(SETTLED).await, "seed {seed}");
    }
}
