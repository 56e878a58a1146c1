//! What an event that is not what its log row is does to the session. The verdicts themselves are
//! claims of every store: `axs_application::testkit::contract`.

use crate::fixture::{Consumer, Decider, Log, log_row, on_partitions};

#[tokio::test]
async fn the_session_goes_on_after_a_spoilt_batch() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let claim = consumer.lead(0).await;
        let log = log_row(&test, 1, "key").await;
        let pid = "SELECT backend_pid::bigint FROM partition_leader_locks WHERE partition = 0";
        let unknown = Log::new(2, "unknown");
        let spoilt = Decider::new(0, claim)
            .batch()
            .reject(&unknown, "USD")
            .decided();
        consumer.write(spoilt).await.unwrap_err();
        let before = test.number(pid).await;
        let sound = Decider::new(0, claim)
            .batch()
            .apply(&log, &[("USD", "5", "0")])
            .decided();
        consumer.write(sound).await.unwrap();
        assert_eq!(test.number(pid).await, before);
    })
    .await;
}
