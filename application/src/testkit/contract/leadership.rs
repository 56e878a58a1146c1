//! Who leads a partition, and which consumers are alive.

use super::{Decider, LEASE, Stores, new_owner, offset, partition};
use crate::port::partition_leadership::{LeaderView, TakeOver};
use crate::port::store_error::StoreError;
use crate::testkit::stored_layout;
use axs_domain::fencing::Claim;
use axs_domain::id::FencingToken;
use axs_domain::incarnation::Incarnation;
use std::time::Duration;

/// The offset, the record before it, the epoch: all that a leader begins with.
pub async fn a_free_partition_is_taken_with_what_is_stored(stores: Stores) {
    let here = partition(2);
    let first = stores.lead(here, new_owner()).await;
    let batch = Decider::new(here, first).batch().skip().skip().decided();
    let last_record = batch.last_record;
    stores.write(batch).await.unwrap();
    stores.leadership.release(here, first).await.unwrap();
    let owner = new_owner();
    let taken = stores.leadership.take_over(here, owner, LEASE).await;
    let token = FencingToken::try_new(first.token.value() + 1).unwrap();
    let expected = TakeOver::Taken {
        claim: Claim {
            token,
            owner,
            ..first
        },
        stored_offset: offset(2),
        stored_record: Some(last_record),
        layout_epoch: stored_layout().layout.epoch(),
        results_offset: offset(0),
    };
    assert_eq!(taken, Ok(expected));
}

/// Its owner may have lost the answer, and asks again.
pub async fn a_lease_that_stands_is_held_against_others_but_not_against_its_owner(stores: Stores) {
    let (here, owner) = (partition(0), new_owner());
    let first = stores.lead(here, owner).await;
    let taken = stores.leadership.take_over(here, new_owner(), LEASE).await;
    assert_eq!(taken, Ok(TakeOver::Held));
    let again = stores.lead(here, owner).await;
    assert_eq!(again.token.value(), first.token.value() + 1);
}

/// By the store's own clock.
pub async fn a_lease_ends_by_itself(stores: Stores) {
    let here = partition(0);
    let ttl = Duration::from_millis(300);
    let first = stores.leadership.take_over(here, new_owner(), ttl).await;
    assert!(matches!(first, Ok(TakeOver::Taken { .. })), "{first:?}");
    let other = new_owner();
    loop {
        let before = stores.leadership.leaders().await.unwrap();
        let taken = stores.leadership.take_over(here, other, LEASE).await;
        if matches!(taken, Ok(TakeOver::Taken { .. })) {
            break;
        }
        assert!(before[0].held_by.is_some(), "held although it was over");
    }
}

/// The others find it held.
pub async fn of_many_candidates_at_once_one_leads_and_the_token_grows(stores: Stores) {
    let here = partition(0);
    let mut last: Option<Claim> = None;
    for _ in 0..5 {
        if let Some(claim) = last {
            stores.leadership.release(here, claim).await.unwrap();
        }
        let leadership = &stores.leadership;
        let attempts = (0..6).map(|_| leadership.take_over(here, new_owner(), LEASE));
        let attempts = futures::future::join_all(attempts).await.into_iter();
        let taken: Vec<Claim> = attempts
            .filter_map(|attempt| match attempt.unwrap() {
                TakeOver::Taken { claim, .. } => Some(claim),
                TakeOver::Held => None,
            })
            .collect();
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert!(last.is_none_or(|last| taken[0].token > last.token));
        last = Some(taken[0]);
    }
}

/// It is no partition at all.
pub async fn a_partition_that_no_layout_has_can_not_be_led(stores: Stores) {
    let nowhere = partition(77);
    let taken = stores
        .leadership
        .take_over(nowhere, new_owner(), LEASE)
        .await;
    assert!(
        matches!(taken, Err(StoreError::Corrupt { .. })),
        "{taken:?}"
    );
}

/// Not an older claim's, not another owner's, not one of no partition, not one that was given in
/// another history of the database, whose leader's memory is of that one.
pub async fn only_leases_that_are_still_the_claims_are_renewed(stores: Stores) {
    let owner = new_owner();
    let sound = stores.lead(partition(0), owner).await;
    let elsewhere = Claim {
        owner: new_owner(),
        ..stores.lead(partition(1), owner).await
    };
    let older = stores.lead(partition(2), owner).await;
    stores.lead(partition(2), owner).await;
    let of_another_history = stores.lead(partition(3), owner).await;
    let of_another_history = Claim {
        incarnation: Incarnation::new(!of_another_history.incarnation.value()),
        ..of_another_history
    };
    let renewed = stores
        .leadership
        .renew(vec![(partition(3), of_another_history)], LEASE);
    assert_eq!(renewed.await, Ok(Vec::new()));
    let claims = vec![
        (partition(2), older),
        (partition(1), elsewhere),
        (partition(0), sound),
        (partition(77), sound),
    ];
    let renewed = stores.leadership.renew(claims, LEASE).await;
    assert_eq!(renewed, Ok(vec![partition(0)]));
    let nothing = stores.leadership.renew(Vec::new(), LEASE).await;
    assert_eq!(nothing, Ok(Vec::new()));
}

/// Whoever gives up what is no more his changes nothing.
pub async fn a_lease_given_up_is_free_at_once_and_a_stale_claim_gives_up_nothing(stores: Stores) {
    let here = partition(0);
    let old = stores.lead(here, new_owner()).await;
    let new = stores.succeed(here, old).await;
    let stranger = Claim {
        owner: new_owner(),
        ..new
    };
    for stale in [old, stranger] {
        stores.leadership.release(here, stale).await.unwrap();
        let views = stores.leadership.leaders().await.unwrap();
        assert_eq!(views[0].held_by, Some(new.owner));
    }
}

/// Those whose lease has ended included.
pub async fn leaders_are_told_for_every_partition_in_order(stores: Stores) {
    let owner = new_owner();
    let second = stores.lead(partition(1), owner).await;
    let fourth = stores.lead(partition(3), owner).await;
    let batch = Decider::new(partition(1), second).batch().skip().decided();
    stores.write(batch).await.unwrap();
    let over = stores.leadership.release(partition(3), fourth).await;
    over.unwrap();
    let expected: Vec<LeaderView> = (0..4)
        .map(|number| LeaderView {
            partition: partition(number),
            held_by: (number == 1).then_some(owner),
            stored_offset: offset(i64::from(number == 1)),
        })
        .collect();
    assert_eq!(stores.leadership.leaders().await.unwrap(), expected);
}

/// A consumer counts from its first check-in on.
pub async fn who_checks_in_is_live_until_it_leaves_or_its_time_is_over(stores: Stores) {
    let (one, other) = (new_owner(), new_owner());
    let registry = &stores.registry;
    assert_eq!(registry.check_in(one, LEASE).await, Ok(vec![one]));
    let mut both = vec![one, other];
    both.sort_unstable();
    let short = Duration::from_millis(200);
    assert_eq!(registry.check_in(other, short).await, Ok(both));
    while registry.check_in(one, LEASE).await != Ok(vec![one]) {}
    registry.check_in(other, LEASE).await.unwrap();
    registry.leave(one).await.unwrap();
    assert_eq!(registry.check_in(other, LEASE).await, Ok(vec![other]));
}
