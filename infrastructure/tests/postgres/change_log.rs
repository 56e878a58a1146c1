//! The change log: logging, finding, noting.

use crate::event::{amount, currency, deposit, deposit_with_id, key};
use crate::laid_out::{on_laid_out_database, placing};
use crate::support::TestDatabase;
use axs_application::port::change_log::{
    AppendOutcome, ChangeLog, ChangeLogKey, ChangeLogRecord, NewChangeLog, PublishedPosition,
    RecordedReason,
};
use axs_domain::balance::{Balance, Delta, VersionedBalance};
use axs_domain::change::{Branch, CurrencyDelta};
use axs_domain::decision::LedgerEntry;
use axs_domain::id::{BalanceVersion, LogId, Offset, PartitionId};
use axs_domain::log_status::LogStatus;
use axs_domain::time::Timestamp;
use axs_infrastructure::postgres::change_log::{KEYS_EXPECTED_FOR, PgChangeLog};

/// The row as `append` leaves it.
fn as_logged(row: &NewChangeLog, outcome: &AppendOutcome) -> ChangeLogRecord {
    let AppendOutcome::Logged { logged_at } = outcome else {
        panic!("{outcome:?}");
    };
    ChangeLogRecord {
        log_id: row.log_id,
        key: row.key.clone(),
        fingerprint: row.fingerprint,
        payload: row.payload.clone(),
        status: LogStatus::Init,
        reason: None,
        logged_at: *logged_at,
        decided_at: None,
        position: None,
        entries: Vec::new(),
    }
}

fn known(outcome: &AppendOutcome) -> &ChangeLogRecord {
    match outcome {
        AppendOutcome::Known(record) => record,
        AppendOutcome::Logged { .. } | AppendOutcome::Unreadable(_) => panic!("{outcome:?}"),
    }
}

fn position(key: &ChangeLogKey, partition: i32, offset: i64) -> PublishedPosition {
    PublishedPosition {
        key: key.clone(),
        partition: PartitionId::try_new(partition).unwrap(),
        offset: Offset::try_new(offset).unwrap(),
    }
}

/// Sets columns of the state of one row.
async fn set_state(test: &TestDatabase, log_id: LogId, columns: &str) {
    test.execute(&format!(
        "UPDATE balance_change_states SET {columns} WHERE log_id = '{log_id}'"
    ))
    .await;
}

#[tokio::test]
async fn what_was_logged_is_found_by_its_id_and_by_its_key_as_it_was_given() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let row = deposit(&key(3, 7, "first"), "12.5");
        let outcomes = log.append(vec![row.clone()], placing(&test).await).await.unwrap();
        let expected = as_logged(&row, &outcomes[0]);
        let by_id = log.find_by_log_id(row.log_id).await.unwrap();
        assert_eq!(by_id.as_ref(), Some(&expected));
        let by_key = log.find_by_key(row.key.clone()).await.unwrap();
        assert_eq!(by_key.as_ref(), Some(&expected));
        // PostgreSQL's own time, to the microsecond.
        let micros = test
            .number("SELECT (extract(epoch FROM logged_at) * 1000000)::bigint FROM balance_change_states")
            .await;
        assert_eq!(expected.logged_at.unix_micros(), micros);
    })
    .await;
}

#[tokio::test]
async fn where_the_server_lets_no_more_connections_in_those_that_read_log_too() {
    on_laid_out_database(async |test| {
        let database = test.database();
        let log = PgChangeLog::new(test.database());
        let nowhere = (*database.log().connect_options()).clone();
        database
            .log()
            .set_connect_options(nowhere.database("axs_missing"));
        let row = deposit(&key(3, 7, "first"), "12.5");
        let outcomes = log
            .append(vec![row.clone()], placing(&test).await)
            .await
            .unwrap();
        let found = log.find_by_log_id(row.log_id).await.unwrap();
        assert_eq!(found, Some(as_logged(&row, &outcomes[0])));
    })
    .await;
}

/// As after an upgrade in the wrong order: one row was written by a newer build.
#[tokio::test]
async fn a_row_that_can_not_be_read_hides_no_neighbour() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let newer = deposit(&key(3, 7, "newer"), "1");
        let known_before = deposit(&key(3, 7, "known"), "1");
        log.append(
            vec![newer.clone(), known_before.clone()],
            placing(&test).await,
        )
        .await
        .unwrap();
        set_state(
            &test,
            newer.log_id,
            "fingerprint = '\\x02' || substr(fingerprint, 2)",
        )
        .await;
        let rows = vec![
            deposit(&key(3, 7, "fresh"), "1"),
            deposit(&newer.key, "1"),
            deposit(&known_before.key, "1"),
        ];
        let outcomes = log
            .append(rows.clone(), placing(&test).await)
            .await
            .unwrap();
        as_logged(&rows[0], &outcomes[0]);
        assert!(matches!(&outcomes[1], AppendOutcome::Unreadable(_)));
        assert_eq!(known(&outcomes[2]).log_id, known_before.log_id);
        let fresh = log.find_by_key(rows[0].key.clone()).await.unwrap();
        assert_eq!(fresh.map(|row| row.log_id), Some(rows[0].log_id));
    })
    .await;
}

#[tokio::test]
async fn outcomes_stand_in_the_order_asked_whatever_the_order_of_the_keys() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let before = deposit(&key(5, 2, "m"), "1");
        let first = log
            .append(vec![before.clone()], placing(&test).await)
            .await
            .unwrap();
        let rows = vec![
            deposit(&key(23, 9, "z"), "1"),
            deposit(&key(5, 2, "m"), "2"),
            deposit(&key(0, 1, "a"), "3"),
            deposit(&key(5, 2, "M"), "4"),
        ];
        let outcomes = log
            .append(rows.clone(), placing(&test).await)
            .await
            .unwrap();
        assert_eq!(outcomes.len(), 4);
        assert_eq!(known(&outcomes[1]), &as_logged(&before, &first[0]));
        for place in [0, 2, 3] {
            let expected = as_logged(&rows[place], &outcomes[place]);
            let found = log.find_by_log_id(rows[place].log_id).await.unwrap();
            assert_eq!(found, Some(expected), "place {place}");
        }
        let refused = log.find_by_log_id(rows[1].log_id).await.unwrap();
        assert_eq!(refused, None, "what was not logged has no row");
    })
    .await;
}

#[tokio::test]
async fn after_a_known_key_new_ones_are_logged_however_many_appends_follow() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let again = deposit(&key(5, 2, "again"), "1");
        log.append(vec![again.clone()], placing(&test).await)
            .await
            .unwrap();
        // Far enough that what a known key changes is over, and begins anew.
        let apart = KEYS_EXPECTED_FOR + 4;
        for n in 0..2 * apart {
            let new = deposit(&key(5, 2, &format!("new {n}")), "1");
            let mut rows = vec![new.clone()];
            if n % apart == 0 {
                rows.push(deposit(&again.key, "1"));
            }
            let outcomes = log
                .append(rows.clone(), placing(&test).await)
                .await
                .unwrap();
            let found = log.find_by_log_id(new.log_id).await.unwrap();
            assert_eq!(found, Some(as_logged(&new, &outcomes[0])), "append {n}");
            if let Some(outcome) = outcomes.get(1) {
                assert_eq!(known(outcome).log_id, again.log_id, "append {n}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_logged_after_an_answer_bears_a_later_time_although_the_clock_steps_back() {
    on_laid_out_database(async |test| {
        let test = with_a_clock_of_its_own(&test).await;
        let log = PgChangeLog::new(test.database());
        let again = deposit(&key(5, 2, "again"), "1");
        let mut times = vec![append_and_tell_time(&log, vec![again.clone()], &test).await];
        test.execute("UPDATE hand.clock SET behind = '4 minutes'").await;
        for n in 0..3 {
            let rows = vec![deposit(&key(5, 2, &format!("new {n}")), "1")];
            times.push(append_and_tell_time(&log, rows, &test).await);
        }
        // By the statement that leaves known rows out, and after it.
        for n in 3..6 {
            let new = deposit(&key(5, 2, &format!("new {n}")), "1");
            let rows = vec![new, deposit(&again.key, "1")];
            times.push(append_and_tell_time(&log, rows, &test).await);
        }
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
        let stored = test
            .number("SELECT (extract(epoch FROM max(logged_at)) * 1000000)::bigint FROM balance_change_states")
            .await;
        assert_eq!(times.last().map(|time| time.unix_micros()), Some(stored));
        let other = PgChangeLog::new(test.database());
        let rows = vec![deposit(&key(5, 2, "of another process"), "1")];
        let by_the_slow_clock = append_and_tell_time(&other, rows, &test).await;
        assert!(by_the_slow_clock < times[0], "the clock did step back");
        test.execute("UPDATE hand.clock SET behind = '0'").await;
        let rows = vec![deposit(&key(5, 2, "right again"), "1")];
        let by_the_right_clock = append_and_tell_time(&log, rows, &test).await;
        let past_last = by_the_right_clock.unix_micros() - stored;
        assert!(past_last > 1, "the server's own time again, not the bound");
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_was_a_year_ahead_is_followed_for_five_minutes_at_most() {
    on_laid_out_database(async |test| {
        let test = with_a_clock_of_its_own(&test).await;
        let log = PgChangeLog::new(test.database());
        let append = async |name: &str| {
            let rows = vec![deposit(&key(5, 2, name), "1")];
            append_and_tell_time(&log, rows, &test).await.unix_micros()
        };
        test.execute("UPDATE hand.clock SET behind = '-1 year'")
            .await;
        let ahead = append("ahead").await;
        test.execute("UPDATE hand.clock SET behind = '0'").await;
        let first = append("first").await;
        let now = test
            .number("SELECT (extract(epoch FROM pg_catalog.now()) * 1000000)::bigint")
            .await;
        let five_minutes = 300 * 1_000_000;
        assert!(first < now + five_minutes && first < ahead);
        assert_eq!(append("second").await, first + 1, "in order from there on");
        // Six minutes later.
        test.execute("UPDATE hand.clock SET behind = '-6 minutes'")
            .await;
        assert!(append("third").await >= now + 6 * 60 * 1_000_000);
    })
    .await;
}

/// The same database, whose sessions from here on read a clock that the test sets:
/// `hand.clock.behind`.
async fn with_a_clock_of_its_own(test: &TestDatabase) -> TestDatabase {
    test.execute(
        "CREATE SCHEMA hand;
         CREATE TABLE hand.clock (behind interval);
         INSERT INTO hand.clock VALUES ('0');
         CREATE FUNCTION hand.now() RETURNS timestamptz LANGUAGE sql STABLE
         AS 'SELECT pg_catalog.now() - behind FROM hand.clock';
         DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = hand, pg_catalog, public',
                                    current_database()); END $$",
    )
    .await;
    test.elsewhere()
}

/// Appends, and tells when the first of these rows was logged.
async fn append_and_tell_time(
    log: &PgChangeLog,
    rows: Vec<NewChangeLog>,
    test: &TestDatabase,
) -> Timestamp {
    let outcomes = log.append(rows, placing(test).await).await.unwrap();
    let AppendOutcome::Logged { logged_at } = &outcomes[0] else {
        panic!("{outcomes:?}");
    };
    *logged_at
}

#[tokio::test]
async fn a_key_twice_in_one_append_is_logged_for_the_first() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let rows = vec![
            deposit(&key(5, 2, "twice"), "1"),
            deposit(&key(5, 2, "other"), "2"),
            deposit(&key(5, 2, "twice"), "3"),
        ];
        let outcomes = log
            .append(rows.clone(), placing(&test).await)
            .await
            .unwrap();
        assert_eq!(known(&outcomes[2]), &as_logged(&rows[0], &outcomes[0]));
        assert!(matches!(outcomes[1], AppendOutcome::Logged { .. }));
    })
    .await;
}

#[tokio::test]
async fn the_same_keys_sent_at_once_over_many_connections_are_logged_once_and_nobody_deadlocks() {
    on_laid_out_database(async |test| {
        let keys: Vec<ChangeLogKey> = (0..200)
            .map(|n| key(n % 24, i64::from(n % 7) + 1, &format!("key {n}")))
            .collect();
        let placed_by = placing(&test).await;
        let mut tasks = Vec::new();
        for writer in 0..4 {
            // Each writer has an order of its own.
            let mut rows: Vec<NewChangeLog> = keys.iter().map(|key| deposit(key, "1")).collect();
            rows.rotate_left(writer * 50);
            if writer % 2 == 1 {
                rows.reverse();
            }
            let log = PgChangeLog::new(test.elsewhere().database());
            tasks.push(tokio::spawn(async move {
                let outcomes = log.append(rows.clone(), placed_by).await.unwrap();
                rows.into_iter().zip(outcomes).collect::<Vec<_>>()
            }));
        }
        let mut logged = std::collections::HashMap::new();
        let mut others = Vec::new();
        for task in tasks {
            for (row, outcome) in task.await.unwrap() {
                match outcome {
                    AppendOutcome::Logged { .. } => {
                        let twice = logged.insert(row.key.clone(), row.log_id);
                        assert_eq!(twice, None, "{:?}", row.key);
                    }
                    AppendOutcome::Known(record) => others.push((row.key, record.log_id)),
                    AppendOutcome::Unreadable(why) => panic!("{why}"),
                }
            }
        }
        assert_eq!(logged.len(), 200);
        assert_eq!(others.len(), 600);
        for (key, log_id) in others {
            assert_eq!(logged.get(&key), Some(&log_id));
        }
    })
    .await;
}

#[tokio::test]
async fn a_known_row_comes_with_its_status_its_reason_and_its_entries() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let applied = deposit(&key(3, 7, "applied"), "12.5");
        let rejected = deposit(&key(3, 7, "rejected"), "1");
        let parked = deposit(&key(17, 8, "parked"), "1");
        let rows = vec![applied.clone(), rejected.clone(), parked.clone()];
        log.append(rows.clone(), placing(&test).await)
            .await
            .unwrap();
        let decided = "decided_at = '2026-01-02 03:04:05.000006Z', partition = 1";
        set_state(
            &test,
            applied.log_id,
            &format!("status = 1, record_offset = 4, {decided}"),
        )
        .await;
        set_state(
            &test,
            rejected.log_id,
            &format!(
                "status = 2, record_offset = 5, reason_code = 3, reason = 'lacks 1', {decided}"
            ),
        )
        .await;
        set_state(
            &test,
            parked.log_id,
            &format!("status = 3, record_offset = 6, reason_code = 100, reason = 'odd', {decided}"),
        )
        .await;
        test.execute(&format!(
            "INSERT INTO ledger_entries
                    (log_id, account_id, version, record_offset, shard_id, partition, change_index,
                     branch, currency_code, available_delta, frozen_delta, available_after,
                     frozen_after)
             VALUES ('{0}', 7, 2, 4, 3, 1, 1, 1, 'BTC', -0.000000000000000001, 0.5,
                     999999999999999999.999999999999999999, 0.5),
                    ('{0}', 7, 1, 4, 3, 1, 0, 0, 'USD', 12.5, 0, 12.5, 0)",
            applied.log_id
        ))
        .await;

        let again = rows.iter().map(|row| deposit(&row.key, "1")).collect();
        let outcomes = log.append(again, placing(&test).await).await.unwrap();
        let [first, second, third] = [0, 1, 2].map(|place| known(&outcomes[place]));
        let statuses = [first, second, third].map(|record| record.status);
        assert_eq!(
            statuses,
            [LogStatus::Applied, LogStatus::Rejected, LogStatus::Parked]
        );
        assert_eq!(first.reason, None);
        let reason = |code, message: &str| {
            Some(RecordedReason {
                code,
                message: message.to_owned(),
            })
        };
        assert_eq!(second.reason, reason(3, "lacks 1"));
        assert_eq!(third.reason, reason(100, "odd"));
        assert_eq!(
            first.decided_at.map(|at| at.unix_micros()),
            Some(1_767_323_045_000_006)
        );
        assert_eq!(
            first.position,
            Some((
                PartitionId::try_new(1).unwrap(),
                Offset::try_new(4).unwrap()
            ))
        );
        assert_eq!(first.payload, applied.payload);
        let entry =
            |change_index, branch, code: &str, moved: [&str; 2], after: [&str; 2], version| {
                LedgerEntry {
                    change_index,
                    branch,
                    applied: CurrencyDelta {
                        currency: currency(code),
                        delta: Delta {
                            available: amount(moved[0]),
                            frozen: amount(moved[1]),
                        },
                    },
                    after: VersionedBalance {
                        balance: Balance {
                            available: amount(after[0]),
                            frozen: amount(after[1]),
                        },
                        version: BalanceVersion::try_new(version).unwrap(),
                    },
                }
            };
        assert_eq!(
            first.entries,
            [
                entry(0, Branch::Primary, "USD", ["12.5", "0"], ["12.5", "0"], 1),
                entry(
                    1,
                    Branch::Fallback,
                    "BTC",
                    ["-0.000000000000000001", "0.5"],
                    ["999999999999999999.999999999999999999", "0.5"],
                    2
                ),
            ]
        );
        assert_eq!(second.entries, []);
        let found = log.find_by_log_id(applied.log_id).await.unwrap();
        assert_eq!(found.as_ref(), Some(first));
    })
    .await;
}

#[tokio::test]
async fn a_row_whose_clock_is_years_off_is_kept_in_the_default_partition() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        // The first 48 bits are Unix milliseconds: the years 2001 and 2096.
        let ids = [
            "00e6b2c2-0000-7000-8000-000000000001",
            "039d0000-0000-7000-8000-000000000002",
        ]
        .map(|text| LogId::parse(text).unwrap());
        let rows: Vec<NewChangeLog> = ids
            .iter()
            .zip(["past", "future"])
            .map(|(id, text)| deposit_with_id(*id, &key(3, 7, text), "1"))
            .collect();
        let outcomes = log
            .append(rows.clone(), placing(&test).await)
            .await
            .unwrap();
        for (row, outcome) in rows.iter().zip(&outcomes) {
            let found = log.find_by_log_id(row.log_id).await.unwrap();
            assert_eq!(found, Some(as_logged(row, outcome)));
        }
        let kept = test
            .number("SELECT count(*) FROM balance_change_logs_default")
            .await;
        assert_eq!(kept, 2);
    })
    .await;
}

#[tokio::test]
async fn a_position_is_noted_while_a_row_is_init_and_never_after() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let rows: Vec<NewChangeLog> = ["a", "b", "c"]
            .iter()
            .map(|text| deposit(&key(3, 7, text), "1"))
            .collect();
        log.append(rows.clone(), placing(&test).await)
            .await
            .unwrap();
        set_state(
            &test,
            rows[1].log_id,
            "status = 1, partition = 0, record_offset = 40, decided_at = now()",
        )
        .await;
        let noted = log
            .note_positions(vec![
                position(&rows[2].key, 1, 12),
                position(&rows[0].key, 1, 10),
                position(&rows[1].key, 1, 11),
                position(&rows[2].key, 1, 13),
                position(&key(3, 7, "never logged"), 1, 14),
            ])
            .await
            .unwrap();
        assert_eq!(noted, 2);
        let mut offsets = Vec::new();
        for row in &rows {
            let found = log.find_by_key(row.key.clone()).await.unwrap().unwrap();
            let (partition, offset) = found.position.unwrap();
            offsets.push((partition.value(), offset.value()));
        }
        assert_eq!(offsets, [(1, 10), (0, 40), (1, 13)]);
        assert_eq!(log.note_positions(Vec::new()).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn positions_that_the_leader_has_passed_are_not_noted() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let rows: Vec<NewChangeLog> = (0..3)
            .map(|n| deposit(&key(3, 7, &format!("key {n}")), "1"))
            .collect();
        log.append(rows.clone(), placing(&test).await)
            .await
            .unwrap();
        test.execute("UPDATE partition_leader_locks SET stored_offset = 11 WHERE partition = 1")
            .await;
        let positions = (10..13).zip(&rows);
        let positions = positions.map(|(offset, row)| position(&row.key, 1, offset));
        assert_eq!(log.note_positions(positions.collect()).await.unwrap(), 2);
        let passed = log.find_by_key(rows[0].key.clone()).await.unwrap().unwrap();
        assert_eq!(passed.position, None);
    })
    .await;
}

#[tokio::test]
async fn noting_a_position_keeps_the_row_on_its_page() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let rows: Vec<NewChangeLog> = (0..1_000)
            .map(|n| deposit(&key(3, 7, &format!("key {n}")), "1"))
            .collect();
        log.append(rows.clone(), placing(&test).await)
            .await
            .unwrap();
        test.execute(
            "CREATE TABLE place_before AS
             SELECT log_id, (ctid::text::point)[0] AS page FROM balance_change_states",
        )
        .await;
        let positions = rows
            .iter()
            .zip(0..)
            .map(|(row, offset)| position(&row.key, 0, offset))
            .collect();
        assert_eq!(log.note_positions(positions).await.unwrap(), 1_000);
        let stayed = test
            .number(
                "SELECT count(*)
                   FROM balance_change_states AS s JOIN place_before AS b USING (log_id)
                  WHERE (s.ctid::text::point)[0] = b.page",
            )
            .await;
        // Half of a page is free: not quite room for a second version of every row at once.
        assert!(
            stayed > 800,
            "only {stayed} of 1,000 rows stayed on their page"
        );
    })
    .await;
}
