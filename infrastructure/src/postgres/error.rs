//! The one place where errors of the database libraries become errors of the ports.

use super::pool::Database;
use axs_application::port::store_error::StoreError;
use sea_orm::{DbErr, RuntimeErr};
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use std::fmt;

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
            | sqlx::Error::Configuration(_) => self.unavailable(error),
            sqlx::Error::Database(refusal) if passes_by_itself(refusal.as_ref()) => {
                self.unavailable(error)
            }
            _ => self.corrupt(error),
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
                StoreError::Corrupt { store, reason } => StoreError::Corrupt {
                    store,
                    reason: format!("migration {version}: {reason}"),
                },
            },
            _ => self.corrupt(error),
        }
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
    refusal
        .code()
        .is_some_and(|code| TRY_LATER.iter().any(|prefix| code.starts_with(prefix)))
}
