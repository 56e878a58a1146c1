//! Dead records and parked events, and what people do with them while a leader writes.

use crate::fixture::{Consumer, Decider, Log, SHARDS, log_row, on_partitions};
use crate::support::TestDatabase;
use axs_application::port::batch_writer::{
    CulpritKind, DeadLetter, DeadLetterReason, DecidedBatch, FinalResult, WriteError,
};
use axs_application::port::change_log::{PARKED_REASON_CODE, RecordedReason};
use axs_application::port::dead_letters::{
    DeadLetterBody, DeadLetterFilter, DeadLetterId, DeadLetterKind, DeadLetterState, DeadLetters,
    OperatorNote, RecordSettlement,
};
use axs_application::port::parked_events::{MetEvent, ParkedEvents};
use axs_domain::id::{AccountId, PartitionId};
use axs_domain::log_status::LogStatus;
use axs_infrastructure::postgres::dead_letters::{PgDeadLetters, PgParkedEvents};
use bytes::Bytes;

/// What a deployment has and the fixture lacks: a layout, all of whose shards live on partition 0.
async fn lay_out(test: &TestDatabase) {
    test.execute(&format!(
        "INSERT INTO layout (epoch, partition_count, events_topic) VALUES (1, 4, 'events');
         INSERT INTO shards SELECT n, 'pool', 0 FROM generate_series(0, {}) AS n",
        SHARDS - 1
    ))
    .await;
}

fn note(operator: &str) -> OperatorNote {
    OperatorNote::parse(operator, "a ticket").unwrap()
}

fn parking() -> FinalResult {
    FinalResult::Parked(RecordedReason {
        code: PARKED_REASON_CODE,
        message: "numeric field overflow".to_owned(),
    })
}

/// An event of account 1 that a leader parked, and the leader.
struct Parked {
    log: Log,
    consumer: Consumer,
    decider: Decider,
    id: DeadLetterId,
}

async fn parked(test: &TestDatabase) -> Parked {
    lay_out(test).await;
    let consumer = Consumer::new(test);
    let mut decider = Decider::new(0, consumer.lead(0).await);
    let log = log_row(test, 1, "parked").await;
    let batch = decider.batch().finish_event(&log, parking()).decided();
    consumer.write(batch).await.unwrap();
    let id = only_parked(test).await;
    Parked {
        log,
        consumer,
        decider,
        id,
    }
}

async fn only_parked(test: &TestDatabase) -> DeadLetterId {
    DeadLetterId(
        test.number("SELECT dead_letter_id FROM parked_events")
            .await,
    )
}

async fn status(test: &TestDatabase) -> i64 {
    test.number("SELECT status::bigint FROM balance_change_states WHERE account_id = 1")
        .await
}

async fn actions(test: &TestDatabase) -> Vec<(String, String, String)> {
    sqlx::query_as("SELECT action, operator, reason FROM dead_letter_actions ORDER BY action_id")
        .fetch_all(test.database().operations())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_redriven_event_is_init_as_if_never_seen_and_the_relays_mark_is_lowered() {
    on_partitions(|test| async move {
        let parked = parked(&test).await;
        test.execute(
            "UPDATE partition_leader_locks SET relay_low_water = now(), relay_epoch = 1
              WHERE partition = 0",
        )
        .await;
        let port = PgParkedEvents::new(test.database());
        let met = port.redrive(parked.id, note("ann")).await.unwrap().unwrap();
        let expected = MetEvent {
            key: parked.log.key.clone(),
            log_id: parked.log.log_id,
            status: LogStatus::Parked,
            changed: true,
        };
        assert_eq!(met, expected);
        let as_new = "SELECT count(*) FROM balance_change_states
                       WHERE status = 0 AND partition IS NULL AND record_offset IS NULL
                         AND decided_at IS NULL AND reason_code IS NULL AND reason IS NULL";
        assert_eq!(test.number(as_new).await, 1);
        let lowered = "SELECT count(*) FROM partition_leader_locks l, balance_change_states s
                        WHERE l.partition = 0 AND l.relay_generation = 1
                          AND l.relay_low_water < s.logged_at";
        assert_eq!(test.number(lowered).await, 1);
        let done = (
            "REDRIVEN".to_owned(),
            "ann".to_owned(),
            "a ticket".to_owned(),
        );
        assert_eq!(actions(&test).await, [done]);

        // Again: told, and nothing is done.
        let again = port.redrive(parked.id, note("bob")).await.unwrap().unwrap();
        assert_eq!((again.status, again.changed), (LogStatus::Init, false));
        assert_eq!(actions(&test).await.len(), 1);
        let generation = "SELECT max(relay_generation) FROM partition_leader_locks";
        assert_eq!(test.number(generation).await, 1);
        let none = port.redrive(DeadLetterId(999), note("ann")).await.unwrap();
        assert_eq!(none, None);
    })
    .await;
}

#[tokio::test]
async fn a_partition_without_a_mark_gets_none_by_a_redrive() {
    on_partitions(|test| async move {
        let parked = parked(&test).await;
        let port = PgParkedEvents::new(test.database());
        port.redrive(parked.id, note("ann")).await.unwrap();
        let marks = "SELECT count(relay_low_water) FROM partition_leader_locks";
        assert_eq!(test.number(marks).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_discarded_event_is_rejected_with_the_operators_reason_for_ever() {
    on_partitions(|test| async move {
        let mut parked = parked(&test).await;
        let port = PgParkedEvents::new(test.database());
        let met = port.discard(parked.id, note("ann")).await.unwrap().unwrap();
        assert_eq!((met.status, met.changed), (LogStatus::Parked, true));
        let rejected = "SELECT count(*) FROM balance_change_states
                         WHERE status = 2 AND reason_code = 5 AND reason = 'a ticket'
                           AND partition = 0 AND record_offset = 0 AND decided_at IS NOT NULL";
        assert_eq!(test.number(rejected).await, 1);
        let met = port.redrive(parked.id, note("ann")).await.unwrap().unwrap();
        assert_eq!((met.status, met.changed), (LogStatus::Rejected, false));
        // A copy of the record is a redelivery.
        let copy = parked.decider.batch().finish_event(&parked.log, parking());
        let refused = parked.consumer.write(copy.decided()).await;
        assert!(
            matches!(&refused, Err(WriteError::Culprits(found))
                if found[0].kind == CulpritKind::NotInit),
            "{refused:?}"
        );
        assert_eq!(test.number(rejected).await, 1);
    })
    .await;
}

#[tokio::test]
async fn of_a_redrive_and_a_discard_at_once_one_takes_effect() {
    on_partitions(|test| async move {
        let parked = parked(&test).await;
        let first = PgParkedEvents::new(test.database());
        let second = PgParkedEvents::new(test.elsewhere().database());
        // Both have seen it parked when they reach the row.
        let mut gate = test.database().operations().begin().await.unwrap();
        sqlx::query("SELECT FROM balance_change_states WHERE account_id = 1 FOR UPDATE")
            .execute(&mut *gate)
            .await
            .unwrap();
        let id = parked.id;
        let redriving = tokio::spawn(async move { first.redrive(id, note("ann")).await });
        let discarding = tokio::spawn(async move { second.discard(id, note("bob")).await });
        waiting_for_a_row(&test, 2).await;
        gate.commit().await.unwrap();
        let redriven = redriving.await.unwrap().unwrap().unwrap();
        let discarded = discarding.await.unwrap().unwrap().unwrap();
        assert!(redriven.changed != discarded.changed);
        let expected = if redriven.changed { 0 } else { 2 };
        assert_eq!(status(&test).await, expected);
        assert_eq!(actions(&test).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn of_two_redrives_at_once_one_takes_effect() {
    on_partitions(|test| async move {
        let parked = parked(&test).await;
        let first = PgParkedEvents::new(test.database());
        let second = PgParkedEvents::new(test.elsewhere().database());
        let mut gate = test.database().operations().begin().await.unwrap();
        sqlx::query("SELECT FROM partition_leader_locks WHERE partition = 0 FOR UPDATE")
            .execute(&mut *gate)
            .await
            .unwrap();
        let id = parked.id;
        let one = tokio::spawn(async move { first.redrive(id, note("ann")).await });
        let other = tokio::spawn(async move { second.redrive(id, note("bob")).await });
        waiting_for_a_row(&test, 2).await;
        gate.commit().await.unwrap();
        let one = one.await.unwrap().unwrap().unwrap();
        let other = other.await.unwrap().unwrap().unwrap();
        assert!(one.changed != other.changed, "{one:?} {other:?}");
        assert_eq!(status(&test).await, 0);
        assert_eq!(actions(&test).await.len(), 1);
    })
    .await;
}

/// Waits until so many backends of this database wait for a lock.
async fn waiting_for_a_row(test: &TestDatabase, backends: i64) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let patience = std::time::Duration::from_secs(30);
    tokio::time::timeout(patience, async {
        while test.number(waiting).await < backends {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

/// A batch that applies a copy of the parked event.
fn copy_applied(decider: &mut Decider, log: &Log) -> DecidedBatch {
    decider.batch().apply(log, &[("USD", "5", "0")]).decided()
}

#[tokio::test]
async fn a_redelivered_copy_that_meets_a_redrive_is_skipped_before_it_and_applied_after_it() {
    on_partitions(|test| async move {
        let mut parked = parked(&test).await;
        let before = copy_applied(&mut parked.decider, &parked.log);
        let refused = parked.consumer.write(before.clone()).await;
        assert!(
            matches!(&refused, Err(WriteError::Culprits(found))
                if found[0].kind == CulpritKind::NotInit),
            "{refused:?}"
        );

        // The batch holds the leader row; the redrive waits for it and then takes effect.
        let mut gate = test.database().operations().begin().await.unwrap();
        sqlx::query("SELECT FROM partition_leader_locks WHERE partition = 0 FOR UPDATE")
            .execute(&mut *gate)
            .await
            .unwrap();
        let port = PgParkedEvents::new(test.elsewhere().database());
        let id = parked.id;
        let redriving = tokio::spawn(async move { port.redrive(id, note("ann")).await });
        waiting_for_a_row(&test, 1).await;
        assert_eq!(status(&test).await, 3);
        gate.commit().await.unwrap();
        assert!(redriving.await.unwrap().unwrap().unwrap().changed);

        parked.consumer.write(before).await.unwrap();
        assert_eq!(status(&test).await, 1);
        // The relay's copy comes later and is a redelivery.
        parked.decider.read_on_at(2);
        let relayed = copy_applied(&mut parked.decider, &parked.log);
        let refused = parked.consumer.write(relayed).await;
        assert!(
            matches!(refused, Err(WriteError::Culprits(_))),
            "{refused:?}"
        );
        let entries = test.number("SELECT count(*) FROM ledger_entries").await;
        assert_eq!(entries, 1);
    })
    .await;
}

#[tokio::test]
async fn entries_of_both_kinds_are_listed_counted_and_found() {
    on_partitions(|test| async move {
        let mut parked = parked(&test).await;
        let letter = |reason| {
            move |at| DeadLetter {
                offset: at,
                log_id: None,
                reason,
                message: "no envelope".to_owned(),
                record_key: Bytes::from_static(b"42"),
                payload: Bytes::from_static(&[0, 255]),
            }
        };
        let batch = parked
            .decider
            .batch()
            .bury(letter(DeadLetterReason::Undecodable))
            .bury(letter(DeadLetterReason::NoLogRow))
            .decided();
        parked.consumer.write(batch).await.unwrap();
        let port = PgDeadLetters::new(test.database());
        let every = DeadLetterFilter::default;
        let all = port.list(every(), None, 10).await.unwrap();
        let reasons: Vec<&str> = all.iter().map(|entry| entry.reason.as_str()).collect();
        assert_eq!(reasons, ["PARKED", "UNDECODABLE", "NO_LOG_ROW"]);
        assert_eq!(port.list(every(), None, 1).await.unwrap(), all[..1]);
        let after = Some(all[0].id);
        assert_eq!(port.list(every(), after, 1).await.unwrap(), all[1..2]);
        let counts = port.count_by_reason(every()).await.unwrap();
        assert!(counts.iter().all(|count| count.entries == 1) && counts.len() == 3);

        let undecodable = all[1].id;
        for (filter, expected) in [
            (
                DeadLetterFilter {
                    kind: Some(DeadLetterKind::Parked),
                    ..every()
                },
                &all[..1],
            ),
            (
                DeadLetterFilter {
                    account_id: AccountId::try_new(42).ok(),
                    ..every()
                },
                &all[1..],
            ),
            (
                DeadLetterFilter {
                    account_id: AccountId::try_new(1).ok(),
                    ..every()
                },
                &all[..1],
            ),
            (
                DeadLetterFilter {
                    reason: Some("UNDECODABLE".to_owned()),
                    ..every()
                },
                &all[1..2],
            ),
            (
                DeadLetterFilter {
                    partition: PartitionId::try_new(3).ok(),
                    ..every()
                },
                &[],
            ),
        ] {
            let found = port.list(filter.clone(), None, 10).await.unwrap();
            assert_eq!(found, expected, "{filter:?}");
            let counted = port.count_by_reason(filter).await.unwrap();
            let counted: u64 = counted.iter().map(|count| count.entries).sum();
            assert_eq!(usize::try_from(counted).unwrap(), expected.len());
        }

        let found = port.find(undecodable).await.unwrap().unwrap();
        assert_eq!(found.summary, all[1]);
        let body = DeadLetterBody::Record {
            key: Bytes::from_static(b"42"),
            payload: Bytes::from_static(&[0, 255]),
        };
        assert_eq!(found.body, body);
        let found = port.find(parked.id).await.unwrap().unwrap();
        assert_eq!(found.body, DeadLetterBody::Row(parked.log.key.clone()));
        assert_eq!(port.find(DeadLetterId(999)).await.unwrap(), None);

        let settle = async |settlement| {
            port.settle(undecodable, settlement, note("ann"))
                .await
                .unwrap()
        };
        let met = settle(RecordSettlement::Discarded).await;
        assert_eq!(met, Some(DeadLetterState::Open));
        let met = settle(RecordSettlement::Settled).await;
        assert_eq!(met, Some(DeadLetterState::Discarded), "once");
        let open = DeadLetterFilter {
            open_only: true,
            ..every()
        };
        let open = port.list(open, None, 10).await.unwrap();
        assert_eq!(open, [all[0].clone(), all[2].clone()]);
        let found = port.find(undecodable).await.unwrap().unwrap();
        assert_eq!(found.actions.len(), 1);
        assert_eq!(found.actions[0].operator, "ann");

        // A dead record whose event is INIT has the relay look again.
        let waiting = log_row(&test, 2, "waiting").await;
        let settlement = RecordSettlement::Redriven(waiting.key.clone());
        let met = port.settle(all[2].id, settlement, note("ann")).await;
        assert_eq!(met.unwrap(), Some(DeadLetterState::Open));
        let generation = "SELECT max(relay_generation) FROM partition_leader_locks";
        assert_eq!(test.number(generation).await, 1);
    })
    .await;
}
