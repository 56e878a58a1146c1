//! Only the newest claim writes.

use super::{Decider, Stores, new_owner, partition, resident};
use crate::port::batch_writer::WriteError;
use axs_domain::fencing::Claim;
use axs_domain::id::FencingToken;
use axs_domain::incarnation::Incarnation;

const HERE: i32 = 2;

/// Even when nobody holds the lease.
pub async fn a_stale_token_is_refused_and_leaves_nothing(stores: Stores) {
    let here = partition(HERE);
    let old = stores.lead(here, new_owner()).await;
    let mut decider = Decider::new(here, old);
    let first = stores.log(resident(here, 0), "first").await;
    let batch = decider.batch().apply(&first, "5").decided();
    stores.write(batch).await.unwrap();
    let new = stores.succeed(here, old).await;
    let second = stores.log(resident(here, 0), "second").await;
    for _ in 0..2 {
        let before = stores.standing(&[&first, &second]).await;
        let batch = decider.batch().apply(&second, "5").decided();
        assert_eq!(stores.write(batch).await, Err(WriteError::Fenced));
        assert_eq!(stores.standing(&[&first, &second]).await, before);
        stores.leadership.release(here, new).await.unwrap();
    }
}

/// A writer that has written nothing yet is known to nobody but by its claim.
pub async fn a_claim_is_refused_before_its_first_batch_too(stores: Stores) {
    let here = partition(HERE);
    let old = stores.lead(here, new_owner()).await;
    stores.succeed(here, old).await;
    let batch = Decider::new(here, old).batch().skip().decided();
    assert_eq!(stores.write(batch).await, Err(WriteError::Fenced));
}

/// A number that a lagging copy gave out again, one that was lost with the old primary, or token
/// and owner as they stand, of another history.
pub async fn the_newest_token_in_other_hands_is_refused(stores: Stores) {
    let here = partition(HERE);
    let claim = stores.lead(here, new_owner()).await;
    let next = FencingToken::try_new(claim.token.value() + 1).unwrap();
    let claims = [
        Claim {
            owner: new_owner(),
            ..claim
        },
        Claim {
            token: next,
            ..claim
        },
        Claim {
            incarnation: Incarnation::new(!claim.incarnation.value()),
            ..claim
        },
    ];
    for claim in claims {
        let batch = Decider::new(here, claim).batch().skip().decided();
        let refused = stores.write(batch).await;
        assert_eq!(refused, Err(WriteError::Fenced), "{claim:?}");
        let settled = stores.writer.settle(here, claim).await;
        assert_eq!(settled, Err(WriteError::Fenced), "{claim:?}");
    }
}

/// No leader row, no writer.
pub async fn a_partition_that_no_layout_has_is_refused(stores: Stores) {
    let claim = stores.lead(partition(HERE), new_owner()).await;
    let batch = Decider::new(partition(77), claim).batch().skip().decided();
    assert_eq!(stores.write(batch).await, Err(WriteError::Fenced));
}

/// Whichever of the two reaches the leader row first.
pub async fn of_two_rival_leaders_at_once_only_the_newest_commits(stores: Stores) {
    let here = partition(HERE);
    let mut old = stores.lead(here, new_owner()).await;
    for round in 0..5 {
        let new = stores.succeed(here, old).await;
        let row = stores
            .log(resident(here, 0), &format!("round {round}"))
            .await;
        let batch_of = |claim| {
            let mut decider = Decider::new(here, claim);
            decider.read_on_at(round);
            decider.batch().reject(&row).decided()
        };
        let (stale, written) =
            tokio::join!(stores.write(batch_of(old)), stores.write(batch_of(new)));
        assert_eq!(stale, Err(WriteError::Fenced));
        written.unwrap();
        old = new;
    }
}
