//! Batches of several partitions in one transaction: they share it, and nothing else.

use crate::fixture::{Consumer, Decider, Log, log_row, offset, on_partitions};
use crate::rival_session::{RivalSession, until_somebody_waits_for};
use crate::support::TestDatabase;
use axs_application::port::batch_writer::{
    Culprit, CulpritKind, DecidedBatch, WriteError, WriteReceipt,
};
use axs_infrastructure::postgres::batch::BatchWriterSettings;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

type Writing = JoinHandle<Result<WriteReceipt, WriteError>>;

/// A deadline for what waits for nobody, on any machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Bounds under which whoever waited for a row that somebody holds would wait far longer than the
/// deadline.
fn patient() -> BatchWriterSettings {
    BatchWriterSettings {
        lock_timeout: 10 * DEADLINE,
        batch_timeout: 20 * DEADLINE,
        statement_timeout: 20 * DEADLINE,
        ..BatchWriterSettings::default()
    }
}

/// A writer whose lane is held up by a batch of partition 0, which waits for a row that somebody
/// holds.
struct HeldLane {
    consumer: Arc<Consumer>,
    /// Of partition 0.
    decider: Decider,
    holder: RivalSession,
    first: Option<Writing>,
}

impl HeldLane {
    /// Holds the lane up by a new batch.
    async fn hold(&mut self, test: &TestDatabase, key: &str) {
        let log = log_row(test, 4, key).await;
        self.holder
            .run("BEGIN; SELECT 1 FROM balance_change_states WHERE account_id = 4 FOR UPDATE")
            .await
            .unwrap();
        let batch = self.decider.batch().apply(&log, &[("USD", "1", "0")]);
        self.first = Some(write(&self.consumer, batch.decided()));
        until_somebody_waits_for(test, self.holder.backend_pid).await;
    }

    /// Lets the batch that holds the lane up go on, once these wait behind it.
    async fn write_together(&mut self, batches: Vec<DecidedBatch>) -> Vec<Writing> {
        let writing: Vec<Writing> = batches
            .into_iter()
            .map(|batch| write(&self.consumer, batch))
            .collect();
        // Each waits from its first poll on.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.holder.run("COMMIT").await.unwrap();
        self.first.take().unwrap().await.unwrap().unwrap();
        writing
    }
}

fn write(consumer: &Arc<Consumer>, batch: DecidedBatch) -> Writing {
    let consumer = Arc::clone(consumer);
    tokio::spawn(async move { consumer.write(batch).await })
}

/// Partitions 0 to 3 with a leader, whose lane is held up, and a log row for each of 1 to 3.
async fn scene(test: &TestDatabase) -> (HeldLane, Vec<(Decider, Log)>) {
    scene_with(test, BatchWriterSettings::default()).await
}

async fn scene_with(
    test: &TestDatabase,
    bounds: BatchWriterSettings,
) -> (HeldLane, Vec<(Decider, Log)>) {
    let consumer = Arc::new(Consumer::with_bounds(test, bounds));
    let mut parts = Vec::new();
    for number in 1..4 {
        let decider = Decider::new(number, consumer.lead(number).await);
        let log = log_row(test, i64::from(number), "together").await;
        parts.push((decider, log));
    }
    let mut lane = HeldLane {
        decider: Decider::new(0, consumer.lead(0).await),
        holder: RivalSession::open(&test.elsewhere()).await,
        consumer,
        first: None,
    };
    lane.hold(test, "first").await;
    (lane, parts)
}

fn deposits(parts: &mut [(Decider, Log)]) -> Vec<DecidedBatch> {
    let batches = parts.iter_mut().map(|(decider, log)| {
        let batch = decider.batch().apply(log, &[("USD", "5", "0")]);
        batch.decided()
    });
    batches.collect()
}

async fn stored(test: &TestDatabase, number: i32) -> i64 {
    let stored =
        format!("SELECT stored_offset FROM partition_leader_locks WHERE partition = {number}");
    test.number(&stored).await
}

async fn balance(test: &TestDatabase, account: i32) -> i64 {
    let balance = format!(
        "SELECT coalesce(sum(available), 0)::bigint FROM account_balances WHERE account_id = {account}"
    );
    test.number(&balance).await
}

#[tokio::test]
async fn what_waits_for_a_busy_lane_is_written_in_one_transaction() {
    on_partitions(async |test| {
        let (mut lane, mut parts) = scene(&test).await;
        let batches = deposits(&mut parts);
        for writing in lane.write_together(batches).await {
            writing.await.unwrap().unwrap();
        }
        let transactions = "SELECT count(DISTINCT xmin::text) FROM account_balances
                             WHERE account_id BETWEEN 1 AND 3";
        assert_eq!(test.number(transactions).await, 1);
        for number in 1..4 {
            assert_eq!(
                (stored(&test, number).await, balance(&test, number).await),
                (1, 5)
            );
            let rows = |table: &str| {
                format!("SELECT partition::bigint FROM {table} WHERE account_id = {number}")
            };
            assert_eq!(
                test.number(&rows("ledger_entries")).await,
                i64::from(number)
            );
            assert_eq!(
                test.number(&rows("balance_change_states")).await,
                i64::from(number)
            );
        }
    })
    .await;
}

#[tokio::test]
async fn one_that_is_fenced_stops_none_of_the_others() {
    on_partitions(async |test| {
        let (mut lane, mut parts) = scene(&test).await;
        let batches = deposits(&mut parts);
        test.execute("UPDATE partition_leases SET expires_at = '-infinity' WHERE partition = 2")
            .await;
        Consumer::new(&test.elsewhere()).lead(2).await;
        let mut writing = lane.write_together(batches).await.into_iter();
        writing.next().unwrap().await.unwrap().unwrap();
        let fenced = writing.next().unwrap().await.unwrap();
        assert_eq!(fenced, Err(WriteError::Fenced));
        writing.next().unwrap().await.unwrap().unwrap();
        for (number, (expected, money)) in [(1, (1, 5)), (2, (0, 0)), (3, (1, 5))] {
            assert_eq!(stored(&test, number).await, expected, "{number}");
            assert_eq!(balance(&test, number).await, money, "{number}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_culprit_is_found_in_its_own_batch_and_the_others_commit() {
    on_partitions(async |test| {
        let (mut lane, mut parts) = scene(&test).await;
        let batches = deposits(&mut parts);
        test.execute(
            "UPDATE balance_change_states SET fingerprint = decode(repeat('cd', 32), 'hex')
              WHERE account_id = 3",
        )
        .await;
        let mut writing = lane.write_together(batches).await.into_iter();
        writing.next().unwrap().await.unwrap().unwrap();
        writing.next().unwrap().await.unwrap().unwrap();
        let culprit = Culprit {
            offset: offset(0),
            kind: CulpritKind::DiffersFromLog,
        };
        let spoilt = writing.next().unwrap().await.unwrap();
        assert_eq!(spoilt, Err(WriteError::Culprits(vec![culprit])));
        assert_eq!(balance(&test, 1).await + balance(&test, 2).await, 10);
        assert_eq!((stored(&test, 3).await, balance(&test, 3).await), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn one_that_begins_elsewhere_is_told_so_and_the_others_commit() {
    on_partitions(async |test| {
        let (mut lane, mut parts) = scene(&test).await;
        let batches = deposits(&mut parts);
        test.execute("UPDATE partition_leader_locks SET stored_offset = 9 WHERE partition = 1")
            .await;
        let mut writing = lane.write_together(batches).await.into_iter();
        let moved = writing.next().unwrap().await.unwrap();
        assert!(matches!(moved, Err(WriteError::Moved(_))), "{moved:?}");
        for writing in writing {
            writing.await.unwrap().unwrap();
        }
        assert_eq!(balance(&test, 2).await + balance(&test, 3).await, 10);
        assert_eq!((stored(&test, 1).await, balance(&test, 1).await), (9, 0));
    })
    .await;
}

/// Whether its session is on the row's record already makes no difference: then it need not be put
/// there.
#[tokio::test]
async fn one_whose_leader_row_somebody_holds_waits_alone() {
    for is_on_record in [false, true] {
        on_partitions(async move |test| {
            let (mut lane, mut parts) = scene_with(&test, patient()).await;
            if is_on_record {
                let batches = deposits(&mut parts);
                for writing in lane.write_together(batches).await {
                    writing.await.unwrap().unwrap();
                }
                for (number, part) in (1..).zip(&mut parts) {
                    part.1 = log_row(&test, number, "again").await;
                }
                lane.hold(&test, "again").await;
            }
            let money = if is_on_record { 10 } else { 5 };
            let batches = deposits(&mut parts);
            let mut stranger = RivalSession::open(&test.elsewhere()).await;
            stranger.freeze_behind_fence(2).await;
            let mut writing = lane.write_together(batches).await.into_iter();
            let (first, held, last) = (
                writing.next().unwrap(),
                writing.next().unwrap(),
                writing.next().unwrap(),
            );
            for free in [first, last] {
                let written = tokio::time::timeout(DEADLINE, free).await;
                written
                    .expect("it waits for a row of another partition")
                    .unwrap()
                    .unwrap();
            }
            assert!(!held.is_finished(), "it waits for the row");
            stranger.run("COMMIT").await.unwrap();
            held.await.unwrap().unwrap();
            for number in 1..4 {
                assert_eq!(balance(&test, number).await, money);
            }
        })
        .await;
    }
}

/// Ends the backend that waits for the holder.
async fn end_waiting(test: &TestDatabase, holder: &RivalSession) {
    until_somebody_waits_for(test, holder.backend_pid).await;
    let ended = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
          WHERE {} = ANY (pg_blocking_pids(pid))",
        holder.backend_pid
    );
    assert_eq!(test.number(&ended).await, 1);
}

#[tokio::test]
async fn a_partition_that_must_be_tried_again_is_written_apart() {
    on_partitions(async |test| {
        let (mut lane, mut parts) = scene_with(&test, patient()).await;
        let batches = deposits(&mut parts);
        let again = batches[1].clone();
        let mut stranger = RivalSession::open(&test.elsewhere()).await;
        stranger
            .run("BEGIN; SELECT 1 FROM balance_change_states WHERE account_id = 2 FOR UPDATE")
            .await
            .unwrap();
        let mut writing = lane.write_together(batches).await.into_iter();
        // First the transaction of all three, and then that of the one by itself.
        end_waiting(&test, &stranger).await;
        writing.next().unwrap().await.unwrap().unwrap();
        end_waiting(&test, &stranger).await;
        let lost = writing.next().unwrap().await.unwrap();
        assert!(matches!(lost, Err(WriteError::Retryable(_))), "{lost:?}");
        writing.next().unwrap().await.unwrap().unwrap();

        let held = write(&lane.consumer, again);
        until_somebody_waits_for(&test, stranger.backend_pid).await;
        parts[0].1 = log_row(&test, 1, "beside it").await;
        let next = deposits(&mut parts[..1]).remove(0);
        let free = tokio::time::timeout(DEADLINE, write(&lane.consumer, next)).await;
        free.expect("it waits for a row of another partition")
            .unwrap()
            .unwrap();
        stranger.run("COMMIT").await.unwrap();
        held.await.unwrap().unwrap();
        assert_eq!((stored(&test, 1).await, stored(&test, 2).await), (2, 1));
    })
    .await;
}

#[tokio::test]
async fn where_enough_waits_a_transaction_begins_beside_the_one_under_way() {
    on_partitions(async |test| {
        let bounds = BatchWriterSettings {
            transactions_max: 2,
            events_worth_a_transaction: 2,
            wait_for_others_max: 10 * DEADLINE,
            ..patient()
        };
        let (mut lane, mut parts) = scene_with(&test, bounds).await;
        let mut batches = deposits(&mut parts).into_iter();
        let too_few = write(&lane.consumer, batches.next().unwrap());
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        for written in [write(&lane.consumer, batches.next().unwrap()), too_few] {
            let written = tokio::time::timeout(DEADLINE, written).await;
            written
                .expect("it waits for a row of another partition")
                .unwrap()
                .unwrap();
        }
        let together = "SELECT count(DISTINCT xmin::text) FROM account_balances
                         WHERE account_id IN (1, 2)";
        assert_eq!(
            test.number(together).await,
            1,
            "the first waited for the second"
        );
        // What is left when the held one ends is written, however few.
        let last = lane.write_together(vec![batches.next().unwrap()]).await;
        for written in last {
            written.await.unwrap().unwrap();
        }
        for number in 1..4 {
            assert_eq!(
                (stored(&test, number).await, balance(&test, number).await),
                (1, 5)
            );
        }
    })
    .await;
}

#[tokio::test]
async fn few_events_wait_a_while_for_a_transaction_that_hangs_and_then_begin_another() {
    on_partitions(async |test| {
        let bounds = BatchWriterSettings {
            transactions_max: 2,
            wait_for_others_max: Duration::from_millis(50),
            ..patient()
        };
        let (mut lane, mut parts) = scene_with(&test, bounds).await;
        for batch in deposits(&mut parts) {
            let written = tokio::time::timeout(DEADLINE, write(&lane.consumer, batch)).await;
            written
                .expect("it waits for a row of another partition")
                .unwrap()
                .unwrap();
        }
        assert_eq!(stored(&test, 0).await, 0, "it still hangs");
        lane.write_together(Vec::new()).await;
        for number in 0..4 {
            assert_eq!(stored(&test, number).await, 1);
        }
    })
    .await;
}

/// Two transactions of one partition at once would be two writers.
#[tokio::test]
async fn two_batches_of_one_partition_are_written_one_after_the_other() {
    on_partitions(async |test| {
        // Each is worth a transaction.
        let bounds = BatchWriterSettings {
            events_worth_a_transaction: 1,
            ..BatchWriterSettings::default()
        };
        let (mut lane, mut parts) = scene_with(&test, bounds).await;
        let batch = deposits(&mut parts[..1]).remove(0);
        let mut writing = lane
            .write_together(vec![batch.clone(), batch])
            .await
            .into_iter();
        writing.next().unwrap().await.unwrap().unwrap();
        let again = writing.next().unwrap().await.unwrap();
        assert!(matches!(again, Err(WriteError::Moved(_))), "{again:?}");
        assert_eq!((stored(&test, 1).await, balance(&test, 1).await), (1, 5));
    })
    .await;
}
