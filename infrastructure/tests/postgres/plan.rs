//! The plans of the hot statements: by index, at every size, whatever the statistics say.

use crate::laid_out::on_laid_out_database;
use crate::support::TestDatabase;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

/// The sizes of batches that are planned for.
const SIZES: [i64; 4] = [1, 200, 5_000, 20_000];

/// How the planner's knowledge may look.
const KNOWLEDGE: [&str; 2] = [
    // Tables that filled since they were last looked at.
    "SELECT 1", "ANALYZE",
];

/// The plan of a statement from `sql/`, with its parameters replaced by arrays of this many rows.
async fn plan(connection: &mut PgConnection, statement: &str) -> String {
    sqlx::query(AssertSqlSafe(format!("EXPLAIN (COSTS OFF) {statement}")))
        .fetch_all(connection)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"))
        .iter()
        .map(|row| format!("{}\n", row.get::<String, _>(0)))
        .collect()
}

/// The statement with `$1`, `$2` … replaced.
fn with_values(statement: &str, values: &[String]) -> String {
    // From the last to the first: `$1` is the beginning of `$10`.
    values
        .iter()
        .enumerate()
        .rev()
        .fold(statement.to_owned(), |text, (index, value)| {
            text.replace(&format!("${}", index + 1), value)
        })
}

/// A literal array of `expression` over `n` from 1 to `size`, so that the planner sees its length.
async fn array(test: &TestDatabase, expression: &str, of: &str, size: i64) -> String {
    let text: String = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT quote_literal(array_agg({expression} ORDER BY n)::text)
           FROM generate_series(1, {size}) AS n"
    )))
    .fetch_one(test.database().queries())
    .await
    .unwrap();
    format!("{text}::{of}[]")
}

/// The literal of a moment this long ago.
async fn moment(test: &TestDatabase, ago: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT quote_literal(now() - interval '{ago}') || '::timestamptz'"
    )))
    .fetch_one(test.database().queries())
    .await
    .unwrap()
}

/// This many accounts with a balance, a final row of the log and an entry each, on the shards of
/// `retail`.
async fn fill(test: &TestDatabase, accounts: u32) {
    test.execute(&format!(
        "INSERT INTO account_balances
         SELECT n % 20, n, 'USD', n, 0, 1 FROM generate_series(1, {accounts}) AS n;
         INSERT INTO balance_change_states
                (log_id, account_id, logged_at, shard_id, status, fingerprint, idempotency_key,
                 partition, record_offset, decided_at)
         SELECT gen_random_uuid(), n, now() - interval '1 hour', n % 20, 1, '\\x00', 'key ' || n,
                0, n, now()
           FROM generate_series(1, {accounts}) AS n;
         INSERT INTO ledger_entries
                (log_id, account_id, version, record_offset, shard_id, partition, change_index,
                 branch, currency_code, available_delta, frozen_delta, available_after,
                 frozen_after)
         SELECT gen_random_uuid(), n, 1, n, n % 20, 0, 0, 0, 'USD', n, 0, n, 0
           FROM generate_series(1, {accounts}) AS n;",
    ))
    .await;
}

#[tokio::test]
async fn balances_are_reached_by_the_primary_key_at_every_size() {
    on_laid_out_database(async |test| {
        fill(&test, 50_000).await;
        let mut connection = test.database().queries().acquire().await.unwrap();
        for knowledge in KNOWLEDGE {
            test.execute(knowledge).await;
            for size in SIZES {
                let shards = array(&test, "n % 20", "integer", size).await;
                let accounts = array(&test, "n", "bigint", size).await;
                let currencies = array(&test, "'USD'::text", "text", size).await;
                let bounds = ["0".to_owned(), "19".to_owned()];
                let load = with_values(
                    include_str!("../../src/postgres/sql/balance/load.sql"),
                    &[
                        &[shards.clone(), accounts.clone(), currencies][..],
                        &bounds[..],
                    ]
                    .concat(),
                );
                let load_accounts = with_values(
                    include_str!("../../src/postgres/sql/balance/load_accounts.sql"),
                    &[&[shards, accounts][..], &bounds[..]].concat(),
                );
                for statement in [load, load_accounts] {
                    let plan = plan(&mut connection, &statement).await;
                    let size = format!("{size} after {knowledge}:\n{plan}");
                    assert!(plan.contains("account_balances_s0_15_pkey"), "{size}");
                    assert!(!plan.contains("Seq Scan on account_balances"), "{size}");
                    assert!(!plan.contains("Hash"), "{size}");
                    assert!(!plan.contains("s20_23"), "beside the shards asked, {size}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_read_ahead_is_read_in_the_order_of_an_index_and_never_sorted() {
    on_laid_out_database(async |test| {
        fill(&test, 50_000).await;
        test.execute(
            "INSERT INTO accounts (account_id, user_id, pool, shard_id)
             SELECT n, n, 'retail', n % 20 FROM generate_series(1, 50000) AS n",
        )
        .await;
        let accounts = include_str!("../../src/postgres/sql/account/page_below.sql");
        let balances = include_str!("../../src/postgres/sql/balance/page_behind.sql");
        let first = ["NULL".to_owned(), "2000".to_owned()];
        let next = ["40000".to_owned(), "2000".to_owned()];
        let of_balances =
            |account: &str, code: &str| ["3", account, code, "2000"].map(str::to_owned);
        let mut connection = test.database().queries().acquire().await.unwrap();
        connection
            .execute(AssertSqlSafe(format!(
                "PREPARE accounts (bigint, bigint) AS {accounts};
                 PREPARE balances (integer, bigint, text, bigint) AS {balances}"
            )))
            .await
            .unwrap();
        for knowledge in KNOWLEDGE {
            test.execute(knowledge).await;
            for cached in ["force_custom_plan", "force_generic_plan"] {
                connection
                    .execute(AssertSqlSafe(format!("SET plan_cache_mode = {cached}")))
                    .await
                    .unwrap();
                for (statement, key, values) in [
                    ("accounts", "accounts_pkey", first.join(", ")),
                    ("accounts", "accounts_pkey", next.join(", ")),
                    (
                        "balances",
                        "account_balances_s0_15_pkey",
                        of_balances("0", "''").join(", "),
                    ),
                    (
                        "balances",
                        "account_balances_s0_15_pkey",
                        of_balances("900", "'USD'").join(", "),
                    ),
                ] {
                    let execute = format!("EXECUTE {statement} ({values})");
                    let plan = plan(&mut connection, &execute).await;
                    let said = format!("{execute}, {cached}, after {knowledge}:\n{plan}");
                    assert!(plan.contains(key), "{said}");
                    for wrong in ["Sort", "Seq Scan", "Bitmap", "Hash"] {
                        assert!(!plan.contains(wrong), "{said}");
                    }
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn states_are_reached_by_their_key_at_every_size() {
    on_laid_out_database(async |test| {
        fill(&test, 50_000).await;
        let mut connection = test.database().queries().acquire().await.unwrap();
        for knowledge in KNOWLEDGE {
            test.execute(knowledge).await;
            for size in SIZES {
                let keys = [
                    array(&test, "n % 20", "integer", size).await,
                    array(&test, "n", "bigint", size).await,
                    array(&test, "'key ' || n", "text", size).await,
                ];
                let bounds = ["0".to_owned(), "19".to_owned()];
                let ids = [array(&test, "gen_random_uuid()", "uuid", size).await];
                let states = with_values(
                    include_str!("../../src/postgres/sql/change_log/states.sql"),
                    &[&keys[..], &bounds[..]].concat(),
                );
                let keep_init = with_values(
                    include_str!("../../src/postgres/sql/relay/keep_init.sql"),
                    &[&keys[..], &ids[..], &bounds[..]].concat(),
                );
                let plans = [
                    plan(&mut connection, &states).await,
                    plan(&mut connection, &keep_init).await,
                ];
                for plan in plans {
                    let size = format!("{size} after {knowledge}:\n{plan}");
                    assert!(plan.contains("balance_change_states_s0_15_pkey"), "{size}");
                    assert!(
                        !plan.contains("Seq Scan on balance_change_states"),
                        "{size}"
                    );
                    assert!(!plan.contains("Hash Join"), "{size}");
                    assert!(!plan.contains("s20_23"), "beside the shards asked, {size}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn logging_reads_no_table_and_locks_in_the_order_of_the_key_at_every_size() {
    on_laid_out_database(async |test| {
        fill(&test, 50_000).await;
        let mut connection = test.database().queries().acquire().await.unwrap();
        // Planned once, for all sizes.
        let mut log = test.database().log().acquire().await.unwrap();
        let all_or_none = concat!(
            "PREPARE all_or_none (uuid[], integer[], bigint[], text[], bytea[], bytea[], integer, bigint, timestamptz) AS ",
            include_str!("../../src/postgres/sql/change_log/append_all_or_none.sql")
        );
        log.execute(all_or_none).await.unwrap();
        for rows in SIZES {
            let values = [
                array(&test, "gen_random_uuid()", "uuid", rows).await,
                array(&test, "n % 20", "integer", rows).await,
                array(&test, "n", "bigint", rows).await,
                array(&test, "'new key ' || n", "text", rows).await,
                array(&test, "'\\x00'::bytea", "bytea", rows).await,
                array(&test, "'\\x00'::bytea", "bytea", rows).await,
                "1".to_owned(),
                test.number("SELECT database_incarnation()")
                    .await
                    .to_string(),
                "'epoch'::timestamptz".to_owned(),
            ];
            let append = include_str!("../../src/postgres/sql/change_log/append.sql");
            let all_or_none = format!("EXECUTE all_or_none ({})", values.join(", "));
            for (plan, in_key_order) in [
                (
                    plan(&mut connection, &with_values(append, &values)).await,
                    "Sort Key: asked_1.shard_id, asked_1.account_id, asked_1.idempotency_key",
                ),
                (
                    plan(&mut log, &all_or_none).await,
                    "Sort Key: a.shard_id, a.account_id, a.idempotency_key",
                ),
            ] {
                let size = format!("{rows}:\n{plan}");
                assert!(!plan.contains("Scan on balance_change"), "{size}");
                assert!(!plan.contains("Scan using"), "{size}");
                assert!(plan.contains(in_key_order), "{size}");
                // Each row meets its own payload once, not every payload of the call.
                assert!(rows == 1 || !plan.contains("Nested Loop"), "{size}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn verify_looks_up_what_belongs_to_a_page_by_key_and_joins_no_whole_table() {
    on_laid_out_database(async |test| {
        // Large enough that a page's look-ups seem dear beside one pass over everything.
        fill(&test, 50_000).await;
        let mut connection = test.database().queries().acquire().await.unwrap();
        let (first, last) = (
            "'00000000-0000-0000-0000-000000000000'::uuid".to_owned(),
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid".to_owned(),
        );
        let (shard, none, page) = ("5".to_owned(), "0".to_owned(), "2000".to_owned());
        let orphans = with_values(
            include_str!("../../src/postgres/sql/audit/orphan_entries.sql"),
            &[
                shard.clone(),
                first.clone(),
                none.clone(),
                last,
                none.clone(),
            ],
        );
        let payloads = with_values(
            include_str!("../../src/postgres/sql/audit/payloads_page.sql"),
            &[first, page.clone()],
        );
        let events = with_values(
            include_str!("../../src/postgres/sql/audit/events_page.sql"),
            &[shard, none, "''".to_owned(), page],
        );
        for knowledge in KNOWLEDGE {
            test.execute(knowledge).await;
            for statement in [&orphans, &payloads, &events] {
                let plan = plan(&mut connection, statement).await;
                let said = format!("after {knowledge}:\n{plan}");
                assert!(plan.contains("balance_change_states_s0_15_pkey"), "{said}");
                for wrong in ["Hash", "Merge Cond", "Seq Scan on balance_change_states_s0"] {
                    assert!(!plan.contains(wrong), "{said}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_relays_scan_starts_at_its_mark_by_brin_and_reads_no_other_index() {
    on_laid_out_database(async |test| {
        fill(&test, 50_000).await;
        test.execute("VACUUM ANALYZE").await;
        let mut connection = test
            .database()
            .queries()
            .begin_with(include_str!("../../src/postgres/sql/relay/begin_rows.sql"))
            .await
            .unwrap();
        let last_of_page = moment(&test, "5 minutes").await;
        let pages = [
            ["NULL".to_owned(), "NULL".to_owned()],
            [
                last_of_page,
                "'01920000-0000-7000-8000-000000000000'".to_owned(),
            ],
        ];
        for [last_at, last_id] in pages {
            let scan = with_values(
                include_str!("../../src/postgres/sql/relay/still_init.sql"),
                &[
                    "ARRAY[0, 1, 2]".to_owned(),
                    moment(&test, "10 minutes").await,
                    moment(&test, "1 minute").await,
                    "1000".to_owned(),
                    last_at,
                    last_id,
                ],
            );
            let plan = plan(&mut connection, &scan).await;
            assert!(
                plan.contains("Bitmap Index Scan on balance_change_states_s0_15_logged_at_idx"),
                "{plan}"
            );
            for other in ["s16_19", "pkey", "Gather"] {
                assert!(!plan.contains(other), "{plan}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn entries_are_reached_by_the_primary_key_at_every_size() {
    on_laid_out_database(async |test| {
        fill(&test, 50_000).await;
        let mut connection = test.database().queries().acquire().await.unwrap();
        for knowledge in KNOWLEDGE {
            test.execute(knowledge).await;
            for size in SIZES {
                let values = [
                    array(&test, "n % 20", "integer", size).await,
                    array(&test, "gen_random_uuid()", "uuid", size).await,
                    "0".to_owned(),
                    "19".to_owned(),
                ];
                let entries = with_values(
                    include_str!("../../src/postgres/sql/change_log/entries.sql"),
                    &values,
                );
                let plan = plan(&mut connection, &entries).await;
                let size = format!("{size} after {knowledge}:\n{plan}");
                assert!(plan.contains("ledger_entries_s0_15_pkey"), "{size}");
                assert!(!plan.contains("Seq Scan on ledger_entries"), "{size}");
                assert!(!plan.contains("Hash"), "{size}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn payloads_are_looked_for_in_the_days_of_their_ids_only() {
    on_laid_out_database(async |test| {
        let mut connection = test.database().queries().acquire().await.unwrap();
        for size in SIZES {
            // Ids of tomorrow.
            let ids = "(substr(uuid_v7_floor(now() + interval '1 day')::text, 1, 14)
                        || substr(gen_random_uuid()::text, 15))::uuid";
            let payloads = with_values(
                include_str!("../../src/postgres/sql/change_log/payloads.sql"),
                &[array(&test, ids, "uuid", size).await],
            );
            let plan = plan(&mut connection, &payloads).await;
            let scans = plan.matches("Scan on balance_change_logs_").count()
                + plan.matches("Scan using balance_change_logs_").count();
            assert_eq!(scans, 1, "{size}:\n{plan}");
        }
    })
    .await;
}

#[tokio::test]
async fn positions_are_noted_by_the_key_at_every_size_even_while_a_table_is_new() {
    // A small table that nobody has analysed is where the planner errs most.
    for rows in [500, 18_000] {
        on_laid_out_database(async move |test| {
            fill(&test, rows).await;
            let mut connection = test.database().queries().acquire().await.unwrap();
            for knowledge in KNOWLEDGE {
                test.execute(knowledge).await;
                for size in SIZES {
                    let values = [
                        array(&test, "n % 20", "integer", size).await,
                        array(&test, "n", "bigint", size).await,
                        array(&test, "'key ' || n", "text", size).await,
                        array(&test, "0", "integer", size).await,
                        array(&test, "n", "bigint", size).await,
                    ];
                    let note_positions = with_values(
                        include_str!("../../src/postgres/sql/change_log/note_positions.sql"),
                        &values,
                    );
                    let begin =
                        include_str!("../../src/postgres/sql/change_log/begin_note_positions.sql");
                    sqlx::raw_sql(begin)
                        .execute(&mut *connection)
                        .await
                        .unwrap();
                    let plan = plan(&mut connection, &note_positions).await;
                    sqlx::raw_sql("ROLLBACK")
                        .execute(&mut *connection)
                        .await
                        .unwrap();
                    let size = format!("{size} of {rows} after {knowledge}:\n{plan}");
                    let (_, look_up) = plan.split_once("Function Scan on p").expect(&size);
                    assert!(
                        look_up.contains("balance_change_states_s0_15_pkey"),
                        "{size}"
                    );
                    for wrong in ["Seq Scan", "Hash", "Materialize", "Bitmap", "Join Filter"] {
                        assert!(!look_up.contains(wrong), "{size}");
                    }
                }
            }
        })
        .await;
    }
}
