//! Only the newest claim writes, over connections of several processes. What a claim may do is told
//! by the claims of every store: `axs_application::testkit::contract`.

use crate::fixture::{Consumer, Decider, log_row, offset, on_partitions};
use axs_application::port::batch_writer::WriteError;

const LEASES_END: &str = "UPDATE partition_leases SET expires_at = '-infinity'";

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
