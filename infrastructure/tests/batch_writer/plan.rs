//! The plan of `apply.sql`: whatever the batch size and the statistics, tables are reached by key.

use crate::fixture::on_partitions;
use crate::support::TestDatabase;
use axs_application::port::change_log::REASON_LENGTH_MAX;
use axs_domain::currency::CODE_LENGTH_MAX;
use axs_domain::text::IdempotencyKey;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

const PREPARE_SESSION: &str = include_str!("../../src/postgres/sql/batch/prepare_session.sql");
const APPLY: &str = include_str!("../../src/postgres/sql/batch/apply.sql");
const FIND_CULPRITS: &str = include_str!("../../src/postgres/sql/batch/find_culprits.sql");
const FIND_MOVED: &str = include_str!("../../src/postgres/sql/batch/find_moved_balance.sql");

const SIZES: [u32; 5] = [1, 200, 1_000, 5_000, 20_000];

/// Rows of which no state is INIT, analysed: the statistics of a quiet hour. `$rows` of each.
const TABLES: &str = "
    INSERT INTO account_balances (shard_id, account_id, currency_code, available, frozen, version)
    SELECT a % 4, a, 'USD', 1, 0, 1 FROM generate_series(1, $rows) a;
    INSERT INTO balance_change_states (shard_id, account_id, idempotency_key, log_id, fingerprint,
           logged_at, status, decided_at, partition, record_offset)
    SELECT a % 4, a, 'key', gen_random_uuid(), '\\x01', now(), 1, now(), 0, a
      FROM generate_series(1, $rows) a;
    VACUUM ANALYZE account_balances;
    VACUUM ANALYZE balance_change_states";

async fn fill_tables(test: &TestDatabase, rows: u32) {
    for statement in TABLES.replace("$rows", &rows.to_string()).split(';') {
        test.execute(statement).await;
    }
}

async fn stage(connection: &mut PgConnection, events: u32) {
    let rows = format!(
        "BEGIN;
         INSERT INTO axs_staging (partition, shard_id, account_id, record_offset, log_id, idempotency_key,
                fingerprint, logged_at, status, change_index, branch, currency_code, version_read,
                version, available_delta, frozen_delta, available, frozen)
         SELECT 0, a % 4, a, a, gen_random_uuid(), 'key', '\\x01', now(), 1, 0, 0, 'USD', 1, 2, 1, 0,
                2, 0
           FROM generate_series(1, {events}) a"
    );
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(rows)))
        .await
        .unwrap();
}

/// The plan, one node a line.
async fn explain(connection: &mut PgConnection, statement: &str) -> Vec<String> {
    let query = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN {statement}")));
    let query = if statement.contains("$1") {
        query.bind(0)
    } else {
        query
    };
    query.persistent(false).fetch_all(connection).await.unwrap()
}

/// Every access to the tables is by their unique key, with the account in the condition.
fn assert_reached_by_key(plan: &[String], events: u32, tables: &[&str]) {
    let whole = plan.join("\n");
    for table in tables {
        let accesses: Vec<usize> = (0..plan.len())
            .filter(|line| plan[*line].contains("Scan") && plan[*line].contains(table))
            .collect();
        assert!(!accesses.is_empty(), "{events} events: {table}\n{whole}");
        for line in accesses {
            let by_key = plan[line].contains("Index Scan using") && plan[line].contains("_pkey");
            let condition = plan.get(line + 1).map_or("", String::as_str);
            assert!(
                by_key && condition.contains("Index Cond") && condition.contains("account_id ="),
                "{events} events: {}\n{whole}",
                plan[line]
            );
        }
    }
    assert!(!whole.contains("Hash Join"), "{events} events\n{whole}");
    assert!(!whole.contains("Merge Join"), "{events} events\n{whole}");
}

async fn on_prepared_session<C>(
    test: &TestDatabase,
    claim: impl FnOnce(sqlx::pool::PoolConnection<sqlx::Postgres>) -> C,
) where
    C: Future<Output = ()>,
{
    let mut connection = test.database().writer().acquire().await.unwrap();
    connection.close_on_drop();
    connection
        .execute(sqlx::raw_sql(PREPARE_SESSION))
        .await
        .unwrap();
    claim(connection).await;
}

#[tokio::test]
async fn balances_and_states_are_reached_by_their_key_at_every_batch_size() {
    on_partitions(async |test| {
        fill_tables(&test, 40_000).await;
        on_prepared_session(&test, async |mut connection| {
            for events in SIZES {
                stage(&mut connection, events).await;
                let plan = explain(&mut connection, APPLY).await;
                assert_reached_by_key(
                    &plan,
                    events,
                    &["account_balances_s", "balance_change_states_s"],
                );
                connection.execute("ROLLBACK").await.unwrap();
            }
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn the_plan_that_a_connection_keeps_from_an_empty_database_is_right_for_every_size() {
    on_partitions(async |test| {
        on_prepared_session(&test, async |mut connection| {
            let prepare = format!("PREPARE kept AS {APPLY}");
            connection
                .execute(sqlx::raw_sql(AssertSqlSafe(prepare)))
                .await
                .unwrap();
            for (filled, events) in [(false, 1), (true, 200), (false, 20_000)] {
                if filled {
                    // Not analysed, or the plan would be made anew.
                    let rows = TABLES.replace("$rows", "40000");
                    for insert in rows.split(';').filter(|s| s.contains("INSERT")) {
                        test.execute(insert).await;
                    }
                }
                stage(&mut connection, events).await;
                let plan = explain(&mut connection, "EXECUTE kept").await;
                assert_reached_by_key(
                    &plan,
                    events,
                    &["account_balances_s", "balance_change_states_s"],
                );
                connection.execute("ROLLBACK").await.unwrap();
            }
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn nor_does_the_search_for_culprits_read_whole_tables() {
    on_partitions(async |test| {
        fill_tables(&test, 40_000).await;
        on_prepared_session(&test, async |mut connection| {
            for events in SIZES {
                stage(&mut connection, events).await;
                let plan = explain(&mut connection, FIND_CULPRITS).await;
                assert_reached_by_key(&plan, events, &["balance_change_states_s"]);
                let plan = explain(&mut connection, FIND_MOVED).await;
                assert_reached_by_key(&plan, events, &["account_balances_s"]);
                connection.execute("ROLLBACK").await.unwrap();
            }
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn tables_that_are_empty_or_were_analysed_when_small_are_reached_by_their_key_too() {
    for rows in [None, Some(0), Some(1), Some(4), Some(300)] {
        on_partitions(async move |test| {
            if let Some(rows) = rows {
                fill_tables(&test, rows).await;
            }
            on_prepared_session(&test, async |mut connection| {
                for events in SIZES {
                    stage(&mut connection, events).await;
                    let plan = explain(&mut connection, APPLY).await;
                    assert_reached_by_key(
                        &plan,
                        events,
                        &["account_balances_s", "balance_change_states_s"],
                    );
                    connection.execute("ROLLBACK").await.unwrap();
                }
            })
            .await;
        })
        .await;
    }
}

/// Its emptying would take most of the time that COMMIT takes beside the disk.
#[tokio::test]
async fn the_staging_table_has_no_toast_table_and_takes_the_longest_row() {
    on_partitions(async |test| {
        on_prepared_session(&test, async |mut connection| {
            let toast = "SELECT reltoastrelid::bigint FROM pg_class
                          WHERE oid = 'axs_staging'::regclass";
            let toast: i64 = sqlx::query_scalar(toast)
                .fetch_one(&mut *connection)
                .await
                .unwrap();
            assert_eq!(toast, 0);
            let longest = format!(
                "INSERT INTO axs_staging (partition, shard_id, account_id, idempotency_key,
                        fingerprint, reason, currency_code, available_delta, frozen_delta,
                        available, frozen)
                 SELECT 0, 0, 1, repeat('k', {key}), decode(repeat('ff', 32), 'hex'),
                        repeat('r', {reason}), repeat('C', {code}), a, a, a, a
                   FROM (VALUES (-999999999999999999.999999999999999999)) AS v (a)",
                key = IdempotencyKey::LENGTH_MAX,
                reason = REASON_LENGTH_MAX,
                code = CODE_LENGTH_MAX,
            );
            connection
                .execute(sqlx::raw_sql(AssertSqlSafe(longest)))
                .await
                .unwrap();
        })
        .await;
    })
    .await;
}
