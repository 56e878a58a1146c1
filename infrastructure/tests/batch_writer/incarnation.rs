//! A claim is of one history of the database, and worth nothing in another.

use crate::fixture::{Consumer, Decider, incarnation, log_row, on_partitions, partition};
use axs_application::port::batch_writer::{BatchWriter, WriteError};

const LAYOUT: &str =
    "INSERT INTO layout (epoch, partition_count, events_topic) VALUES (1, 4, 'axs.events')";
const RENEW: &str = "UPDATE layout SET installation_id = gen_random_uuid()";
const WRITTEN: &str = "SELECT (SELECT count(*) FROM account_balances)
                            + (SELECT count(*) FROM ledger_entries)
                            + (SELECT sum(stored_offset)::bigint FROM partition_leader_locks)";

#[tokio::test]
async fn a_batch_of_another_history_is_fenced_and_leaves_nothing() {
    on_partitions(async |test| {
        test.execute(LAYOUT).await;
        let consumer = Consumer::new(&test);
        let log = log_row(&test, 1, "deposit").await;
        let decide = |claim| {
            let mut decider = Decider::new(0, claim);
            decider.batch().apply(&log, &[("USD", "5", "0")]).decided()
        };
        let before = consumer.lead(0).await;
        test.execute(RENEW).await;
        assert_ne!(before.incarnation, incarnation(&test).await);
        for _ in 0..2 {
            let refused = consumer.write(decide(before)).await;
            assert_eq!(refused, Err(WriteError::Fenced));
        }
        assert_eq!(test.number(WRITTEN).await, 0);
        // Its owner leads on at once: nobody has to die for it.
        let now = consumer.lead(0).await;
        assert_eq!(now.incarnation, incarnation(&test).await);
        consumer.write(decide(now)).await.unwrap();
        assert_eq!(test.number(WRITTEN).await, 3);
    })
    .await;
}

/// What was committed before it stands, and the memory that was decided on it does not.
#[tokio::test]
async fn a_commit_in_doubt_is_not_settled_for_a_claim_of_another_history() {
    on_partitions(async |test| {
        test.execute(LAYOUT).await;
        let consumer = Consumer::new(&test);
        let claim = consumer.lead(0).await;
        assert!(consumer.writer.settle(partition(0), claim).await.is_ok());
        test.execute(RENEW).await;
        let settled = consumer.writer.settle(partition(0), claim).await;
        assert_eq!(settled, Err(WriteError::Fenced));
    })
    .await;
}
