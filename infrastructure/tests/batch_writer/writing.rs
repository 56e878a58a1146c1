//! What a batch leaves when it commits.

use crate::fixture::{Consumer, Decider, SHARDS, log_row, on_partitions};
use axs_application::port::batch_writer::FinalResult;
use axs_application::port::change_log::{PARKED_REASON_CODE, RecordedReason};

#[tokio::test]
async fn the_first_change_in_a_new_currency_makes_the_balance() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let deposit = log_row(&test, 7, "deposit").await;
        let batch = decider
            .batch()
            .apply(&deposit, &[("BTC", "1.5", "0.25")])
            .decided();
        consumer.write(batch).await.unwrap();
        let rows = "SELECT count(*) FROM account_balances
                     WHERE shard_id = 7 % 4 AND account_id = 7 AND currency_code = 'BTC'
                       AND available = 1.5 AND frozen = 0.25 AND version = 1";
        assert_eq!(test.number(rows).await, 1);
        assert_eq!(
            test.number("SELECT count(*) FROM account_balances").await,
            1
        );
    })
    .await;
}
