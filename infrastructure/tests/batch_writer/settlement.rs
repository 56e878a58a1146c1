//! A COMMIT whose answer was lost: what is told, and what the store says afterwards.

use crate::fixture::{
    Consumer, Decider, LEASE, log_row, new_owner, offset, on_partitions, partition,
};
use crate::rival_session::RivalSession;
use crate::severing_proxy::{Cut, SeveringProxy};
use crate::support::{DATABASE_URL, TestDatabase};
use axs_application::port::batch_writer::{BatchWriter, WriteError};
use axs_application::port::partition_leadership::PartitionLeadership;
use axs_domain::fencing::Claim;
use axs_infrastructure::postgres::batch::{BatchWriterSettings, PgBatchWriter};
use axs_infrastructure::postgres::pool::{Database, DatabaseSettings, PgDatabase, PgPools};
use std::sync::Arc;
use std::time::Duration;

/// The test's database, reached through another port.
fn through_port(test: &TestDatabase, port: u16) -> Arc<dyn Database> {
    let there = test.database().writer().connect_options();
    let mut url = url::Url::parse(&std::env::var(DATABASE_URL).unwrap()).unwrap();
    url.set_path(there.get_database().unwrap());
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(port)).unwrap();
    let settings = DatabaseSettings {
        url: url.into(),
        writer_connections: 1,
        query_connections: 1,
        operations_connections: 1,
        connect_timeout: Duration::from_secs(10),
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(60),
        idle_in_transaction_timeout: Duration::from_secs(60),
        max_lifetime: Duration::from_secs(600),
    };
    Arc::new(PgDatabase::new(PgPools::try_new(&settings).unwrap()))
}

#[tokio::test]
async fn a_lost_commit_is_settled_by_the_stored_offset() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let claim = consumer.lead(0).await;
        let mut decider = Decider::new(0, claim);
        let server = test.database().writer().connect_options();
        for (number, cut, is_written) in
            [(1, Cut::BeforeServer, false), (2, Cut::BeforeAnswer, true)]
        {
            let proxy = SeveringProxy::before(&server, cut).await;
            let writer = PgBatchWriter::new(
                through_port(&test, proxy.port),
                BatchWriterSettings::default(),
            );
            let log = log_row(&test, 1, &format!("deposit {number}")).await;
            let batch = Arc::new(decider.batch().apply(&log, &[("USD", "5", "0")]).decided());
            proxy.arm();
            let lost = writer.write(Arc::clone(&batch)).await;
            assert!(
                matches!(lost, Err(WriteError::OutcomeUnknown(_))),
                "{cut:?}: {lost:?}"
            );
            let settled = writer.settle(partition(0), claim).await.unwrap();
            if is_written {
                assert_eq!(settled, batch.offset_after, "{cut:?}");
            } else {
                assert_eq!(settled, batch.offset_before, "{cut:?}");
                // And then the same batch may be written.
                writer.write(batch).await.unwrap();
            }
        }
        let balance = "SELECT count(*) FROM account_balances WHERE available = 10 AND version = 2";
        assert_eq!(test.number(balance).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_connection_lost_before_commit_may_be_tried_again() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        consumer.write(decider.batch().decided()).await.unwrap();
        test.execute(
            "SELECT pg_terminate_backend(backend_pid, 5000) FROM partition_leader_locks
              WHERE partition = 0",
        )
        .await;
        let log = log_row(&test, 1, "deposit").await;
        let batch = decider.batch().apply(&log, &[("USD", "5", "0")]).decided();
        let lost = consumer.write(batch.clone()).await;
        assert!(matches!(lost, Err(WriteError::Retryable(_))), "{lost:?}");
        consumer.write(batch).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn settling_ends_a_backend_that_still_holds_the_row() {
    on_partitions(async |test| {
        let bounds = BatchWriterSettings {
            lock_timeout: Duration::from_millis(50),
            ..BatchWriterSettings::default()
        };
        let consumer = Consumer::with_bounds(&test, bounds);
        let claim = consumer.lead(0).await;
        let mut zombie = RivalSession::open(&test).await;
        zombie.record_backend(0, claim).await;
        zombie.freeze_behind_fence(0).await;
        let uncommitted = "UPDATE partition_leader_locks SET stored_offset = 9 WHERE partition = 0";
        zombie.run(uncommitted).await.unwrap();
        let settled = consumer.writer.settle(partition(0), claim).await;
        assert_eq!(settled, Ok(offset(0)));
        assert!(!zombie.is_alive().await);
    })
    .await;
}

#[tokio::test]
async fn settling_waits_for_nobody_else_to_be_ended() {
    on_partitions(async |test| {
        let bounds = BatchWriterSettings {
            lock_timeout: Duration::from_millis(50),
            ..BatchWriterSettings::default()
        };
        let consumer = Consumer::with_bounds(&test, bounds);
        let claim = consumer.lead(0).await;
        let mut stranger = RivalSession::open(&test).await;
        stranger.freeze_behind_fence(0).await;
        let settled = consumer.writer.settle(partition(0), claim).await;
        assert!(
            matches!(settled, Err(WriteError::Retryable(_))),
            "{settled:?}"
        );
        assert!(stranger.is_alive().await);
    })
    .await;
}

#[tokio::test]
async fn settling_under_a_claim_that_no_longer_stands_is_fenced() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let claim = consumer.lead(0).await;
        let stolen = Claim {
            owner: new_owner(),
            ..claim
        };
        let settled = consumer.writer.settle(partition(0), stolen).await;
        assert_eq!(settled, Err(WriteError::Fenced));
        // The same process takes over anew: its earlier claim ends too.
        consumer
            .leadership
            .take_over(partition(0), consumer.owner, LEASE)
            .await
            .unwrap();
        let settled = consumer.writer.settle(partition(0), claim).await;
        assert_eq!(settled, Err(WriteError::Fenced));
    })
    .await;
}
