//! The schema's version and the first migration.

use crate::support::{TestDatabase, on_database, on_empty_database};
use axs_application::port::schema_store::{SchemaStatus, SchemaStore};
use axs_application::port::store_error::StoreError;
use axs_infrastructure::postgres::schema_store::PgSchemaStore;

#[tokio::test]
async fn an_empty_database_has_no_version_and_gets_the_newest() {
    on_empty_database(async |test| {
        let store = PgSchemaStore::new(test.database());
        let before = store.status().await.unwrap();
        assert_eq!(before.applied, None);
        let after = store.migrate().await.unwrap();
        let newest = SchemaStatus {
            applied: Some(before.required),
            required: before.required,
        };
        assert_eq!(after, newest);
        assert_eq!(store.migrate().await.unwrap(), newest, "and again");
    })
    .await;
}

#[tokio::test]
async fn two_processes_that_migrate_at_once_both_succeed() {
    on_empty_database(async |test| {
        let first = PgSchemaStore::new(test.database());
        let second = PgSchemaStore::new(test.elsewhere().database());
        let (first, second) = tokio::join!(first.migrate(), second.migrate());
        assert_eq!(first.unwrap(), second.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_newer_schema_is_seen_and_never_migrated_back() {
    on_database(async |test| {
        test.execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (999999, 'from the future', true, '', 0)",
        )
        .await;
        let store = PgSchemaStore::new(test.database());
        assert_eq!(store.status().await.unwrap().applied, Some(999_999));
        let refused = store.migrate().await.unwrap_err();
        assert!(
            matches!(&refused, StoreError::Corrupt { reason, .. }
                if reason.contains("999999") && reason.contains("newer build")),
            "{refused}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_migration_makes_the_days_of_the_change_log_ahead() {
    on_database(async |test| {
        let days = test
            .number(
                "SELECT count(*) FROM pg_inherits
                  WHERE inhparent = 'balance_change_logs'::regclass",
            )
            .await;
        assert_eq!(days, 1 + 14 + 1, "today, 14 days ahead, and the default");
    })
    .await;
}

#[tokio::test]
async fn tables_that_grow_are_analysed_by_few_rows_whenever_they_were_made() {
    on_empty_database(async |test| {
        run_files(&test, ..11).await;
        test.execute("SELECT make_shard_range(0, 4); SELECT ensure_change_log_days(1)")
            .await;
        run_files(&test, 11..).await;
        test.execute("SELECT make_shard_range(4, 8); SELECT ensure_change_log_days(2)")
            .await;
        let columns = "FROM pg_inherits JOIN pg_attribute ON attrelid = inhrelid
                       WHERE attnum > 0 AND inhparent = ANY ('{account_balances, ledger_entries,
                             balance_change_states, balance_change_logs}'::regclass[])";
        let tables = format!("SELECT count(DISTINCT inhrelid) {columns}");
        let (of_shards, of_days) = (3 * 2, 3);
        let default_day = 1;
        assert_eq!(
            test.number(&tables).await,
            of_shards + of_days + default_day
        );
        let others = format!("SELECT count(*) {columns} AND attstattarget IS DISTINCT FROM 10");
        assert_eq!(test.number(&others).await, 0);
    })
    .await;
}

/// The migrations in their order, as files.
const MIGRATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");

/// Runs the migration files whose version lies in the range, as they stand.
async fn run_files(test: &TestDatabase, versions: impl std::ops::RangeBounds<u32>) {
    let mut files: Vec<_> = std::fs::read_dir(MIGRATIONS)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.split('_')
                .next()
                .and_then(|version| version.parse().ok())
                .is_some_and(|version: u32| versions.contains(&version))
        })
        .collect();
    files.sort();
    for file in files {
        test.execute(&std::fs::read_to_string(file).unwrap()).await;
    }
}

#[tokio::test]
async fn dead_letters_and_parked_events_of_the_first_schema_are_kept_and_get_ids() {
    on_empty_database(async |test| {
        run_files(&test, ..5).await;
        test.execute(
            "INSERT INTO dead_letters
                    (partition, record_offset, reason, message, record_key, payload)
             VALUES (0, 7, 'UNDECODABLE', 'no envelope', '1', '\\xff00'), (1, 7, 'NO_LOG_ROW', '', '', '');
             SELECT make_shard_range(0, 4);
             INSERT INTO balance_change_states
                    (log_id, account_id, logged_at, record_offset, decided_at, shard_id, partition,
                     status, reason_code, fingerprint, idempotency_key, reason)
             VALUES (gen_random_uuid(), 1, now(), 3, now(), 2, 0, 3, 100, '\\x01', 'parked', 'too large'),
                    (gen_random_uuid(), 1, now(), 4, now(), 2, 0, 1, NULL, '\\x01', 'applied', NULL)",
        )
        .await;
        run_files(&test, 5..).await;
        let letters = "SELECT count(DISTINCT dead_letter_id) FROM dead_letters
                        WHERE record_offset = 7 AND length(record_digest) = 32 AND state = 0";
        assert_eq!(test.number(letters).await, 2);
        let parked = "SELECT count(*) FROM parked_events
                       WHERE idempotency_key = 'parked' AND record_offset = 3 AND state = 0
                         AND message = 'too large'
                         AND dead_letter_id NOT IN (SELECT dead_letter_id FROM dead_letters)";
        assert_eq!(test.number(parked).await, 1);
        assert_eq!(test.number("SELECT count(*) FROM parked_events").await, 1);
    })
    .await;
}
