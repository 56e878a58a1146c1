//! A writer that froze with the leader row locked, and those who wait for it.

use crate::fixture::{Consumer, Decider, LEASE, log_row, offset, on_partitions, partition};
use crate::rival_session::{RivalSession, is_waited_for, until_somebody_waits_for};
use axs_application::port::batch_writer::{BatchWriter, WriteError};
use axs_application::port::partition_leadership::{PartitionLeadership, TakeOver};
use axs_application::port::store_error::StoreError;
use axs_infrastructure::postgres::batch::BatchWriterSettings;
use axs_infrastructure::postgres::leadership::{LeadershipSettings, PgPartitionLeadership};
use std::time::Duration;

const LEASES_END: &str = "UPDATE partition_leases SET expires_at = '-infinity'";

#[tokio::test]
async fn a_zombie_that_holds_the_row_past_its_lease_is_ended() {
    on_partitions(async |test| {
        let old = Consumer::new(&test);
        let old_claim = old.lead(0).await;
        let mut zombie = RivalSession::open(&test).await;
        zombie.record_backend(0, old_claim).await;
        zombie.freeze_behind_fence(0).await;
        test.execute(LEASES_END).await;
        let new = Consumer::new(&test.elsewhere());
        let claim = new.lead(0).await;
        assert_eq!(claim.token.value(), old_claim.token.value() + 1);
        assert!(!zombie.is_alive().await);
    })
    .await;
}

#[tokio::test]
async fn a_zombie_within_its_lease_is_left_alone() {
    on_partitions(async |test| {
        let old = Consumer::new(&test);
        let old_claim = old.lead(0).await;
        let mut zombie = RivalSession::open(&test).await;
        zombie.record_backend(0, old_claim).await;
        zombie.freeze_behind_fence(0).await;
        let new = Consumer::new(&test.elsewhere());
        let taken = new
            .leadership
            .take_over(partition(0), new.owner, LEASE)
            .await;
        assert_eq!(taken, Ok(TakeOver::Held));
        assert!(zombie.is_alive().await);
    })
    .await;
}

#[tokio::test]
async fn a_backend_that_is_not_on_record_is_never_ended() {
    on_partitions(async |test| {
        let mut stranger = RivalSession::open(&test).await;
        stranger.freeze_behind_fence(0).await;
        let new = Consumer::new(&test.elsewhere());
        let taken = new
            .leadership
            .take_over(partition(0), new.owner, LEASE)
            .await;
        assert!(
            matches!(taken, Err(StoreError::Unavailable { .. })),
            "{taken:?}"
        );
        assert!(stranger.is_alive().await);
    })
    .await;
}

#[tokio::test]
async fn a_backend_on_record_that_does_not_hold_the_row_is_never_ended() {
    on_partitions(async |test| {
        let old = Consumer::new(&test);
        let old_claim = old.lead(0).await;
        let mut bystander = RivalSession::open(&test).await;
        bystander.record_backend(0, old_claim).await;
        bystander.run("BEGIN").await.unwrap();
        let mut stranger = RivalSession::open(&test).await;
        stranger.freeze_behind_fence(0).await;
        test.execute(LEASES_END).await;
        let new = Consumer::new(&test.elsewhere());
        let taken = new
            .leadership
            .take_over(partition(0), new.owner, LEASE)
            .await;
        assert!(taken.is_err(), "{taken:?}");
        assert!(bystander.is_alive().await);
        assert!(stranger.is_alive().await);
    })
    .await;
}

#[tokio::test]
async fn a_take_over_waits_for_the_old_leaders_commit_and_sees_its_offset() {
    on_partitions(async |test| {
        let old = Consumer::new(&test);
        let old_claim = old.lead(0).await;
        let mut writing = RivalSession::open(&test).await;
        writing.record_backend(0, old_claim).await;
        writing.freeze_behind_fence(0).await;
        test.execute(LEASES_END).await;
        let new = Consumer::new(&test.elsewhere());
        let patient = PgPartitionLeadership::new(
            test.elsewhere().database(),
            LeadershipSettings {
                old_leader_patience: Duration::from_secs(60),
            },
        );
        let taking =
            tokio::spawn(async move { patient.take_over(partition(0), new.owner, LEASE).await });
        until_somebody_waits_for(&test, writing.backend_pid).await;
        writing
            .run("UPDATE partition_leader_locks SET stored_offset = 17 WHERE partition = 0; COMMIT")
            .await
            .unwrap();
        match taking.await.unwrap() {
            Ok(TakeOver::Taken { stored_offset, .. }) => assert_eq!(stored_offset, offset(17)),
            other => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_take_over_waits_for_a_batch_that_is_behind_its_fence() {
    on_partitions(async |test| {
        let bounds = BatchWriterSettings {
            lock_timeout: Duration::from_secs(60),
            ..BatchWriterSettings::default()
        };
        let old = Consumer::with_bounds(&test, bounds);
        let mut decider = Decider::new(0, old.lead(0).await);
        old.write(decider.batch().decided()).await.unwrap();
        let pid = "SELECT backend_pid::bigint FROM partition_leader_locks WHERE partition = 0";
        let writer_pid = i32::try_from(test.number(pid).await).unwrap();
        // A row of the batch is held, so that the batch stops between its fence and its COMMIT.
        let log = log_row(&test, 1, "deposit").await;
        let mut holder = RivalSession::open(&test).await;
        holder
            .run("BEGIN; SELECT 1 FROM balance_change_states FOR UPDATE")
            .await
            .unwrap();
        let batch = decider.batch().apply(&log, &[("USD", "5", "0")]).decided();
        let writing = tokio::spawn(async move { old.write(batch).await });
        until_somebody_waits_for(&test, holder.backend_pid).await;

        test.execute(LEASES_END).await;
        let new = Consumer::new(&test.elsewhere());
        let patient = PgPartitionLeadership::new(
            test.elsewhere().database(),
            LeadershipSettings {
                old_leader_patience: Duration::from_secs(60),
            },
        );
        let taking =
            tokio::spawn(async move { patient.take_over(partition(0), new.owner, LEASE).await });
        while !is_waited_for(&test, writer_pid).await {
            assert!(!taking.is_finished(), "the fence held nobody back");
        }
        holder.run("ROLLBACK").await.unwrap();
        writing.await.unwrap().unwrap();
        match taking.await.unwrap() {
            Ok(TakeOver::Taken { stored_offset, .. }) => assert_eq!(stored_offset, offset(1)),
            other => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_heartbeat_waits_neither_for_a_batch_nor_for_a_candidate() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let claims = vec![
            (partition(0), consumer.lead(0).await),
            (partition(1), consumer.lead(1).await),
        ];
        let mut batch = RivalSession::open(&test).await;
        batch.freeze_behind_fence(0).await;
        // A candidate for partition 1, whose lease it found ended, in the middle of taking over.
        let mut candidate = RivalSession::open(&test).await;
        candidate
            .run("BEGIN; SELECT 1 FROM partition_leases WHERE partition = 1 FOR UPDATE")
            .await
            .unwrap();
        let renewed = consumer.leadership.renew(claims, LEASE).await;
        assert_eq!(renewed, Ok(vec![partition(0)]));
    })
    .await;
}

#[tokio::test]
async fn a_batch_waits_for_the_row_no_longer_than_its_bound() {
    on_partitions(async |test| {
        let bounds = BatchWriterSettings {
            lock_timeout: Duration::from_millis(50),
            ..BatchWriterSettings::default()
        };
        let consumer = Consumer::with_bounds(&test, bounds);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        consumer.write(decider.batch().decided()).await.unwrap();
        let mut stranger = RivalSession::open(&test).await;
        stranger.freeze_behind_fence(0).await;
        let log = log_row(&test, 1, "deposit").await;
        let batch = decider.batch().apply(&log, &[("USD", "5", "0")]).decided();
        let refused = consumer.write(batch.clone()).await;
        assert!(
            matches!(refused, Err(WriteError::Retryable(_))),
            "{refused:?}"
        );
        stranger.run("ROLLBACK").await.unwrap();
        consumer.write(batch).await.unwrap();
        let settled = consumer.writer.settle(partition(0), decider.claim).await;
        assert_eq!(settled, Ok(offset(1)));
    })
    .await;
}
