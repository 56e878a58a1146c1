//! The connections.

use crate::support::{DATABASE_URL, on_database, on_empty_database};
use axs_infrastructure::postgres::pool::{
    Database, DatabaseSettings, PgDatabase, PgPools, VerifyError,
};
use std::time::Duration;

#[tokio::test]
async fn a_server_that_is_there_is_verified() {
    on_database(async |test| {
        let database = test.database();
        database.verify(Duration::from_secs(10)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_not_to_be_waited_for_has_the_time_of_one_attempt() {
    on_database(async |test| {
        test.database().verify(Duration::ZERO).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused_at_once_with_what_to_do() {
    on_empty_database(|test| async move {
        let name = format!("axs_t_{}", uuid::Uuid::now_v7().simple());
        test.execute(&format!(
            "CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
        ))
        .await;
        let refused = database_at(|url| url.set_path(&name))
            .verify(Duration::from_secs(2))
            .await;
        test.execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
            .await;
        let Err(VerifyError::Refused { store, reason }) = refused else {
            panic!("{refused:?}");
        };
        assert!(store.contains(&name), "{store}");
        assert!(reason.contains("is SQL_ASCII"), "{reason}");
        assert!(reason.contains("ENCODING 'UTF8'"), "{reason}");
    })
    .await;
}

/// A database of the server, at another address.
fn database_at(change: impl FnOnce(&mut url::Url)) -> PgDatabase {
    let mut url = url::Url::parse(&std::env::var(DATABASE_URL).unwrap()).unwrap();
    change(&mut url);
    let pools = PgPools::try_new(&DatabaseSettings {
        url: url.into(),
        writer_connections: 1,
        query_connections: 1,
        operations_connections: 1,
        connect_timeout: Duration::from_secs(5),
        acquire_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(5),
        idle_in_transaction_timeout: Duration::from_secs(5),
        max_lifetime: Duration::from_secs(60),
    });
    PgDatabase::new(pools.unwrap())
}

#[tokio::test]
async fn a_database_or_a_role_that_is_not_there_is_refused_at_once_in_the_servers_own_words() {
    const SECRET: &str = "correct-horse-battery";
    type Change = fn(&mut url::Url);
    let rows: [(Change, &str, &str); 2] = [
        (
            |url| url.set_path("axs_missing"),
            "/axs_missing",
            "does not exist",
        ),
        // Whether the server asks for a password or not.
        (
            |url| url.set_username("axs_nobody").unwrap(),
            "axs_nobody@",
            "axs_nobody",
        ),
    ];
    for (change, named, said) in rows {
        let database = database_at(|url| {
            change(url);
            if url.username() == "axs_nobody" {
                url.set_password(Some(SECRET)).unwrap();
            }
        });
        // Waited for in vain, it would be `Unavailable` in the end.
        let refused = database.verify(Duration::from_secs(2)).await.unwrap_err();
        let VerifyError::Refused { store, reason } = &refused else {
            panic!("{refused:?}");
        };
        assert!(store.contains(named), "{store}");
        assert!(reason.contains(said), "{reason}");
        assert!(!refused.to_string().contains(SECRET), "{refused}");
    }
}

#[tokio::test]
async fn a_session_has_its_timeouts_and_plans_as_its_pool_asks() {
    on_database(async |test| {
        let database = test.database();
        for (pool, plans) in [
            (database.writer(), "force_custom_plan"),
            (database.log(), "force_generic_plan"),
            (database.queries(), "force_custom_plan"),
            (database.operations(), "force_custom_plan"),
        ] {
            let shown: Vec<String> = sqlx::query_scalar(
                "SELECT setting FROM pg_settings
                  WHERE name IN ('idle_in_transaction_session_timeout', 'jit', 'plan_cache_mode',
                                 'statement_timeout', 'TimeZone')
                  ORDER BY name COLLATE \"C\"",
            )
            .fetch_all(pool)
            .await
            .unwrap();
            assert_eq!(shown, ["UTC", "60000", "off", plans, "60000"]);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_committed_is_on_disk_even_where_the_databases_default_is_not_to_wait() {
    on_empty_database(|test| async move {
        test.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', \
             current_database()); END $$",
        )
        .await;
        let later = test.elsewhere();
        let database = later.database();
        let pools = [
            database.writer(),
            database.log(),
            database.queries(),
            database.operations(),
        ];
        for pool in pools {
            let set: String = sqlx::query_scalar("SHOW synchronous_commit")
                .fetch_one(pool)
                .await
                .unwrap();
            assert_eq!(set, "on");
        }
        let by_default: String = sqlx::query_scalar(
            "SELECT setting FROM pg_db_role_setting, unnest(setconfig) setting \
             WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .fetch_one(database.operations())
        .await
        .unwrap();
        assert_eq!(by_default, "synchronous_commit=off");
    })
    .await;
}
