//! Only the newest claim writes, and only from where the store stands.

use crate::fixture::{Consumer, Decider, log_row, new_owner, offset, on_partitions};
use crate::writing::everything;
use axs_application::port::batch_writer::WriteError;
use axs_domain::fencing::Claim;
use axs_domain::id::FencingToken;

const LEASES_END: &str = "UPDATE partition_leases SET expires_at = '-infinity'";

#[tokio::test]
async fn a_stale_token_is_refused_and_leaves_nothing() {
    on_partitions(async |test| {
        let old = Consumer::new(&test);
        let mut decider = Decider::new(0, old.lead(0).await);
        let log = log_row(&test, 1, "first").await;
        let batch = decider.batch().apply(&log, &[("USD", "5", "0")]).decided();
        old.write(batch).await.unwrap();
        test.execute(LEASES_END).await;
        Consumer::new(&test).lead(0).await;
        let log = log_row(&test, 1, "second").await;
        let batch = decider.batch().apply(&log, &[("USD", "5", "0")]).decided();
        let before = everything(&test).await;
        assert_eq!(old.write(batch).await, Err(WriteError::Fenced));
        assert_eq!(everything(&test).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_claim_is_refused_before_its_first_batch_too() {
    on_partitions(async |test| {
        let old = Consumer::new(&test);
        let mut decider = Decider::new(0, old.lead(0).await);
        test.execute(LEASES_END).await;
        Consumer::new(&test).lead(0).await;
        let batch = decider.batch().decided();
        assert_eq!(old.write(batch).await, Err(WriteError::Fenced));
    })
    .await;
}

#[tokio::test]
async fn the_newest_token_in_other_hands_is_refused() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let claim = consumer.lead(0).await;
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
        ];
        for claim in claims {
            let batch = Decider::new(0, claim).batch().decided();
            let refused = consumer.write(batch).await;
            assert_eq!(refused, Err(WriteError::Fenced), "{claim:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_partition_that_no_layout_has_is_refused() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let claim = consumer.lead(0).await;
        let batch = Decider::new(77, claim).batch().decided();
        assert_eq!(consumer.write(batch).await, Err(WriteError::Fenced));
    })
    .await;
}

#[tokio::test]
async fn a_batch_from_another_offset_than_the_stored_one_is_refused_with_both() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        for (stored, began) in [(7, 0), (7, 8)] {
            test.execute(&format!(
                "UPDATE partition_leader_locks SET stored_offset = {stored}"
            ))
            .await;
            let mut batch = decider.batch().decided();
            batch.offset_before = offset(began);
            batch.offset_after = offset(began + 1);
            let before = everything(&test).await;
            match consumer.write(batch).await {
                Err(WriteError::Moved(text)) => assert!(
                    text.contains(&format!("is {stored}")) && text.contains(&format!("at {began}")),
                    "{text}"
                ),
                other => panic!("{other:?}"),
            }
            assert_eq!(everything(&test).await, before);
        }
    })
    .await;
}

#[tokio::test]
async fn of_two_writers_of_one_batch_at_once_one_commits_it() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let twin = Consumer::new(&test.elsewhere());
        let mut decider = Decider::new(0, consumer.lead(0).await);
        for round in 0..10 {
            let log = log_row(&test, 1, &format!("round {round}")).await;
            let batch = decider.batch().apply(&log, &[("USD", "1", "0")]).decided();
            let (one, other) = tokio::join!(consumer.write(batch.clone()), twin.write(batch));
            let committed = [&one, &other].into_iter().filter(|w| w.is_ok()).count();
            assert_eq!(committed, 1, "{one:?} {other:?}");
            for written in [one, other] {
                assert!(
                    matches!(written, Ok(_) | Err(WriteError::Moved(_))),
                    "{written:?}"
                );
            }
        }
        let balance = "SELECT count(*) FROM account_balances WHERE available = 10 AND version = 10";
        assert_eq!(test.number(balance).await, 1);
    })
    .await;
}

#[tokio::test]
async fn of_two_rival_leaders_at_once_only_the_newest_commits() {
    on_partitions(async |test| {
        let mut old = Consumer::new(&test);
        let mut old_claim = old.lead(0).await;
        for round in 0..10 {
            test.execute(LEASES_END).await;
            let new = Consumer::new(&test.elsewhere());
            let log = log_row(&test, 1, &format!("round {round}")).await;
            let decide = |claim| {
                let mut decider = Decider::new(0, claim);
                decider.read_on_at(round);
                let mut batch = decider.batch().decided();
                batch.offset_after = offset(round + 1);
                batch
            };
            let claim = new.lead(0).await;
            let mut sound = decide(claim);
            sound.events.push(log.event(
                round,
                axs_application::port::batch_writer::FinalResult::Applied(Vec::new()),
            ));
            let (stale, written) = tokio::join!(old.write(decide(old_claim)), new.write(sound));
            assert_eq!(stale, Err(WriteError::Fenced));
            written.unwrap();
            (old, old_claim) = (new, claim);
        }
    })
    .await;
}
