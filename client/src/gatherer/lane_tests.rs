//! Lanes, without time and without a server.

use super::*;
use std::time::Duration;

const BYTES_MAX: usize = 1_000;

fn held(account: i64, id: u64, bytes: usize) -> Held {
    Held {
        id,
        account,
        event: vec![0; bytes].into(),
        reply: oneshot::channel().0,
        tries: 0,
        maybe_logged: false,
        cause: None,
    }
}

fn lanes(events: &[(i64, u64)]) -> Lanes {
    let mut lanes = Lanes::default();
    for (account, id) in events {
        lanes.push(held(*account, *id, 10));
    }
    lanes
}

fn ids(taken: &[Held]) -> Vec<u64> {
    taken.iter().map(|held| held.id).collect()
}

#[test]
fn a_lane_goes_whole_and_in_its_order_as_far_as_it_fits() {
    let mut lanes = lanes(&[(1, 0), (2, 1), (1, 2), (3, 3), (1, 4)]);
    assert_eq!(ids(&lanes.take(4, BYTES_MAX)), [0, 2, 4, 1]);
    assert_eq!(ids(&lanes.take(4, BYTES_MAX)), [3]);
    assert!(!lanes.has_ready());
}

#[test]
fn what_is_left_of_a_lane_waits_for_what_was_taken() {
    let mut lanes = lanes(&[(1, 0), (1, 1)]);
    let taken = lanes.take(1, BYTES_MAX);
    assert!(lanes.take(1, BYTES_MAX).is_empty());
    lanes.end_flight(1, taken, None);
    assert_eq!(ids(&lanes.take(9, BYTES_MAX)), [0, 1]);
}

#[test]
fn bytes_are_bounded_too_but_for_one_event_alone() {
    let mut lanes = Lanes::default();
    for (account, bytes) in [(1, 600), (1, 500), (2, 2_000), (3, 10)] {
        lanes.push(held(account, u64::try_from(bytes).unwrap(), bytes));
    }
    assert_eq!(ids(&lanes.take(9, BYTES_MAX)), [600]);
    assert_eq!(ids(&lanes.take(9, BYTES_MAX)), [2_000]);
    assert_eq!(ids(&lanes.take(9, BYTES_MAX)), [10]);
}

#[test]
fn a_resting_account_wakes_at_its_time_and_not_for_an_older_rest() {
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    let mut lanes = lanes(&[(1, 0)]);
    let taken = lanes.take(9, BYTES_MAX);
    lanes.end_flight(1, taken, Some(later));
    lanes.push(held(1, 1, 10));
    lanes.wake(&[1, 2], now);
    assert!(!lanes.has_ready());
    lanes.wake(&[1], later);
    assert_eq!(ids(&lanes.take(9, BYTES_MAX)), [0, 1]);
}

#[test]
fn nothing_remains_of_an_account_once_its_events_are_gone() {
    let mut lanes = lanes(&[(1, 0), (2, 1), (3, 2), (4, 3)]);
    assert!(lanes.withdraw(2, 1).is_some());
    assert!(lanes.withdraw(2, 1).is_none());
    let taken = lanes.take(2, BYTES_MAX);
    assert_eq!(ids(&taken), [0, 2]);
    assert!(lanes.withdraw(1, 0).is_none(), "a request carries it");
    lanes.end_flight(1, Vec::new(), None);
    lanes.end_flight(3, taken.into_iter().skip(1).collect(), Some(Instant::now()));
    assert!(lanes.withdraw(3, 2).is_some());
    assert!(lanes.withdraw(4, 3).is_some());
    assert!(lanes.by_account.is_empty());
    assert!(!lanes.has_ready());
}

#[test]
fn a_caller_that_gives_up_is_told_what_the_last_try_came_to() {
    let mut waiting = held(1, 0, 10);
    waiting.maybe_logged = true;
    waiting.cause = Some(Box::new(Cause::NoAnswer));
    assert_eq!(waiting.given_up(), SubmitError::Unknown(Cause::NoAnswer));
    assert_eq!(
        held(1, 0, 10).given_up(),
        SubmitError::NotLogged(Cause::NotSent)
    );
}
