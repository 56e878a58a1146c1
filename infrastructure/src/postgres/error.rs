//! The one place where errors of the database libraries become errors of the ports.

use super::pool::Database;
use axs_application::port::store_error::StoreError;
use sea_orm::{DbErr, RuntimeErr};
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

/// SQLSTATE classes and codes after which the same question may get an answer later.
///
/// | prefix | meaning |
/// |---|---|
/// | 08 | connection exception |
/// | 25P03 | idle in a transaction for too long |
/// | 28 | the server does not let us in |
/// | 3D000 | no such database |
/// | 40 | serialization failure, deadlock |
/// | 53 | out of connections, memory or disk |
/// | 55 | a lock could not be had in time, an object is in use |
/// | 57 | cancelled, timed out, shutting down |
/// | 58 | an error of the operating system |
const TRY_LATER: [&str; 9] = ["08", "25P03", "28", "3D000", "40", "53", "55", "57", "58"];

/// SQLSTATE classes and codes by which a server refuses a connection as it is asked for. Once a
/// process runs they are tried again like the others, since a person may be about to mend them; at
/// its start they are said at once.
///
/// | prefix | meaning |
/// |---|---|
/// | 28 | the role, its password, or where it comes from |
/// | 3D000 | no such database |
/// | 42501 | the role may not connect to the database |
const REFUSED: [(&str, &str); 3] = [
    (
        "28",
        "look at the role, at its password (with %40 for @, %2F for /, %23 for #, %3F for ?, %25 for %) and \
         at pg_hba.conf",
    ),
    (
        "3D000",
        "make it by CREATE DATABASE, with the role as its owner, or name another",
    ),
    (DENIED, "grant the role CONNECT on the database"),
];

/// insufficient_privilege: also told of single tables and functions.
const DENIED: &str = "42501";

/// What a person can do about a denied right.
const GRANT: &str = "the role of database.url lacks that right: make it the owner of the database and of \
                     what is in it, or grant it";

/// What a server says, with its SQLSTATE. sqlx's own words end with a line of PostgreSQL's source
/// code, which looks like one of the operator's files.
pub(super) fn words(refusal: &dyn DatabaseError) -> String {
    match refusal.code() {
        Some(code) => format!("{} ({code})", refusal.message()),
        None => refusal.message().to_owned(),
    }
}

fn words_of(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(refusal) => words(refusal.as_ref()),
        error => error.to_string(),
    }
}

/// Names one database in errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreName<'a> {
    /// The address without its password.
    pub(crate) address: &'a str,
}

impl<'a> StoreName<'a> {
    /// The name of the store behind these pools.
    pub(crate) fn of(database: &'a dyn Database) -> Self {
        Self {
            address: database.address(),
        }
    }

    /// What an error of sqlx means to the caller of a port.
    pub(crate) fn sqlx(self, error: &sqlx::Error) -> StoreError {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed
            | sqlx::Error::Configuration(_) => self.unavailable(words_of(error)),
            sqlx::Error::Database(refusal) if passes_by_itself(refusal.as_ref()) => {
                self.unavailable(words_of(error))
            }
            sqlx::Error::Database(refusal) if refusal.code().as_deref() == Some(DENIED) => {
                StoreError::Denied {
                    store: self.to_string(),
                    reason: format!("{}; {GRANT}", words(refusal.as_ref())),
                }
            }
            _ => self.corrupt(words_of(error)),
        }
    }

    /// What an error of sea-orm means to the caller of a port.
    pub(crate) fn orm(self, error: &DbErr) -> StoreError {
        match error {
            DbErr::Conn(RuntimeErr::SqlxError(inner))
            | DbErr::Exec(RuntimeErr::SqlxError(inner))
            | DbErr::Query(RuntimeErr::SqlxError(inner)) => self.sqlx(inner),
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => self.unavailable(error),
            _ => self.corrupt(error),
        }
    }

    /// What an error of a migration means to the caller of a port.
    pub(crate) fn migration(self, error: &MigrateError) -> StoreError {
        match error {
            MigrateError::Execute(inner) => self.sqlx(inner),
            MigrateError::ExecuteMigration(inner, version) => match self.sqlx(inner) {
                StoreError::Unavailable { store, reason } => StoreError::Unavailable {
                    store,
                    reason: format!("migration {version}: {reason}"),
                },
                StoreError::Denied { store, reason } => StoreError::Denied {
                    store,
                    reason: format!("migration {version}: {reason}"),
                },
                StoreError::Corrupt { store, reason } => StoreError::Corrupt {
                    store,
                    reason: format!("migration {version}: {reason}"),
                },
            },
            _ => self.corrupt(error),
        }
    }

    /// Waits for an answer, within `patience`, so that the caller of a server that vanished without
    /// a word is not held until the kernel notices. What was asked may have happened. For single
    /// statements only: a transaction that is given up at its BEGIN stays open on its connection.
    pub(crate) async fn answered<T>(
        self,
        patience: Duration,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::time::timeout(patience, question)
            .await
            .unwrap_or_else(|_| Err(self.no_answer(patience)))
    }

    /// The store did not answer in time. What was asked may have happened.
    pub(crate) fn no_answer(self, patience: Duration) -> StoreError {
        self.unavailable(format_args!("no answer within {patience:?}"))
    }

    /// The store is away, too slow or too busy.
    pub(crate) fn unavailable(self, reason: impl ToString) -> StoreError {
        StoreError::Unavailable {
            store: self.to_string(),
            reason: reason.to_string(),
        }
    }

    /// A column holds what can't be.
    pub(crate) fn invalid(
        self,
        column: &str,
        value: impl fmt::Display,
        error: impl fmt::Display,
    ) -> StoreError {
        self.corrupt(format_args!("{column} {value}: {error}"))
    }

    /// The store holds what can't be.
    pub(crate) fn corrupt(self, reason: impl ToString) -> StoreError {
        StoreError::Corrupt {
            store: self.to_string(),
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for StoreName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL at {}", self.address)
    }
}

fn passes_by_itself(refusal: &dyn DatabaseError) -> bool {
    refusal.code().is_some_and(|code| may_pass(&code))
}

/// Why the server, or what is asked of it, refuses the connection, and what to do; `None` for what
/// may pass by itself. Until a person changes something it always will.
pub(super) fn refusal(error: &sqlx::Error) -> Option<String> {
    let advice = match error {
        sqlx::Error::Database(refusal) => {
            let code = refusal.code()?;
            REFUSED
                .iter()
                .find(|(prefix, _)| code.starts_with(prefix))?
                .1
        }
        sqlx::Error::Tls(_) => TLS,
        // What the TLS library says of a certificate, or of an answer that is none.
        sqlx::Error::Io(broken) if broken.kind() == ErrorKind::InvalidData => TLS,
        _ => return None,
    };
    Some(format!("{}; {advice}", words_of(error)))
}

/// What a person can do about a server without TLS, or with another certificate.
const TLS: &str = "give the server what sslmode asks for, or choose another sslmode";

fn may_pass(code: &str) -> bool {
    TRY_LATER.iter().any(|prefix| code.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_by_itself_is_told_from_what_a_person_must_look_at() {
        let rows: &[(&str, bool)] = &[
            ("08006", true),  // connection failure
            ("25P03", true),  // idle in transaction for too long
            ("25006", false), // read-only transaction
            ("28P01", true),  // wrong password
            ("3D000", true),  // no such database
            ("40001", true),  // serialization failure
            ("40P01", true),  // deadlock
            ("53300", true),  // too many connections
            ("53100", true),  // disk full
            ("55P03", true),  // lock not available
            ("57014", true),  // cancelled by a timeout
            ("57P01", true),  // shut down by an administrator
            ("57P03", true),  // still starting
            ("22003", false), // a number out of range
            ("23505", false), // a key that is there already
            ("42P01", false), // no such table
            ("42804", false), // a wrong type
            ("XX001", false), // damaged data
        ];
        for (code, later) in rows {
            assert_eq!(may_pass(code), *later, "{code}");
        }
    }

    #[test]
    fn what_tls_can_not_agree_on_is_a_refusal_and_a_broken_connection_is_none() {
        let invalid = std::io::Error::new(ErrorKind::InvalidData, "invalid peer certificate");
        let broken = std::io::Error::new(ErrorKind::ConnectionReset, "reset");
        let no_tls = sqlx::Error::Tls("server does not support TLS".into());
        for error in [no_tls, sqlx::Error::Io(invalid)] {
            let told = refusal(&error).unwrap();
            assert!(told.contains("sslmode"), "{told}");
        }
        assert_eq!(refusal(&sqlx::Error::Io(broken)), None);
        assert_eq!(refusal(&sqlx::Error::PoolTimedOut), None);
    }

    #[test]
    fn a_pool_that_has_no_connection_in_time_is_unavailable_and_names_the_address() {
        let name = StoreName {
            address: "postgres://axs@db:5432/axs",
        };
        assert_eq!(
            name.sqlx(&sqlx::Error::PoolTimedOut),
            StoreError::Unavailable {
                store: "PostgreSQL at postgres://axs@db:5432/axs".to_owned(),
                reason: sqlx::Error::PoolTimedOut.to_string(),
            }
        );
    }

    #[test]
    fn a_row_that_is_not_what_the_statement_promises_is_corrupt() {
        let name = StoreName { address: "db" };
        let errors = [
            sqlx::Error::RowNotFound,
            sqlx::Error::ColumnNotFound("version".to_owned()),
        ];
        for error in errors {
            assert!(matches!(name.sqlx(&error), StoreError::Corrupt { .. }));
            let orm = DbErr::Query(RuntimeErr::SqlxError(error.into()));
            assert!(matches!(name.orm(&orm), StoreError::Corrupt { .. }));
        }
    }
}
