//! What a batch leaves when it commits, and that it leaves nothing when it does not.

use crate::fixture::{Consumer, Decider, Log, log_row, log_rows, offset, on_partitions};
use crate::support::TestDatabase;
use axs_application::port::batch_writer::{
    BatchWriter, DeadLetter, DeadLetterReason, DecidedBatch, FinalResult, WriteError,
};
use axs_application::port::change_log::{PARKED_REASON_CODE, RecordedReason};
use axs_domain::id::LogId;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

fn dead_letter(at: axs_domain::id::Offset) -> DeadLetter {
    DeadLetter {
        offset: at,
        log_id: None,
        reason: DeadLetterReason::Undecodable,
        message: "no envelope".to_owned(),
        record_key: Bytes::from_static(b"7"),
        payload: Bytes::from_static(&[0, 255, 1]),
    }
}

/// What a batch can change, as one text.
pub async fn everything(test: &TestDatabase) -> String {
    let query = "SELECT jsonb_build_object(
        'balances', (SELECT jsonb_agg(b ORDER BY b.account_id, b.currency_code)
                       FROM account_balances b),
        'states', (SELECT jsonb_agg(s ORDER BY s.log_id) FROM balance_change_states s),
        'entries', (SELECT jsonb_agg(e ORDER BY e.log_id, e.change_index) FROM ledger_entries e),
        'letters', (SELECT jsonb_agg(d ORDER BY d.dead_letter_id) FROM dead_letters d),
        'parked', (SELECT jsonb_agg(p ORDER BY p.dead_letter_id) FROM parked_events p),
        'offsets', (SELECT jsonb_agg(stored_offset ORDER BY partition)
                      FROM partition_leader_locks))::text";
    sqlx::query_scalar(query)
        .fetch_one(test.database().operations())
        .await
        .unwrap()
}

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
        let row = "SELECT count(*) FROM account_balances
                     WHERE shard_id = 7 % 4 AND account_id = 7 AND currency_code = 'BTC'
                       AND available = 1.5 AND frozen = 0.25 AND version = 1";
        assert_eq!(test.number(row).await, 1);
        let rows = "SELECT count(*) FROM account_balances";
        assert_eq!(test.number(rows).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_hold_its_settlement_and_its_release_leave_exact_balances_and_entries() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let steps: &[(&str, &str, &str)] = &[
            (
                "1000.000000000000000001",
                "0",
                "1000.000000000000000001 0.000000000000000000",
            ),
            (
                "-100",
                "100",
                "900.000000000000000001 100.000000000000000000",
            ),
            ("0", "-40", "900.000000000000000001 60.000000000000000000"),
            ("60", "-60", "960.000000000000000001 0.000000000000000000"),
        ];
        for (step, (available, frozen, after)) in steps.iter().enumerate() {
            let log = log_row(&test, 5, &format!("step {step}")).await;
            let batch = decider
                .batch()
                .apply(&log, &[("USD", available, frozen)])
                .decided();
            let receipt = consumer.write(batch).await.unwrap();
            let balance = format!(
                "SELECT count(*) FROM account_balances WHERE version = {step} + 1
                    AND available || ' ' || frozen = '{after}'"
            );
            assert_eq!(test.number(&balance).await, 1, "{after}");
            let entry = format!(
                "SELECT count(*) FROM ledger_entries
                  WHERE log_id = '{}' AND change_index = 0 AND account_id = 5 AND branch = 0
                    AND currency_code = 'USD' AND version = {step} + 1
                    AND available_delta = {available} AND frozen_delta = {frozen}
                    AND available_after || ' ' || frozen_after = '{after}'
                    AND partition = 0 AND record_offset = {step}",
                log.log_id
            );
            assert_eq!(test.number(&entry).await, 1, "{after}");
            let state = format!(
                "SELECT count(*) FROM balance_change_states
                  WHERE log_id = '{}' AND status = 1 AND reason IS NULL AND reason_code IS NULL
                    AND partition = 0 AND record_offset = {step}
                    AND decided_at = timestamptz 'epoch' + {} * interval '1 microsecond'",
                log.log_id,
                receipt.decided_at.unix_micros()
            );
            assert_eq!(test.number(&state).await, 1, "{after}");
        }
    })
    .await;
}

#[tokio::test]
async fn rejected_and_parked_events_keep_their_reason_and_move_nothing() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let rejected = log_row(&test, 1, "rejected").await;
        let parked = log_row(&test, 2, "parked").await;
        let reason = RecordedReason {
            code: PARKED_REASON_CODE,
            message: "can't be decided: 數".to_owned(),
        };
        let batch = decider
            .batch()
            .reject(&rejected, "USD")
            .finish_event(&parked, FinalResult::Parked(reason))
            .decided();
        consumer.write(batch).await.unwrap();
        let of = |log: &Log| format!("log_id = '{}'", log.log_id);
        let rows = [
            format!("{} AND status = 2 AND reason_code = 1", of(&rejected)),
            format!(
                "{} AND status = 3 AND reason_code = 100 AND reason = 'can''t be decided: 數'",
                of(&parked)
            ),
        ];
        for row in rows {
            let query = format!("SELECT count(*) FROM balance_change_states WHERE {row}");
            assert_eq!(test.number(&query).await, 1, "{row}");
        }
        let moved = "SELECT count(*) FROM (SELECT 1 FROM account_balances
                      UNION ALL SELECT 1 FROM ledger_entries) AS moved";
        assert_eq!(test.number(moved).await, 0);
    })
    .await;
}

#[tokio::test]
async fn dead_letters_commit_with_the_offset_that_passes_them() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let log_id = LogId::new(Uuid::now_v7());
        let batch = decider
            .batch()
            .bury(dead_letter)
            .bury(|at| DeadLetter {
                log_id: Some(log_id),
                reason: DeadLetterReason::NoLogRow,
                ..dead_letter(at)
            })
            .decided();
        consumer.write(batch).await.unwrap();
        let letters = format!(
            "SELECT count(*) FROM dead_letters
              WHERE partition = 0 AND record_key = '7' AND payload = '\\x00ff01'::bytea
                AND message = 'no envelope'
                AND ((record_offset = 0 AND log_id IS NULL AND reason = 'UNDECODABLE')
                  OR (record_offset = 1 AND log_id = '{log_id}' AND reason = 'NO_LOG_ROW'))"
        );
        assert_eq!(test.number(&letters).await, 2);
        let last = "SELECT octet_length(stored_record_digest)::bigint FROM partition_leader_locks
                     WHERE partition = 0";
        assert_eq!(
            test.number(last).await,
            32,
            "the last record is known again"
        );
        let stored = "SELECT stored_offset FROM partition_leader_locks WHERE partition = 0";
        assert_eq!(test.number(stored).await, 2);
    })
    .await;
}

#[tokio::test]
async fn dead_letters_that_are_delivered_again_stop_nothing_and_are_kept_once() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let first = decider
            .batch()
            .bury(dead_letter)
            .bury(dead_letter)
            .decided();
        consumer.write(first).await.unwrap();
        test.execute("UPDATE dead_letters SET state = 2 WHERE record_offset = 1")
            .await;
        let kept = kept_letters(&test).await;

        // The stored offset is set back; one of the records is another one now, as on a topic that
        // was made anew, and one is new.
        test.execute("UPDATE partition_leader_locks SET stored_offset = 0 WHERE partition = 0")
            .await;
        decider.read_on_at(0);
        let again = decider
            .batch()
            .bury(dead_letter)
            .bury(dead_letter)
            .bury(dead_letter)
            .decided();
        consumer.write(again).await.unwrap();
        assert_eq!(kept_letters(&test).await[..2], kept, "what was there stays");
        assert_eq!(kept_letters(&test).await.len(), 3);

        test.execute("UPDATE partition_leader_locks SET stored_offset = 0 WHERE partition = 0")
            .await;
        decider.read_on_at(0);
        let other_bytes = decider
            .batch()
            .bury(|at| DeadLetter {
                payload: Bytes::from_static(b"another record"),
                ..dead_letter(at)
            })
            .decided();
        consumer.write(other_bytes).await.unwrap();
        assert_eq!(kept_letters(&test).await.len(), 4);
    })
    .await;
}

/// Every dead letter as (id, offset, state), by id.
async fn kept_letters(test: &TestDatabase) -> Vec<(i64, i64, i16)> {
    sqlx::query_as(
        "SELECT dead_letter_id, record_offset, state FROM dead_letters ORDER BY dead_letter_id",
    )
    .fetch_all(test.database().operations())
    .await
    .unwrap()
}

#[tokio::test]
async fn two_letters_with_one_offset_and_the_same_bytes_are_never_guessed_around() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let mut batch = decider.batch().bury(dead_letter).decided();
        batch.dead_letters.push(batch.dead_letters[0].clone());
        let before = everything(&test).await;
        let refused = consumer.write(batch).await;
        assert!(
            matches!(&refused, Err(WriteError::Moved(what)) if what.contains("wanted 2")),
            "{refused:?}"
        );
        assert_eq!(everything(&test).await, before);
    })
    .await;
}

#[tokio::test]
async fn parked_events_are_listed_with_the_commit_that_parks_them_and_once_however_often() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let log = log_row(&test, 2, "parked").await;
        let park = |message: &str| {
            FinalResult::Parked(RecordedReason {
                code: PARKED_REASON_CODE,
                message: message.to_owned(),
            })
        };
        let batch = decider.batch().finish_event(&log, park("once")).decided();
        consumer.write(batch).await.unwrap();
        let listed = |offset: i64, times: i64, message: &str| {
            format!(
                "SELECT count(*) FROM parked_events p JOIN balance_change_states s USING (log_id)
                  WHERE p.record_offset = {offset} AND p.times = {times} AND p.state = 0
                    AND p.message = '{message}' AND p.parked_at = s.decided_at
                    AND p.idempotency_key = s.idempotency_key AND p.account_id = s.account_id
                    AND p.shard_id = s.shard_id AND p.partition = s.partition AND s.status = 3"
            )
        };
        assert_eq!(test.number(&listed(0, 1, "once")).await, 1);

        test.execute(
            "UPDATE parked_events SET state = 1;
             UPDATE balance_change_states SET status = 0, reason_code = NULL, reason = NULL,
                    partition = NULL, record_offset = NULL, decided_at = NULL",
        )
        .await;
        let batch = decider.batch().finish_event(&log, park("again")).decided();
        consumer.write(batch).await.unwrap();
        assert_eq!(test.number(&listed(1, 2, "again")).await, 1);
        let all = test.number("SELECT count(*) FROM parked_events").await;
        assert_eq!(all, 1);
    })
    .await;
}

#[tokio::test]
async fn six_hundred_events_over_600_accounts_with_3_currencies_each_are_one_batch() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        for round in 0..2 {
            let logs: Vec<Log> = (1..=600)
                .map(|account| Log::new(account, &format!("round {round}")))
                .collect();
            log_rows(&test, &logs).await;
            let mut batch = decider.batch();
            for (log, cents) in logs.iter().zip(1..) {
                let each = format!("{cents}.01");
                batch = batch.apply(
                    log,
                    &[("USD", &each, "0"), ("BTC", "1", "2"), ("A", "0", &each)],
                );
            }
            consumer.write(batch.decided()).await.unwrap();
        }
        assert_eq!(decider.balances().len(), 1_800);
        for (key, held) in decider.balances() {
            let row = format!(
                "SELECT count(*) FROM account_balances
                  WHERE account_id = {} AND currency_code = '{}' AND available = {}
                    AND frozen = {} AND version = 2",
                key.account_id, key.currency, held.balance.available, held.balance.frozen
            );
            assert_eq!(test.number(&row).await, 1, "{key:?}");
        }
        let rest = "SELECT (SELECT count(*) FROM account_balances)
                         + (SELECT count(*) FROM ledger_entries)
                         + (SELECT count(*) FROM balance_change_states WHERE status = 1)";
        assert_eq!(test.number(rest).await, 1_800 + 3_600 + 1_200);
    })
    .await;
}

#[tokio::test]
async fn a_batch_that_only_moves_the_offset_is_a_batch() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let mut batch = decider.batch().decided();
        batch.offset_after = offset(41);
        consumer.write(batch).await.unwrap();
        let stored = "SELECT stored_offset FROM partition_leader_locks WHERE partition = 0";
        assert_eq!(test.number(stored).await, 41);
    })
    .await;
}

#[tokio::test]
async fn more_partitions_than_connections_take_turns() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut deciders = Vec::new();
        for number in 0..4 {
            deciders.push(Decider::new(number, consumer.lead(number).await));
        }
        for round in 0..3 {
            let writes = deciders.iter_mut().map(|decider| {
                let mut batch = decider.batch().decided();
                batch.offset_before = offset(round);
                batch.offset_after = offset(round + 1);
                consumer.write(batch)
            });
            for written in futures::future::join_all(writes).await {
                written.unwrap();
            }
        }
        let recorded = "SELECT count(*) FROM partition_leader_locks
                         WHERE stored_offset = 3 AND backend_pid IS NOT NULL";
        assert_eq!(test.number(recorded).await, 4);
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_writes_for_another_partition_where_the_server_lets_no_more_in() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut first = Decider::new(0, consumer.lead(0).await);
        let mut second = Decider::new(1, consumer.lead(1).await);
        consumer.write(first.batch().decided()).await.unwrap();
        let database = test.database();
        let pool = database.writer();
        let nowhere = (*pool.connect_options()).clone().database("axs_missing");
        pool.set_connect_options(nowhere);
        assert!(pool.size() < pool.options().get_max_connections());
        consumer.write(second.batch().decided()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_no_transaction_open() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let claim = consumer.lead(0).await;
        let mut decider = Decider::new(0, claim);
        let log = log_row(&test, 1, "deposit").await;
        let batch = decider.batch().apply(&log, &[("USD", "5", "0")]).decided();
        let partition = batch.partition;
        {
            let mut writing = consumer.writer.write(Arc::new(batch));
            assert!(futures::poll!(&mut writing).is_pending());
        }
        // The write goes on without its caller, to its end.
        let written = "SELECT count(*) FROM ledger_entries";
        while test.number(written).await == 0 {
            tokio::task::yield_now().await;
        }
        let settled = consumer.writer.settle(partition, claim).await;
        assert_eq!(settled, Ok(offset(1)));
    })
    .await;
}

#[tokio::test]
async fn the_pool_can_be_closed_while_the_writer_lives() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let first = decider.batch().decided();
        consumer.write(first.clone()).await.unwrap();
        let pool = test.database().writer().clone();
        let closed = tokio::time::timeout(Duration::from_secs(30), pool.close()).await;
        assert!(closed.is_ok(), "an idle session kept the pool from closing");
        let refused = consumer.write(first).await;
        assert!(
            matches!(refused, Err(WriteError::Retryable(_))),
            "{refused:?}"
        );
    })
    .await;
}

/// What makes a batch that the database refuses, and the code that it answers with.
type Spoiling = (&'static str, fn(&mut DecidedBatch));

#[tokio::test]
async fn data_that_the_database_refuses_is_told_with_its_code_and_leaves_nothing() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let log = log_row(&test, 1, "deposit").await;
        let sound = decider
            .batch()
            .apply(&log, &[("USD", "5", "0")])
            .bury(dead_letter)
            .decided();
        let rows: &[Spoiling] = &[
            // Text with a NUL, in staging and in a dead letter.
            ("22021", |batch| {
                batch.events[0].result = FinalResult::Parked(RecordedReason {
                    code: PARKED_REASON_CODE,
                    message: "a\0b".to_owned(),
                });
            }),
            ("22021", |batch| {
                batch.dead_letters[0].message = "a\0b".to_owned()
            }),
            // frozen below zero
            ("23514", |batch| {
                batch.writes[0].write.after.balance.frozen = crate::fixture::amount("-1");
            }),
            // One ledger entry twice
            ("23505", |batch| {
                if let FinalResult::Applied(entries) = &mut batch.events[0].result {
                    entries.push(entries[0]);
                }
            }),
        ];
        let before = everything(&test).await;
        for (code, spoil) in rows {
            let mut batch = sound.clone();
            spoil(&mut batch);
            match consumer.write(batch).await {
                Err(WriteError::RefusedData { sqlstate, .. }) => assert_eq!(sqlstate, *code),
                other => panic!("{code}: {other:?}"),
            }
            assert_eq!(everything(&test).await, before, "{code}");
        }
        consumer.write(sound).await.unwrap();
    })
    .await;
}
