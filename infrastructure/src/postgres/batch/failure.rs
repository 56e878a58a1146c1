//! The one place where errors of sqlx become errors of the batch writer.

use crate::postgres::error::words;
use axs_application::port::batch_writer::WriteError;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// How far a batch had come when it failed. It decides what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// COMMIT was not sent: nothing was written, whatever happened.
    BeforeCommit,
    /// COMMIT was sent and its answer is missing or bad.
    Commit,
}

/// What an error of sqlx means, by phase.
///
/// | error | before COMMIT | at COMMIT |
/// |---|---|---|
/// | SQLSTATE 22, 23 | refused data | refused data |
/// | any other answer of level ERROR | try again | try again: the server rolled back |
/// | level FATAL or PANIC, a lost connection, anything else | try again | outcome unknown |
pub(super) fn write_error(error: &sqlx::Error, phase: Phase) -> WriteError {
    match (phase, error) {
        (Phase::BeforeCommit, sqlx::Error::Database(refusal)) => refused(refusal.as_ref()),
        // A FATAL answer may come between the commit and its confirmation.
        (Phase::Commit, sqlx::Error::Database(refusal)) if is_level_error(refusal.as_ref()) => {
            refused(refusal.as_ref())
        }
        (Phase::BeforeCommit, _) => WriteError::Retryable(error.to_string()),
        (Phase::Commit, _) => WriteError::OutcomeUnknown(error.to_string()),
    }
}

/// feature_not_supported: also told of a kept statement whose result would have other types since a
/// migration. A fresh connection has none.
const PLAN_OUTDATED: &str = "0A000";

/// Whether the server answered, and the connection can go on after a ROLLBACK.
pub(super) fn leaves_connection_sound(error: &sqlx::Error) -> bool {
    let sound = |refusal: &dyn DatabaseError| {
        is_level_error(refusal) && refusal.code().as_deref() != Some(PLAN_OUTDATED)
    };
    matches!(error, sqlx::Error::Database(refusal) if sound(refusal.as_ref()))
}

/// Whether the server did not get a lock in time.
pub(crate) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(refusal) if refusal.code().as_deref() == Some("55P03"))
}

fn is_level_error(refusal: &dyn DatabaseError) -> bool {
    refusal
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|refusal| refusal.severity() == PgSeverity::Error)
}

fn refused(refusal: &dyn DatabaseError) -> WriteError {
    let sqlstate = refusal.code().unwrap_or_default();
    let is_about_data = ["22", "23"].iter().any(|class| sqlstate.starts_with(class));
    if is_about_data {
        WriteError::RefusedData {
            sqlstate: sqlstate.into_owned(),
            message: refusal.message().to_owned(),
        }
    } else {
        WriteError::Retryable(words(refusal))
    }
}
