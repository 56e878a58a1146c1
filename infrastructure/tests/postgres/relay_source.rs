//! What the relay scans.

use crate::event::{deposit, key, shard};
use crate::laid_out::{layout, on_laid_out_database, placing};
use crate::support::TestDatabase;
use axs_application::port::change_log::{ChangeLog, ChangeLogRecord, NewChangeLog};
use axs_application::port::partition_leadership::{PartitionLeadership, TakeOver};
use axs_application::port::relay_source::{
    LogPlace, MarkMove, RelayHorizon, RelayScan, RelayScope, RelaySource,
};
use axs_application::testkit::scanned;
use axs_domain::fencing::Claim;
use axs_domain::id::{LayoutEpoch, OwnerId, PartitionId, ShardId};
use axs_domain::incarnation::Incarnation;
use axs_domain::time::Timestamp;
use axs_infrastructure::postgres::change_log::PgChangeLog;
use axs_infrastructure::postgres::leadership::{LeadershipSettings, PgPartitionLeadership};
use axs_infrastructure::postgres::relay_source::PgRelaySource;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::ops::Deref;
use std::time::Duration;

/// The grace of the scans below; rows are aged around it.
const GRACE: Duration = Duration::from_secs(60);

/// The rows of a test's database, with the history that it is in.
struct Source {
    relay: PgRelaySource,
    incarnation: Incarnation,
}

impl Source {
    async fn of(test: &TestDatabase) -> Self {
        let incarnation = test.number("SELECT database_incarnation()").await;
        Self {
            relay: PgRelaySource::new(test.database()),
            incarnation: Incarnation::new(incarnation),
        }
    }

    fn scope(&self, grace: Duration) -> RelayScope {
        RelayScope {
            partition: PartitionId::MIN,
            layout_epoch: layout().layout.epoch(),
            grace,
            incarnation: self.incarnation,
        }
    }
}

impl Deref for Source {
    type Target = PgRelaySource;

    fn deref(&self) -> &PgRelaySource {
        &self.relay
    }
}

/// A scan of these shards from the oldest row to the end of the grace.
async fn scan(
    source: &Source,
    shards: impl IntoIterator<Item = i32>,
    limit: u32,
) -> Vec<ChangeLogRecord> {
    let horizon = source.horizon(source.scope(GRACE)).await.unwrap();
    scan_after(source, shards, None, &horizon, limit).await
}

async fn scan_after(
    source: &Source,
    shards: impl IntoIterator<Item = i32>,
    after: Option<Timestamp>,
    horizon: &RelayHorizon,
    limit: u32,
) -> Vec<ChangeLogRecord> {
    let scan = RelayScan {
        shards: shards.into_iter().map(shard).collect::<Vec<ShardId>>(),
        after,
        behind: None,
        until: horizon.until,
        limit,
        is_dense: false,
        incarnation: source.incarnation,
    };
    scanned(&source.relay, scan).await
}

/// Logs one row on a shard and makes it this many seconds old.
async fn log_aged(test: &TestDatabase, shard_id: i32, name: &str, seconds: i64) -> NewChangeLog {
    let row = deposit(&key(shard_id, 7, name), "1");
    let log = PgChangeLog::new(test.database());
    log.append(vec![row.clone()], placing(test).await)
        .await
        .unwrap();
    test.execute(&format!(
        "UPDATE balance_change_states SET logged_at = date_trunc('hour', now()) - interval '{seconds} s'
          WHERE log_id = '{}'",
        row.log_id
    ))
    .await;
    row
}

fn names(rows: &[ChangeLogRecord]) -> Vec<&str> {
    rows.iter()
        .map(|row| row.key.idempotency_key.as_str())
        .collect()
}

#[tokio::test]
async fn a_scan_sees_rows_that_are_init_and_past_the_grace_oldest_first() {
    on_laid_out_database(async |test| {
        let source = Source::of(&test).await;
        let log = PgChangeLog::new(test.database());
        log_aged(&test, 3, "second", 200).await;
        let oldest = log_aged(&test, 17, "first", 300).await;
        let done = log_aged(&test, 3, "done", 400).await;
        log_aged(&test, 4, "of another shard", 400).await;
        log.append(
            vec![deposit(&key(3, 7, "just now"), "1")],
            placing(&test).await,
        )
        .await
        .unwrap();
        test.execute(&format!(
            "UPDATE balance_change_states
                SET status = 1, partition = 0, record_offset = 1, decided_at = now()
              WHERE log_id = '{}'",
            done.log_id
        ))
        .await;
        let rows = scan(&source, [17, 3], 10).await;
        assert_eq!(names(&rows), ["first", "second"]);
        assert_eq!(rows[0].log_id, oldest.log_id);
        assert_eq!(rows[0].payload, oldest.payload);
        assert_eq!(rows[0].fingerprint, oldest.fingerprint);
        assert_eq!(scan(&source, [], 10).await, []);
    })
    .await;
}

#[tokio::test]
async fn a_scan_begins_after_the_mark_and_rows_of_one_moment_go_by_their_ids() {
    on_laid_out_database(async |test| {
        let source = Source::of(&test).await;
        log_aged(&test, 3, "older", 110).await;
        let mut same: Vec<NewChangeLog> = Vec::new();
        for name in ["a", "b", "c", "d"] {
            // The keys' order is not that of the ids, nor that of the shards.
            let shard_id = if name == "b" { 19 } else { 3 };
            same.push(log_aged(&test, shard_id, name, 100).await);
        }
        log_aged(&test, 3, "later", 90).await;
        same.sort_by_key(|row| row.log_id);
        let horizon = source.horizon(source.scope(GRACE)).await.unwrap();
        let all = scan_after(&source, [3, 19], None, &horizon, 10).await;
        let ids: Vec<_> = all.iter().map(|row| row.log_id).collect();
        let expected: Vec<_> = same.iter().map(|row| row.log_id).collect();
        assert_eq!(ids[1..5], expected);
        let older = Some(all[0].logged_at);
        let after = scan_after(&source, [3, 19], older, &horizon, 4).await;
        assert_eq!(after, all[1..5]);
    })
    .await;
}

/// A log of days is read in windows, of which nobody is to see anything.
#[tokio::test]
async fn a_long_scan_finds_what_a_short_one_would_wherever_the_log_began() {
    const HOUR: i64 = 3_600;
    on_laid_out_database(async |test| {
        let source = Source::of(&test).await;
        // Whole hours, so some stand at the very ends of windows.
        for (name, hours) in [
            ("f", 0),
            ("e", 1),
            ("d", 2),
            ("c", 2),
            ("b", 30),
            ("a", 24 * 40),
        ] {
            log_aged(&test, 3, name, hours * HOUR + 120).await;
        }
        let horizon = source.horizon(source.scope(GRACE)).await.unwrap();
        let since = |row: &ChangeLogRecord, micros: i64| {
            Timestamp::from_unix_micros(row.logged_at.unix_micros() + micros)
        };
        for began in ["0 s", "2 h", "2 days", "50 days"] {
            let set_up =
                format!("UPDATE _sqlx_migrations SET installed_on = now() - interval '{began}'");
            test.execute(&set_up).await;
            let all = scan_after(&source, [3], None, &horizon, 10).await;
            assert_eq!(names(&all).first(), Some(&"a"), "{began}");
            assert_eq!(all.len(), 6, "{began}");
            assert!(all.is_sorted_by_key(|row| (row.logged_at, row.log_id)));
            for limit in 1..6 {
                let first = scan_after(&source, [3], None, &horizon, limit).await;
                assert_eq!(first, all[..limit as usize], "{began}");
            }
            for (place, row) in all.iter().enumerate() {
                let before = scan_after(&source, [3], Some(since(row, -1)), &horizon, 10).await;
                let same_moment = all.iter().position(|r| r.logged_at == row.logged_at);
                assert_eq!(before, all[same_moment.unwrap()..], "{began}");
                for after in [None, Some(since(&all[0], -1))] {
                    let behind = RelayScan {
                        shards: vec![shard(3)],
                        after,
                        behind: Some(LogPlace::of(row)),
                        until: horizon.until,
                        limit: 10,
                        is_dense: false,
                        incarnation: source.incarnation,
                    };
                    let behind = scanned(&source.relay, behind).await;
                    assert_eq!(behind, all[place + 1..], "{began}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_row_whose_payload_is_gone_hides_no_neighbour() {
    on_laid_out_database(async |test| {
        let source = Source::of(&test).await;
        let gone = log_aged(&test, 3, "gone", 200).await;
        log_aged(&test, 3, "sound", 100).await;
        test.execute(&format!(
            "DELETE FROM balance_change_logs WHERE log_id = '{}'",
            gone.log_id
        ))
        .await;
        let rows = scan(&source, [3], 10).await;
        assert_eq!(names(&rows), ["gone", "sound"]);
        assert!(rows[0].payload.is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_horizon_is_the_servers_clock_less_the_grace() {
    on_laid_out_database(async |test| {
        let source = Source::of(&test).await;
        let micros = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let before = test.number(micros).await;
        let horizon = source.horizon(source.scope(GRACE)).await.unwrap();
        let after = test.number(micros).await;
        let grace = i64::try_from(GRACE.as_micros()).unwrap();
        assert!((before..=after).contains(&(horizon.until.unix_micros() + grace)));
        assert_eq!(horizon.settled_to, Some(horizon.until));
        assert_eq!((horizon.low_water, horizon.generation), (None, 0));
    })
    .await;
}

/// A row that a transaction has written and not committed.
struct HangingCommit(PgConnection);

impl HangingCommit {
    async fn begin(test: &TestDatabase, name: &str) -> Self {
        let pool = test.database().operations().clone();
        let options = pool.connect_options().as_ref().clone();
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        let row = deposit(&key(3, 7, name), "1");
        let insert = format!(
            "BEGIN;
             INSERT INTO balance_change_logs (log_id, account_id, shard_id, idempotency_key, payload)
             VALUES ('{id}', 7, 3, '{name}', '\\x00');
             INSERT INTO balance_change_states
                    (log_id, shard_id, account_id, idempotency_key, fingerprint, logged_at)
             SELECT '{id}', 3, 7, '{name}', '{print}', now()",
            id = row.log_id,
            print = format_args!("\\x{}", hex(row.fingerprint.as_bytes())),
        );
        connection.execute(AssertSqlSafe(insert)).await.unwrap();
        Self(connection)
    }

    async fn commit(mut self) {
        self.0.execute("COMMIT").await.unwrap();
        self.0.close().await.unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_row_whose_commit_hangs_behind_the_scan_is_found_by_the_next_one() {
    on_laid_out_database(async |test| {
        let source = Source::of(&test).await;
        let hanging = HangingCommit::begin(&test, "late").await;
        // Younger rows are there before it, by time and by id.
        let log = PgChangeLog::new(test.database());
        let younger = deposit(&key(3, 7, "younger"), "1");
        log.append(vec![younger], placing(&test).await).await.unwrap();
        test.execute(
            "UPDATE balance_change_states
                SET status = 2, reason_code = 1, partition = 0, record_offset = 1, decided_at = now()
              WHERE idempotency_key = 'younger'",
        )
        .await;

        let horizon = source.horizon(source.scope(Duration::ZERO)).await.unwrap();
        let found = scan_after(&source, [3], None, &horizon, 10).await;
        assert_eq!(names(&found), Vec::<&str>::new());
        let settled = horizon.settled_to.unwrap();
        assert!(
            settled < horizon.until,
            "the mark stays below the transaction"
        );
        hanging.commit().await;

        let next = source.horizon(source.scope(Duration::ZERO)).await.unwrap();
        let by_time = scan_after(&source, [3], Some(horizon.until), &next, 10).await;
        assert_eq!(
            names(&by_time),
            Vec::<&str>::new(),
            "by time alone it is lost"
        );
        let found = scan_after(&source, [3], Some(settled), &next, 10).await;
        assert_eq!(names(&found), ["late"]);
        assert_eq!(next.settled_to, Some(next.until));
    })
    .await;
}

#[tokio::test]
async fn a_transaction_of_another_role_whose_start_is_hidden_holds_the_mark() {
    on_laid_out_database(async |test| {
        let role = format!("axs_t_{}", uuid::Uuid::now_v7().simple());
        test.execute(&format!(
            "CREATE ROLE {role};
             GRANT {role} TO current_user;
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
        ))
        .await;
        let hanging = HangingCommit::begin(&test, "hidden").await;
        let begin_scan = include_str!("../../src/postgres/sql/relay/begin_scan.sql");
        let mut connection = test.database().queries().acquire().await.unwrap();
        let as_role = format!("SET ROLE {role}");
        connection.execute(AssertSqlSafe(as_role)).await.unwrap();
        let (unseen,): (i64,) = sqlx::query_as(AssertSqlSafe(format!(
            "SELECT unseen FROM ({begin_scan}) AS horizon"
        )))
        .bind(0)
        .bind(1)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
        connection.execute("RESET ROLE").await.unwrap();
        drop(connection);
        assert_eq!(unseen, 1);
        hanging.commit().await;
        test.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
            .await;
    })
    .await;
}

#[tokio::test]
async fn the_mark_is_moved_under_the_claim_and_the_generation_and_only_for_its_layout() {
    on_laid_out_database(async |test| {
        let source = Source::of(&test).await;
        let claim = lead(&test).await;
        let epoch = layout().layout.epoch();
        let to = MarkMove {
            partition: PartitionId::MIN,
            claim,
            layout_epoch: epoch,
            generation: 0,
            low_water: Some(Timestamp::from_unix_micros(1_700_000_000_000_001)),
        };
        assert!(source.move_mark(to).await.unwrap());
        let seen = source.horizon(source.scope(GRACE)).await.unwrap();
        assert_eq!(seen.low_water, to.low_water);
        let another_layout = RelayScope {
            layout_epoch: LayoutEpoch::try_new(epoch.value() + 1).unwrap(),
            ..source.scope(GRACE)
        };
        let seen = source.horizon(another_layout).await.unwrap();
        assert_eq!(seen.low_water, None);

        let later = MarkMove {
            low_water: Some(Timestamp::from_unix_micros(1_800_000_000_000_000)),
            ..to
        };
        let fenced = MarkMove {
            claim: Claim {
                token: claim.token.next().unwrap(),
                ..claim
            },
            ..later
        };
        let lowered_since = MarkMove {
            generation: 1,
            ..later
        };
        for refused in [fenced, lowered_since] {
            assert!(!source.move_mark(refused).await.unwrap(), "{refused:?}");
        }
        let seen = source.horizon(source.scope(GRACE)).await.unwrap();
        assert_eq!(seen.low_water, to.low_water);
    })
    .await;
}

async fn lead(test: &TestDatabase) -> Claim {
    let leadership = PgPartitionLeadership::new(test.database(), LeadershipSettings::default());
    let owner = OwnerId::new(uuid::Uuid::new_v4());
    let ttl = Duration::from_secs(60);
    match leadership.take_over(PartitionId::MIN, owner, ttl).await {
        Ok(TakeOver::Taken { claim, .. }) => claim,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn of_rows_scanned_before_those_that_are_still_init_are_kept_in_their_order() {
    on_laid_out_database(async |test| {
        let source = Source::of(&test).await;
        for (name, age) in [("a", 500), ("b", 400), ("c", 300), ("d", 200)] {
            log_aged(&test, 3, name, age).await;
        }
        let rows = scan(&source, [3], 10).await;
        test.execute(
            "UPDATE balance_change_states
                SET status = 2, reason_code = 1, partition = 0, record_offset = 1, decided_at = now()
              WHERE idempotency_key = 'b'",
        )
        .await;
        // The key of `c` began anew, under another id.
        test.execute(
            "UPDATE balance_change_states SET log_id = gen_random_uuid() WHERE idempotency_key = 'c'",
        )
        .await;
        let kept = source.keep_init(rows.clone()).await.unwrap();
        assert_eq!(kept, [rows[0].clone(), rows[3].clone()]);
        assert_eq!(source.keep_init(Vec::new()).await.unwrap(), []);
    })
    .await;
}
