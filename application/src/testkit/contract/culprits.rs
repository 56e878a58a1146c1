//! Events that are not what their log rows are: found, told apart, and without effect.

use super::{Decider, RowToDecide, Stores, new_owner, offset, partition, resident, unique_log_id};
use crate::port::batch_writer::{Culprit, CulpritKind, WriteError};
use crate::testkit::EventBuilder;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::time::Timestamp;

const HERE: i32 = 1;

fn culprit(at: i64, kind: CulpritKind) -> Culprit {
    Culprit {
        offset: offset(at),
        kind,
    }
}

fn other_content() -> Fingerprint {
    Fingerprint::of(
        &EventBuilder::new(1, "other")
            .change("USD", "77", "0")
            .build(),
    )
}

/// Applied or rejected, a second copy is no event any more.
pub async fn a_redelivered_event_is_found_out_whatever_became_of_it_first(stores: Stores) {
    let here = partition(HERE);
    let mut decider = Decider::new(here, stores.lead(here, new_owner()).await);
    let applied = stores.log(resident(here, 0), "applied").await;
    let rejected = stores.log(resident(here, 1), "rejected").await;
    let first = decider.batch().apply(&applied, "5").reject(&rejected);
    stores.write(first.decided()).await.unwrap();

    let fresh = stores.log(resident(here, 2), "fresh").await;
    let again = decider.batch().apply(&applied, "5").apply(&fresh, "1");
    let again = again.reject(&rejected).decided();
    let before = stores.standing(&[&applied, &rejected, &fresh]).await;
    let culprits = vec![
        culprit(2, CulpritKind::NotInit),
        culprit(4, CulpritKind::NotInit),
    ];
    let refused = stores.write(again).await;
    assert_eq!(refused, Err(WriteError::Culprits(culprits)));
    let after = stores.standing(&[&applied, &rejected, &fresh]).await;
    assert_eq!(after, before);
}

/// What is other than in the log, the verdict on it, and how it comes about.
type Forgery = (&'static str, CulpritKind, fn(&mut RowToDecide));

/// Key and id name the row; content and time must be its own.
pub async fn each_way_to_differ_from_the_log_has_its_verdict(stores: Stores) {
    let rows: &[Forgery] = &[
        ("another key", CulpritKind::NoLogRow, |row| {
            let account = row.key.account_id.value();
            row.key = super::key_of(account, "unknown");
        }),
        ("another account", CulpritKind::NoLogRow, |row| {
            row.key = super::key_of(resident(partition(HERE), 3), "sound");
        }),
        ("another log id", CulpritKind::NoLogRow, |row| {
            row.log_id = unique_log_id();
        }),
        ("other content", CulpritKind::DiffersFromLog, |row| {
            row.fingerprint = other_content();
        }),
        ("another time", CulpritKind::DiffersFromLog, |row| {
            row.logged_at = Timestamp::from_unix_micros(row.logged_at.unix_micros() + 1);
        }),
    ];
    let here = partition(HERE);
    let claim = stores.lead(here, new_owner()).await;
    let sound = stores.log(resident(here, 0), "sound").await;
    let neighbour = stores.log(resident(here, 1), "neighbour").await;
    let before = stores.standing(&[&sound, &neighbour]).await;
    for (what, kind, forge) in rows {
        let mut forged = sound.clone();
        forge(&mut forged);
        let mut decider = Decider::new(here, claim);
        let batch = decider.batch().apply(&neighbour, "1").apply(&forged, "5");
        let refused = stores.write(batch.decided()).await;
        let culprits = vec![culprit(1, *kind)];
        assert_eq!(refused, Err(WriteError::Culprits(culprits)), "{what}");
        let after = stores.standing(&[&sound, &neighbour]).await;
        assert_eq!(after, before, "{what}");
    }
}

/// Whichever of the two comes first.
pub async fn of_a_forged_and_a_sound_event_with_one_key_only_the_sound_one_stays(stores: Stores) {
    let here = partition(HERE);
    let claim = stores.lead(here, new_owner()).await;
    let sound = stores.log(resident(here, 0), "key").await;
    let forged = RowToDecide {
        fingerprint: other_content(),
        ..sound.clone()
    };
    for (first, second, forged_at) in [(&forged, &sound, 0), (&sound, &forged, 1)] {
        let mut decider = Decider::new(here, claim);
        let batch = decider.batch().apply(first, "5").apply(second, "7");
        let refused = stores.write(batch.decided()).await;
        let culprits = vec![culprit(forged_at, CulpritKind::DiffersFromLog)];
        assert_eq!(refused, Err(WriteError::Culprits(culprits)));
    }
}

/// A worker never sends them; a store tells them apart all the same.
pub async fn of_two_sound_copies_the_first_stays(stores: Stores) {
    let here = partition(HERE);
    let mut decider = Decider::new(here, stores.lead(here, new_owner()).await);
    let row = stores.log(resident(here, 0), "key").await;
    let batch = decider.batch().apply(&row, "5").apply(&row, "5").decided();
    let refused = stores.write(batch).await;
    let culprits = vec![culprit(1, CulpritKind::NotInit)];
    assert_eq!(refused, Err(WriteError::Culprits(culprits)));
}

/// Skipped as a redelivery it would leave no trace.
pub async fn a_forged_copy_of_a_final_event_is_a_forgery_and_no_redelivery(stores: Stores) {
    let here = partition(HERE);
    let mut decider = Decider::new(here, stores.lead(here, new_owner()).await);
    let row = stores.log(resident(here, 0), "key").await;
    let first = decider.batch().apply(&row, "5").decided();
    stores.write(first).await.unwrap();
    let forged = RowToDecide {
        fingerprint: other_content(),
        ..row
    };
    let second = decider.batch().reject(&forged).decided();
    let refused = stores.write(second).await;
    let culprits = vec![culprit(1, CulpritKind::DiffersFromLog)];
    assert_eq!(refused, Err(WriteError::Culprits(culprits)));
}
