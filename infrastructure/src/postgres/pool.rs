//! The connections to PostgreSQL: four pools, so that one kind of work never waits for another.
//!
//! | pool | for | why it stands alone |
//! |---|---|---|
//! | writer | the batches of the processing side | a batch holds its connection for its whole transaction |
//! | log | rows of the change log whose keys are taken for new | a rush of reads must not delay what is accepted; its one statement is planned once |
//! | queries | reads, whatever people ask for | a rush of requests must not delay a batch |
//! | operations | leases, heartbeats, the registry, migrations | a slow batch or a rush must not cost a lease |

use super::error::{StoreName, refusal};
use super::socket;
use async_trait::async_trait;
use axs_application::port::store_error::StoreError;
use sea_orm::{DatabaseConnection, SqlxPostgresConnector};
use shaku::{Component, Interface};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use std::str::FromStr;
use std::time::{Duration, Instant};
use std::{fmt, io};

/// Connections of the log pool: a process has two commits of the log under way, and some may have
/// been given up and not yet be done.
const LOG_CONNECTIONS: u32 = 4;

/// How much longer than the server's own limits an answer may be on its way.
const PATIENCE_MARGIN: Duration = Duration::from_secs(2);

/// The pause between two attempts of [`Database::verify`].
const VERIFY_PAUSE: Duration = Duration::from_millis(250);

/// How long [`Database::verify`] waits in silence while the reason stays the same.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The encoding that a database must have: texts of clients come back as they were sent.
const ENCODING: &str = "UTF8";

/// Why a server is not used for anything.
const STANDBY: &str = "it is a standby, which may lag; AXS uses the primary only";

/// How a database URL may begin.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// How the server is reached, and within which bounds.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// `postgres://user:password@host:port/database`; a folder of a Unix socket may stand for the
    /// host, percent-encoded.
    pub url: String,
    /// The most connections of the writer pool.
    pub writer_connections: u32,
    /// The most connections of the query pool.
    pub query_connections: u32,
    /// The most connections of the operations pool.
    pub operations_connections: u32,
    /// How long one attempt to connect may take in [`Database::verify`].
    pub connect_timeout: Duration,
    /// How long a caller waits for a connection of a pool, connecting included.
    pub acquire_timeout: Duration,
    /// How long the server works on one statement before it gives up.
    pub statement_timeout: Duration,
    /// How long the server lets a transaction wait for its next statement before it ends the
    /// connection: a frozen process must not hold locks.
    pub idle_in_transaction_timeout: Duration,
    /// How long a connection lives before it is made anew.
    pub max_lifetime: Duration,
}

/// The address is not printed: it may hold a password.
impl fmt::Debug for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseSettings")
            .field("writer_connections", &self.writer_connections)
            .field("query_connections", &self.query_connections)
            .field("operations_connections", &self.operations_connections)
            .field("connect_timeout", &self.connect_timeout)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field(
                "idle_in_transaction_timeout",
                &self.idle_in_transaction_timeout,
            )
            .field("max_lifetime", &self.max_lifetime)
            .finish_non_exhaustive()
    }
}

/// The address can't be read. The text names the reason and never the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the database address can't be read: {reason}")]
pub struct DatabaseUrlError {
    /// What is wrong with it.
    pub reason: String,
}

/// Gives the adapters their connections.
///
/// # Contract
/// - A commit is on disk before it is answered, whatever the server's own defaults are.
/// - A connection whose server vanished fails within half a minute and frees its place.
/// - Every session has its timeouts set, plans each statement for the values it is given (once for
///   all values in the log pool), works in UTC and never compiles a plan (JIT costs more than these
///   statements take).
#[async_trait]
pub trait Database: Interface {
    /// Connections for batches.
    fn writer(&self) -> &PgPool;

    /// Connections for statements that add rows to the change log and read no table, so that one
    /// plan is as good for 1 row as for 20,000.
    fn log(&self) -> &PgPool;

    /// Connections for reading, and for logging by statements that read.
    fn queries(&self) -> &PgPool;

    /// Connections for leases, heartbeats and migrations.
    fn operations(&self) -> &PgPool;

    /// The query pool, for sea-orm.
    fn orm(&self) -> &DatabaseConnection;

    /// The server's address without its password, for messages.
    fn address(&self) -> &str;

    /// How long to wait for the answer to one question: longer than the server works on a
    /// statement and a caller waits for a connection.
    fn patience(&self) -> Duration;

    /// Waits until the server lets us in, at most `within`. The first attempt has the whole
    /// [`DatabaseSettings::connect_timeout`], however short that is.
    ///
    /// # Errors
    /// [`VerifyError`], with the address and the last reason.
    async fn verify(&self, within: Duration) -> Result<(), VerifyError>;
}

/// Why the server did not let us in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The server is there and refuses the role, its password, the database or the TLS that is
    /// asked for, or the database has another encoding: until a person changes something it always
    /// will, so nothing was waited for.
    #[error("{store} refuses the connection: {reason}")]
    Refused {
        /// Which server, without the password.
        store: String,
        /// What the server said, and what to do.
        reason: String,
    },
    /// It did not answer in time, or something else went wrong until then.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// The pools, lazily connected: making them reaches for no server.
#[derive(Clone)]
pub struct PgPools {
    writer: PgPool,
    log: PgPool,
    queries: PgPool,
    operations: PgPool,
    orm: DatabaseConnection,
    connect: PgConnectOptions,
    connect_timeout: Duration,
    patience: Duration,
    address: String,
}

impl PgPools {
    /// Makes the pools. Must be called inside a Tokio runtime, which tends them.
    ///
    /// # Errors
    /// [`DatabaseUrlError`] when the address can't be read.
    pub fn try_new(settings: &DatabaseSettings) -> Result<Self, DatabaseUrlError> {
        let refused = |reason: String| DatabaseUrlError { reason };
        // The library reads any scheme as its own.
        if !SCHEMES
            .iter()
            .any(|scheme| settings.url.starts_with(scheme))
        {
            return Err(refused(format!("it begins with none of {SCHEMES:?}")));
        }
        let connect = PgConnectOptions::from_str(&settings.url)
            .map_err(|error| refused(error.to_string()))?
            .application_name("axs")
            .options(session_options(settings))
            .disable_statement_logging();
        let pool = |connections: u32, server: &PgConnectOptions| {
            let options = server.clone();
            let server = server.clone();
            PgPoolOptions::new()
                .after_connect(move |connection, _| {
                    let server = server.clone();
                    Box::pin(async move {
                        socket::bound_silence(&server).await;
                        refuse_standby(connection).await
                    })
                })
                .max_connections(connections)
                .acquire_timeout(settings.acquire_timeout)
                .max_lifetime(settings.max_lifetime)
                .connect_lazy_with(options)
        };
        // Planning anew costs a statement of few rows as much as adding them. The later option
        // counts.
        let planned_once = connect
            .clone()
            .options([("plan_cache_mode", "force_generic_plan")]);
        let queries = pool(settings.query_connections, &connect);
        Ok(Self {
            writer: pool(settings.writer_connections, &connect),
            log: pool(LOG_CONNECTIONS, &planned_once),
            operations: pool(settings.operations_connections, &connect),
            orm: SqlxPostgresConnector::from_sqlx_postgres_pool(queries.clone()),
            queries,
            address: printable_address(&connect),
            connect_timeout: settings.connect_timeout,
            patience: settings.acquire_timeout + settings.statement_timeout + PATIENCE_MARGIN,
            connect,
        })
    }

    /// Waits until every connection is given back and closed.
    pub async fn close(&self) {
        self.writer.close().await;
        self.log.close().await;
        self.queries.close().await;
        self.operations.close().await;
    }
}

/// [`Database`] over [`PgPools`].
#[derive(Component)]
#[shaku(interface = Database)]
pub struct PgDatabase {
    /// The pools.
    #[shaku(default = unreachable!("the pools are given by whoever builds the container"))]
    pools: PgPools,
}

impl PgDatabase {
    /// The database behind these pools.
    #[must_use]
    pub const fn new(pools: PgPools) -> Self {
        Self { pools }
    }
}

#[async_trait]
impl Database for PgDatabase {
    fn writer(&self) -> &PgPool {
        &self.pools.writer
    }

    fn log(&self) -> &PgPool {
        &self.pools.log
    }

    fn queries(&self) -> &PgPool {
        &self.pools.queries
    }

    fn operations(&self) -> &PgPool {
        &self.pools.operations
    }

    fn orm(&self) -> &DatabaseConnection {
        &self.pools.orm
    }

    fn address(&self) -> &str {
        &self.pools.address
    }

    fn patience(&self) -> Duration {
        self.pools.patience
    }

    async fn verify(&self, within: Duration) -> Result<(), VerifyError> {
        let name = StoreName {
            address: self.address(),
        };
        let until = Instant::now() + within;
        let refused = |reason: String| VerifyError::Refused {
            store: name.to_string(),
            reason,
        };
        let mut told: Option<(Instant, String)> = None;
        let mut bound = self.pools.connect_timeout;
        loop {
            // A pool's own wait hides the reason behind "timed out": connect without it.
            let attempt = async {
                let mut connection = self.pools.connect.connect().await?;
                let encoding: String = sqlx::query_scalar("SHOW server_encoding")
                    .fetch_one(&mut connection)
                    .await?;
                refuse_standby(&mut connection).await?;
                connection.close().await?;
                Ok(encoding)
            };
            let reason = match tokio::time::timeout(bound, attempt).await {
                Ok(Ok(encoding)) if encoding == ENCODING => return Ok(()),
                Ok(Ok(encoding)) => return Err(refused(other_encoding(&encoding))),
                Ok(Err(error)) => match refusal(&error) {
                    Some(reason) => return Err(refused(reason)),
                    None => name.sqlx(&error),
                },
                Err(_) => name.unavailable(format_args!("no answer within {bound:?}")),
            };
            if Instant::now() + VERIFY_PAUSE >= until {
                return Err(reason.into());
            }
            let reason = reason.to_string();
            let known = told.as_ref().is_some_and(|(told_at, told_reason)| {
                *told_reason == reason && told_at.elapsed() < TELL_AGAIN_AFTER
            });
            if !known {
                tracing::warn!(reason, "waiting for the database");
                told = Some((Instant::now(), reason));
            }
            tokio::time::sleep(VERIFY_PAUSE).await;
            let left = until.saturating_duration_since(Instant::now());
            bound = self.pools.connect_timeout.min(left);
        }
    }
}

/// A standby may lag, and what is committed is read by statements that it would answer. A server
/// does not become one while connections to it stand, so asking once for each is enough.
async fn refuse_standby(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()")
        .fetch_one(connection)
        .await?;
    if standby {
        return Err(sqlx::Error::Io(io::Error::other(STANDBY)));
    }
    Ok(())
}

/// What every session is told as it starts, in the packet that opens it: no round trip of its own.
fn session_options(settings: &DatabaseSettings) -> Vec<(&'static str, String)> {
    let millis = |duration: Duration| duration.as_millis().to_string();
    vec![
        ("statement_timeout", millis(settings.statement_timeout)),
        (
            "idle_in_transaction_session_timeout",
            millis(settings.idle_in_transaction_timeout),
        ),
        // A plan made for one row must not be reused for 20,000.
        ("plan_cache_mode", "force_custom_plan".to_owned()),
        // What is acknowledged survives a crash, whatever the server, the database or the role
        // says.
        ("synchronous_commit", "on".to_owned()),
        ("jit", "off".to_owned()),
        ("timezone", "UTC".to_owned()),
        // A peer that vanished is noticed in less than half a minute, and its locks are freed.
        ("tcp_keepalives_idle", "10".to_owned()),
        ("tcp_keepalives_interval", "5".to_owned()),
        ("tcp_keepalives_count", "3".to_owned()),
    ]
}

fn other_encoding(encoding: &str) -> String {
    format!(
        "the database's encoding is {encoding}, and AXS needs {ENCODING}; make another by \
         CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
    )
}

fn printable_address(connect: &PgConnectOptions) -> String {
    let database = connect.get_database().unwrap_or("");
    let user = connect.get_username();
    match connect.get_socket() {
        Some(socket) => format!("postgres://{user}@{}/{database}", socket.display()),
        None => format!(
            "postgres://{user}@{}:{}/{database}",
            connect.get_host(),
            connect.get_port()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn settings(url: &str) -> DatabaseSettings {
        DatabaseSettings {
            url: url.to_owned(),
            writer_connections: 1,
            query_connections: 1,
            operations_connections: 1,
            connect_timeout: Duration::from_secs(1),
            acquire_timeout: Duration::from_secs(1),
            statement_timeout: Duration::from_secs(1),
            idle_in_transaction_timeout: Duration::from_secs(1),
            max_lifetime: Duration::from_secs(60),
        }
    }

    #[tokio::test]
    async fn the_address_for_messages_has_no_password() {
        let settings = settings("postgres://axs:secret@db.example:6432/ledger");
        let database = PgDatabase::new(PgPools::try_new(&settings).unwrap());
        assert_eq!(database.address(), "postgres://axs@db.example:6432/ledger");
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[tokio::test]
    async fn an_address_that_is_no_url_is_refused_without_being_printed() {
        let error = PgPools::try_new(&settings("axs:secret@nowhere"))
            .err()
            .unwrap();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[tokio::test]
    async fn a_server_without_tls_is_refused_at_once_when_tls_is_asked_for() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // As PostgreSQL with ssl = off answers the request for TLS.
        tokio::spawn(async move {
            loop {
                let (mut asked, _) = listener.accept().await.unwrap();
                let mut request = [0_u8; 8];
                asked.read_exact(&mut request).await.unwrap();
                asked.write_all(b"N").await.unwrap();
            }
        });
        let url = format!("postgres://axs@127.0.0.1:{port}/ledger?sslmode=require");
        let database = PgDatabase::new(PgPools::try_new(&settings(&url)).unwrap());
        let refused = database.verify(Duration::from_secs(60)).await;
        let Err(VerifyError::Refused { reason, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert!(reason.contains("TLS"), "{reason}");
        assert!(reason.contains("sslmode"), "{reason}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_within_the_bound() {
        // A port that was free a moment ago: nobody listens there.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let url = format!("postgres://axs:secret@127.0.0.1:{port}/ledger");
        let database = PgDatabase::new(PgPools::try_new(&settings(&url)).unwrap());
        let error = database
            .verify(Duration::from_millis(600))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&format!(
                "postgres://axs@127.0.0.1:{port}/ledger is unavailable"
            )),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
    }
}
