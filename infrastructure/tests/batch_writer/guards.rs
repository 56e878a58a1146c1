//! A batch is written only onto the balances that it was decided on.

use crate::fixture::{Consumer, Decider, log_row, on_partitions};
use crate::writing::everything;
use axs_application::port::batch_writer::WriteError;

const SOMEBODY_DEPOSITS: &str = "
    INSERT INTO account_balances VALUES (1, 1, 'USD', 3, 0, 1)
    ON CONFLICT (shard_id, account_id, currency_code)
    DO UPDATE SET available = account_balances.available + 3,
                  version = account_balances.version + 1";

fn names(refused: &Result<impl std::fmt::Debug, WriteError>, words: &[&str]) {
    match refused {
        Err(WriteError::Moved(text)) => {
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_balance_that_moved_meanwhile_is_named_with_both_versions() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let first = log_row(&test, 1, "first").await;
        let batch = decider
            .batch()
            .apply(&first, &[("USD", "5", "0")])
            .decided();
        consumer.write(batch).await.unwrap();
        let second = log_row(&test, 1, "second").await;
        let other = log_row(&test, 2, "other").await;
        let batch = decider
            .batch()
            .apply(&other, &[("USD", "1", "0")])
            .apply(&second, &[("USD", "5", "0")])
            .decided();
        test.execute(SOMEBODY_DEPOSITS).await;
        let before = everything(&test).await;
        let refused = consumer.write(batch).await;
        names(&refused, &["USD", "account 1", "version 2", "decided on 1"]);
        assert_eq!(everything(&test).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_balance_that_was_to_be_opened_and_is_there_already_is_not_overwritten() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let log = log_row(&test, 1, "first").await;
        let batch = decider.batch().apply(&log, &[("USD", "5", "0")]).decided();
        test.execute(SOMEBODY_DEPOSITS).await;
        let before = everything(&test).await;
        names(
            &consumer.write(batch).await,
            &["USD", "account 1", "version 1", "decided on 0"],
        );
        assert_eq!(everything(&test).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_balance_that_is_gone_is_not_opened_again() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let first = log_row(&test, 1, "first").await;
        let batch = decider
            .batch()
            .apply(&first, &[("USD", "5", "0")])
            .decided();
        consumer.write(batch).await.unwrap();
        let second = log_row(&test, 1, "second").await;
        let batch = decider
            .batch()
            .apply(&second, &[("USD", "5", "0")])
            .decided();
        test.execute("DELETE FROM account_balances").await;
        let refused = consumer.write(batch).await;
        names(&refused, &["account 1", "version 0", "decided on 1"]);
    })
    .await;
}

#[tokio::test]
async fn a_refusal_does_not_stand_on_a_balance_that_moved_meanwhile() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let poor = log_row(&test, 1, "no row yet").await;
        let batch = decider.batch().reject(&poor, "USD").decided();
        test.execute(SOMEBODY_DEPOSITS).await;
        let before = everything(&test).await;
        let refused = consumer.write(batch).await;
        names(&refused, &["USD", "account 1", "version 1", "decided on 0"]);
        assert_eq!(everything(&test).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_refusal_on_a_balance_that_stands_is_written() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let rich = log_row(&test, 1, "deposit").await;
        let batch = decider.batch().apply(&rich, &[("USD", "5", "0")]).decided();
        consumer.write(batch).await.unwrap();
        let poor = log_row(&test, 1, "too much").await;
        let elsewhere = log_row(&test, 1, "nothing there").await;
        let batch = decider
            .batch()
            .reject(&poor, "USD")
            .reject(&elsewhere, "BTC")
            .decided();
        consumer.write(batch).await.unwrap();
        let rejected = "SELECT count(*) FROM balance_change_states WHERE status = 2";
        assert_eq!(test.number(rejected).await, 2);
    })
    .await;
}
