//! The schema's version and the first migration.

use crate::support::{on_database, on_empty_database};
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
