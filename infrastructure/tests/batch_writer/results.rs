//! How far results are out, and what results rows hold.

use crate::fixture::{Consumer, Decider, Log, log_row, log_rows, offset, on_partitions, partition};
use crate::support::TestDatabase;
use axs_application::port::batch_writer::FinalResult;
use axs_application::port::change_log::{PARKED_REASON_CODE, RecordedReason};
use axs_application::port::partition_leadership::PartitionLeadership;
use axs_application::port::result_codec::FinishedOutcome;
use axs_application::port::result_source::ResultSource;
use axs_domain::fencing::Claim;
use axs_domain::id::FencingToken;
use axs_infrastructure::postgres::result_source::PgResultSource;

async fn results_offset(test: &TestDatabase) -> i64 {
    test.number("SELECT results_offset FROM partition_leader_locks WHERE partition = 0")
        .await
}

#[tokio::test]
async fn the_results_offset_moves_forward_under_the_claim_and_never_past_the_stored_one() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let claim = consumer.lead(0).await;
        test.execute("UPDATE partition_leader_locks SET stored_offset = 10 WHERE partition = 0")
            .await;
        // to, moved, stands at
        let rows = [
            (4, true, 4),
            (4, false, 4),
            (3, false, 4),
            (11, false, 4),
            (10, true, 10),
        ];
        for (to, moved, stands) in rows {
            let out = consumer
                .leadership
                .results_out(partition(0), claim, offset(to))
                .await;
            assert_eq!(out, Ok(moved), "{to}");
            assert_eq!(results_offset(&test).await, stands, "{to}");
        }
        let others = "SELECT count(*) FROM partition_leader_locks WHERE results_offset > 0";
        assert_eq!(test.number(others).await, 1, "of this partition alone");
    })
    .await;
}

#[tokio::test]
async fn whoever_is_fenced_moves_no_results_offset() {
    on_partitions(async |test| {
        let old = Consumer::new(&test);
        let claim = old.lead(0).await;
        test.execute("UPDATE partition_leader_locks SET stored_offset = 10 WHERE partition = 0")
            .await;
        test.execute("UPDATE partition_leases SET expires_at = '-infinity'")
            .await;
        let new = Consumer::new(&test);
        let standing = new.lead(0).await;
        // The token of another, and another's token under the same number.
        let forged = Claim {
            owner: old.owner,
            ..standing
        };
        let ahead = Claim {
            token: FencingToken::try_new(standing.token.value() + 1).unwrap(),
            ..standing
        };
        for wrong in [claim, forged, ahead] {
            let out = old.leadership.results_out(partition(0), wrong, offset(5));
            assert_eq!(out.await, Ok(false));
            assert_eq!(results_offset(&test).await, 0);
        }
    })
    .await;
}

#[tokio::test]
async fn the_results_of_rows_are_what_their_batch_wrote() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let (deposit, refused) = (
            log_row(&test, 7, "in").await,
            log_row(&test, 7, "out").await,
        );
        let (parked, init) = (log_row(&test, 8, "p").await, log_row(&test, 8, "i").await);
        let absent = Log::new(9, "never");
        let because = RecordedReason {
            code: PARKED_REASON_CODE,
            message: "a rule broke".to_owned(),
        };
        let batch = decider
            .batch()
            .apply(&deposit, &[("BTC", "1.5", "0.25"), ("USD", "3", "0")])
            .reject(&refused, "EUR")
            .finish_event(&parked, FinalResult::Parked(because))
            .decided();
        let written = batch.clone();
        let receipt = consumer.write(batch).await.unwrap();

        let source = PgResultSource::new(test.database());
        // One is asked for twice.
        let asked = [&absent, &refused, &parked, &deposit, &init, &deposit];
        let keys = asked.iter().map(|log| log.key.clone()).collect();
        let found = source.find(keys).await.unwrap();
        let final_rows: Vec<bool> = found.iter().map(Option::is_some).collect();
        assert_eq!(final_rows, [false, true, false, true, false, true]);
        assert_eq!(found[3], found[5]);

        let applied = found[3].clone().unwrap();
        assert_eq!(
            (applied.log_id, &applied.key),
            (deposit.log_id, &deposit.key)
        );
        assert_eq!(
            (applied.partition, applied.offset),
            (partition(0), offset(0))
        );
        assert_eq!(applied.logged_at, deposit.logged_at);
        assert_eq!(applied.decided_at, receipt.decided_at);
        let FinalResult::Applied(entries) = &written.events[0].result else {
            panic!("the first was applied");
        };
        assert_eq!(applied.outcome, FinishedOutcome::Applied(entries.clone()));

        let rejected = found[1].clone().unwrap();
        assert_eq!(rejected.offset, offset(1));
        let FinishedOutcome::Rejected(reason) = rejected.outcome else {
            panic!("the second was refused");
        };
        assert_eq!(reason.code, 1);
        assert!(reason.message.contains("EUR"), "{reason:?}");
    })
    .await;
}

#[tokio::test]
async fn nothing_asked_is_nothing_found_and_many_are_found_at_once() {
    on_partitions(async |test| {
        let source = PgResultSource::new(test.database());
        assert_eq!(source.find(Vec::new()).await, Ok(Vec::new()));
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let logs: Vec<Log> = (0..2_000)
            .map(|number| Log::new(number % 40 + 1, &format!("k{number}")))
            .collect();
        log_rows(&test, &logs).await;
        let batch = logs
            .iter()
            .fold(decider.batch(), |batch, log| {
                batch.apply(log, &[("USD", "1", "0")])
            })
            .decided();
        consumer.write(batch).await.unwrap();
        let keys = logs.iter().map(|log| log.key.clone()).collect();
        let found = source.find(keys).await.unwrap();
        for ((log, at), result) in logs.iter().zip(0..).zip(found) {
            let result = result.unwrap();
            assert_eq!((result.log_id, result.offset), (log.log_id, offset(at)));
        }
    })
    .await;
}
