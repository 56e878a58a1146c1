//! What the contract tests stand on: a database of one's own on the real server.
//!
//! ```ignore
//! #[tokio::test]
//! async fn a_claim() {
//!     on_database(async |test| {
//!         let store = PgBalanceStore::new(test.database());
//!         …
//!     })
//!     .await;
//! }
//! ```
//!
//! [`on_database`] makes the database, migrates it, runs the claim, and drops the database
//! whether the claim held or not.

#![cfg(test)]

use axs_application::port::schema_store::SchemaStore;
use axs_infrastructure::postgres::pool::{Database, DatabaseSettings, PgDatabase, PgPools};
use axs_infrastructure::postgres::schema_store::PgSchemaStore;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::sync::Arc;
use std::time::Duration;

/// Names the server that the tests run on; `make test` sets it.
pub const DATABASE_URL: &str = "AXS_TEST_DATABASE_URL";

/// One test's database.
#[derive(Clone)]
pub struct TestDatabase {
    url: String,
    pools: PgPools,
    database: Arc<dyn Database>,
}

impl TestDatabase {
    fn connect(url: String) -> Self {
        let pools = PgPools::try_new(&settings(&url)).expect("a database URL");
        Self {
            url,
            database: Arc::new(PgDatabase::new(pools.clone())),
            pools,
        }
    }

    /// The pools, as the adapters take them.
    pub fn database(&self) -> Arc<dyn Database> {
        self.database.clone()
    }

    /// Another process's pools on the same database.
    pub fn elsewhere(&self) -> Self {
        Self::connect(self.url.clone())
    }

    /// Runs statements as they stand, e.g. to put a row into a state that no adapter makes.
    pub async fn execute(&self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(self.database.operations())
            .await
            .unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// One number that a query gives.
    pub async fn number(&self, query: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_one(self.database.operations())
            .await
            .unwrap_or_else(|error| panic!("{query}: {error}"))
    }
}

/// Runs a claim on a migrated database without a layout.
pub async fn on_database<Claim>(claim: impl FnOnce(TestDatabase) -> Claim)
where
    Claim: Future<Output = ()> + Send + 'static,
{
    on_empty_database(|test| {
        let store = PgSchemaStore::new(test.database());
        let claim = claim(test);
        async move {
            store.migrate().await.expect("the schema");
            claim.await;
        }
    })
    .await;
}

/// Runs a claim on a database without any table.
pub async fn on_empty_database<Claim>(claim: impl FnOnce(TestDatabase) -> Claim)
where
    Claim: Future<Output = ()> + Send + 'static,
{
    let server = server_url();
    let name = format!("axs_t_{}", uuid::Uuid::now_v7().simple());
    maintain(&server, &format!("CREATE DATABASE {name}")).await;
    let test = TestDatabase::connect(in_database(&server, &name));
    let pools = test.pools.clone();
    // A task of its own: a claim that fails must not keep us from dropping the database.
    let outcome = tokio::spawn(claim(test)).await;
    pools.close().await;
    maintain(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    if let Err(failed) = outcome {
        std::panic::resume_unwind(failed.into_panic());
    }
}

fn server_url() -> String {
    std::env::var(DATABASE_URL).unwrap_or_else(|_| {
        panic!("{DATABASE_URL} must name a PostgreSQL server for tests; `make test` sets it")
    })
}

fn in_database(server: &str, name: &str) -> String {
    let mut url = url::Url::parse(server).expect("a database URL");
    url.set_path(name);
    url.into()
}

async fn maintain(server: &str, statement: &str) {
    let mut connection = PgConnection::connect(server)
        .await
        .unwrap_or_else(|error| panic!("the server that {DATABASE_URL} names: {error}"));
    connection
        .execute(AssertSqlSafe(statement))
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    connection.close().await.expect("closing a connection");
}

/// Bounds of a test: few connections, so that many tests run side by side.
fn settings(url: &str) -> DatabaseSettings {
    DatabaseSettings {
        url: url.to_owned(),
        writer_connections: 2,
        query_connections: 4,
        operations_connections: 2,
        connect_timeout: Duration::from_secs(10),
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(60),
        idle_in_transaction_timeout: Duration::from_secs(60),
        max_lifetime: Duration::from_secs(600),
    }
}
