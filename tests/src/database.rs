//! A database of one test's own, looked at from outside by SQL.

use crate::server::Servers;
use anyhow::{Context, Result};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use url::Url;

/// Connections for looking on; the processes have pools of their own.
const CONNECTIONS_MAX: u32 = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A database that is dropped with its test.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: Url,
    /// A small pool for looking on.
    pub pool: PgPool,
}

impl Database {
    /// Makes an empty database.
    ///
    /// # Errors
    /// The server is away or the user may not create databases.
    pub async fn create(servers: &Servers, name: &str) -> Result<Self> {
        run_on_server(servers, &format!("CREATE DATABASE {name}")).await?;
        Self::named(servers, name)
    }

    /// A copy of it as it stands, beside it. Whoever is connected to it is cut off.
    ///
    /// # Errors
    /// The server is away, or somebody connects again at once.
    pub async fn copy(&self, servers: &Servers) -> Result<Self> {
        let (this, copy) = (&self.name, format!("{}_copy", self.name));
        let cut = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{this}'"
        );
        run_on_server(servers, &cut).await?;
        run_on_server(servers, &format!("CREATE DATABASE {copy} TEMPLATE {this}")).await?;
        Self::named(servers, &copy)
    }

    fn named(servers: &Servers, name: &str) -> Result<Self> {
        let url = servers.database_named(name);
        let options = PgConnectOptions::from_str(url.as_str())?.disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(CONNECT_TIMEOUT)
            .connect_lazy_with(options);
        Ok(Self {
            name: name.to_owned(),
            url,
            pool,
        })
    }

    /// Drops the database, whoever is connected.
    ///
    /// # Errors
    /// The server is away.
    pub async fn drop_by_name(servers: &Servers, name: &str) -> Result<()> {
        run_on_server(
            servers,
            &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        )
        .await
    }

    /// One number, by a query without arguments.
    ///
    /// # Errors
    /// The query fails or gives something else.
    pub async fn number(&self, query: &'static str) -> Result<i64> {
        sqlx::query_scalar(query)
            .fetch_one(&self.pool)
            .await
            .with_context(|| query.to_owned())
    }

    /// A server setting as PostgreSQL itself reports it.
    ///
    /// # Errors
    /// The server is away or knows no such setting.
    pub async fn server_setting(&self, name: &str) -> Result<String> {
        sqlx::query_scalar("SELECT current_setting($1)")
            .bind(name)
            .fetch_one(&self.pool)
            .await
            .with_context(|| format!("current_setting({name})"))
    }

    /// How far PostgreSQL's clock is ahead of this machine's, in seconds, to about half a round
    /// trip.
    ///
    /// # Errors
    /// The server is away.
    pub async fn clock_skew(&self) -> Result<f64> {
        // The first question may have to connect; only the second is timed.
        self.number("SELECT 1::bigint").await?;
        let began = SystemTime::now();
        let theirs: f64 =
            sqlx::query_scalar("SELECT extract(epoch FROM clock_timestamp())::float8")
                .fetch_one(&self.pool)
                .await?;
        let ours = began + began.elapsed()? / 2;
        Ok(theirs - ours.duration_since(UNIX_EPOCH)?.as_secs_f64())
    }

    /// Accepted events without a final result: INIT, that is.
    ///
    /// # Errors
    /// The server is away.
    pub async fn pending_events(&self) -> Result<i64> {
        self.number("SELECT count(*) FROM balance_change_states WHERE status = 0")
            .await
    }

    /// Dead letters, as (partition, offset, reason).
    ///
    /// # Errors
    /// The server is away.
    pub async fn dead_letters(&self) -> Result<Vec<(i32, i64, String)>> {
        Ok(sqlx::query_as(
            "SELECT partition, record_offset, reason FROM dead_letters
             ORDER BY partition, record_offset",
        )
        .fetch_all(&self.pool)
        .await?)
    }
}

async fn run_on_server(servers: &Servers, statement: &str) -> Result<()> {
    // Names of databases can't be bound; ours are made of letters, digits and underscores.
    let options =
        PgConnectOptions::from_str(servers.database.as_str())?.disable_statement_logging();
    let mut connection = tokio::time::timeout(CONNECT_TIMEOUT, options.connect())
        .await
        .context("PostgreSQL does not answer")??;
    sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(&mut connection)
        .await
        .with_context(|| statement.to_owned())?;
    connection.close().await?;
    Ok(())
}
