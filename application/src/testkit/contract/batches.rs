//! Whole or absent, and only onto what it was decided on.

use super::{Decider, Stores, new_owner, offset, partition, resident};
use crate::port::batch_writer::{DeadLetter, DeadLetterReason, FinalResult, WriteError};
use crate::port::change_log::{PARKED_REASON_CODE, RecordedReason};
use crate::testkit::amount;
use axs_domain::balance::VersionedBalance;
use axs_domain::log_status::LogStatus;
use bytes::Bytes;

const HERE: i32 = 0;

/// Row, entries, balance and offset commit together, with the time that the receipt tells.
pub async fn a_committed_batch_is_seen_whole(stores: Stores) {
    let here = partition(HERE);
    let account = resident(here, 0);
    let mut decider = Decider::new(here, stores.lead(here, new_owner()).await);
    for (step, (key, usd, stands)) in [("a", "10", "10"), ("b", "-4", "6")]
        .into_iter()
        .enumerate()
    {
        let row = stores.log(account, key).await;
        let batch = decider.batch().apply(&row, usd).decided();
        let receipt = stores.write(batch.clone()).await.unwrap();
        let at = offset(i64::try_from(step).unwrap());
        let found = stores.row(&row).await;
        assert_eq!(found.status, LogStatus::Applied);
        assert_eq!(found.position, Some((here, at)));
        assert_eq!(found.decided_at, Some(receipt.decided_at));
        assert_eq!(FinalResult::Applied(found.entries), batch.events[0].result);
        let balance = stores.balance(account, "USD").await;
        assert_eq!(balance, batch.writes[0].write.after);
        assert_eq!(balance.balance.available, amount(stands));
        assert_eq!(stores.stored_offset(here).await, at.next());
    }
}

/// A reason is kept as it is; no balance is opened.
pub async fn rejected_and_parked_events_keep_their_reason_and_move_nothing(stores: Stores) {
    let here = partition(HERE);
    let mut decider = Decider::new(here, stores.lead(here, new_owner()).await);
    let rejected = stores.log(resident(here, 0), "rejected").await;
    let parked = stores.log(resident(here, 1), "parked").await;
    let reason = RecordedReason {
        code: PARKED_REASON_CODE,
        message: "can't be decided: 數".to_owned(),
    };
    let park = FinalResult::Parked(reason.clone());
    let batch = decider.batch().reject(&rejected);
    let batch = batch.finish_event(&parked, park).decided();
    let refusal = match &batch.events[0].result {
        FinalResult::Rejected(refusal) => Some(refusal.clone()),
        _ => None,
    };
    stores.write(batch).await.unwrap();
    let found = stores.row(&rejected).await;
    assert_eq!((found.status, found.reason), (LogStatus::Rejected, refusal));
    let found = stores.row(&parked).await;
    assert_eq!(
        (found.status, found.reason),
        (LogStatus::Parked, Some(reason))
    );
    let balance = stores.balance(resident(here, 0), "USD").await;
    assert_eq!(balance, VersionedBalance::ABSENT);
}

/// Somebody with the same claim wrote in between: another leader's memory is the same to a store.
pub async fn a_balance_that_moved_meanwhile_is_named(stores: Stores) {
    let here = partition(HERE);
    let account = resident(here, 0);
    let claim = stores.lead(here, new_owner()).await;
    let mut decider = Decider::new(here, claim);
    let first = stores.log(account, "first").await;
    let batch = decider.batch().apply(&first, "5").decided();
    stores.write(batch).await.unwrap();
    let second = stores.log(account, "second").await;
    let batch = decider.batch().apply(&second, "3").decided();
    stores.write(batch).await.unwrap();
    // One that knows of the first deposit and not of the second.
    let mut behind = Decider::new(here, claim);
    drop(behind.batch().apply(&first, "5").decided());
    behind.read_on_at(2);
    let third = stores.log(account, "third").await;
    let batch = behind.batch().apply(&third, "1").decided();
    refused_as_moved(
        &stores,
        batch,
        &third,
        &["USD", "version 2", "decided on 1"],
    )
    .await;
}

/// A version of 0 is a balance without a row.
pub async fn a_balance_that_was_to_be_opened_and_is_there_already_is_not_overwritten(
    stores: Stores,
) {
    let here = partition(HERE);
    let account = resident(here, 0);
    let claim = stores.lead(here, new_owner()).await;
    let first = stores.log(account, "first").await;
    let batch = Decider::new(here, claim)
        .batch()
        .apply(&first, "5")
        .decided();
    stores.write(batch).await.unwrap();
    let second = stores.log(account, "second").await;
    let mut knows_nothing = Decider::new(here, claim);
    knows_nothing.read_on_at(1);
    let batch = knows_nothing.batch().apply(&second, "1").decided();
    refused_as_moved(
        &stores,
        batch,
        &second,
        &["USD", "version 1", "decided on 0"],
    )
    .await;
}

/// What a rejection was decided on is guarded like what a change was.
pub async fn a_refusal_on_a_balance_that_moved_does_not_stand(stores: Stores) {
    let here = partition(HERE);
    let account = resident(here, 0);
    let claim = stores.lead(here, new_owner()).await;
    let first = stores.log(account, "first").await;
    let batch = Decider::new(here, claim)
        .batch()
        .apply(&first, "5")
        .decided();
    stores.write(batch).await.unwrap();
    let second = stores.log(account, "second").await;
    let mut knows_nothing = Decider::new(here, claim);
    knows_nothing.read_on_at(1);
    let batch = knows_nothing.batch().reject(&second).decided();
    refused_as_moved(
        &stores,
        batch,
        &second,
        &["USD", "version 1", "decided on 0"],
    )
    .await;
}

async fn refused_as_moved(
    stores: &Stores,
    batch: crate::port::batch_writer::DecidedBatch,
    row: &super::RowToDecide,
    words: &[&str],
) {
    let before = stores.standing(&[row]).await;
    let refused = stores.write(batch).await;
    let named = |text: &String| words.iter().all(|word| text.contains(word));
    assert!(
        matches!(&refused, Err(WriteError::Moved(text)) if named(text)),
        "{refused:?}"
    );
    assert_eq!(stores.standing(&[row]).await, before);
}

/// The stored offset is part of what a batch is decided on.
pub async fn a_batch_from_another_offset_than_the_stored_one_is_refused_with_both(stores: Stores) {
    let here = partition(HERE);
    let claim = stores.lead(here, new_owner()).await;
    let mut decider = Decider::new(here, claim);
    let skipped = decider.batch().skip().skip().decided();
    stores.write(skipped).await.unwrap();
    assert_eq!(stores.stored_offset(here).await, offset(2));
    for began in [0, 1, 3] {
        decider.read_on_at(began);
        let refused = stores.write(decider.batch().skip().decided()).await;
        let named = |text: &String| text.contains("is 2") && text.contains(&format!("at {began}"));
        assert!(
            matches!(&refused, Err(WriteError::Moved(text)) if named(text)),
            "{refused:?}"
        );
    }
    assert_eq!(stores.stored_offset(here).await, offset(2));
}

/// Records without effect move the offset like any other.
pub async fn dead_letters_commit_with_the_offset_that_passes_them(stores: Stores) {
    let here = partition(HERE);
    let mut decider = Decider::new(here, stores.lead(here, new_owner()).await);
    let letter = |offset| DeadLetter {
        offset,
        log_id: None,
        reason: DeadLetterReason::Undecodable,
        message: "no envelope".to_owned(),
        record_key: Bytes::from_static(b"7"),
        payload: Bytes::from_static(b"\x00\xff\x01"),
    };
    let batch = decider.batch().bury(letter).bury(letter).decided();
    stores.write(batch).await.unwrap();
    assert_eq!(stores.stored_offset(here).await, offset(2));
}

/// The leader row's lock makes them take turns, and the second finds the offset moved.
pub async fn of_two_writers_of_one_batch_at_once_one_commits_it(stores: Stores) {
    let here = partition(HERE);
    let account = resident(here, 0);
    let mut decider = Decider::new(here, stores.lead(here, new_owner()).await);
    for round in 0..5 {
        let row = stores.log(account, &format!("round {round}")).await;
        let batch = decider.batch().apply(&row, "1").decided();
        let both = tokio::join!(stores.write(batch.clone()), stores.write(batch));
        let written = [both.0, both.1];
        let committed = written.iter().filter(|written| written.is_ok()).count();
        assert_eq!(committed, 1, "{written:?}");
        let expected = |w: &Result<_, _>| matches!(w, Ok(_) | Err(WriteError::Moved(_)));
        assert!(written.iter().all(expected), "{written:?}");
    }
    let balance = stores.balance(account, "USD").await;
    assert_eq!(
        (balance.balance.available, balance.version.value()),
        (amount("5"), 5)
    );
}

/// Whoever is in doubt asks under the lock.
pub async fn settling_tells_the_stored_offset_and_nothing_to_a_stale_claim(stores: Stores) {
    let here = partition(HERE);
    let claim = stores.lead(here, new_owner()).await;
    assert_eq!(stores.writer.settle(here, claim).await, Ok(offset(0)));
    let batch = Decider::new(here, claim).batch().skip().decided();
    stores.write(batch).await.unwrap();
    assert_eq!(stores.writer.settle(here, claim).await, Ok(offset(1)));
    let newer = stores.succeed(here, claim).await;
    let stale = stores.writer.settle(here, claim).await;
    assert_eq!(stale, Err(WriteError::Fenced));
    assert_eq!(stores.writer.settle(here, newer).await, Ok(offset(1)));
}
