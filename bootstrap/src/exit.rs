//! How the process ends, for scripts that look at the exit code.

use crate::settings::SettingsError;
use axs_application::port::event_topic::BrokerError;
use axs_application::port::layout_change::LayoutChangeError;
use axs_application::port::store_error::StoreError;
use axs_application::usecase::change_layout::ChangeLayoutError;
use axs_application::usecase::layout_lookup::LayoutLookupError;
use axs_application::usecase::make_layout::MakeLayoutError;
use axs_application::usecase::read_balances::ReadBalancesError;
use axs_application::usecase::submit_balance_changes::SubmitError;
use axs_application::usecase::verify_ledger::VerifyError;
use axs_application::usecase::vital_tasks::TaskDeath;
use std::error::Error;
use std::process::ExitCode;

/// Exit code of a command that did its work and found something off.
pub const OFF: u8 = 1;
/// Exit code of wrong arguments or settings (clap uses the same), and of what a server refuses for
/// a setting or a right that a person has to change: trying again as it is never helps.
pub const USAGE: u8 = 2;
/// Exit code of what could not be done now: a server is away or refuses, or the state of the system
/// does not allow it.
pub const UNAVAILABLE: u8 = 3;
/// Exit code of a server process one of whose tasks died: start it again, and report the fault.
pub const FAULT: u8 = 4;
/// Exit code of a process that a signal, or the deadline after it, ended before it was done, as
/// shells give it.
pub const CUT_OFF: u8 = 130;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All is well.
    Fine,
    /// The work was done, and something is off: differences found, items refused.
    Off,
    /// A part of the work could not be done now; what was done is well, and was told.
    Unfinished,
    /// A signal came before the work was done; what was done was told.
    Interrupted,
}

/// The user asked for something that can't be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// What is wrong with the arguments or the settings stands somewhere among the causes, with or
/// without words around it.
fn error_code(error: &anyhow::Error) -> u8 {
    let usage = |cause: &(dyn Error + 'static)| {
        cause.is::<SettingsError>() || cause.is::<UsageError>() || is_refused_for_good(cause)
    };
    if error.chain().any(usage) {
        USAGE
    } else if error.is::<TaskDeath>() {
        FAULT
    } else {
        UNAVAILABLE
    }
}

/// Whether a server refused it for a setting or a right.
///
/// A use case passes on what a port said as its own (`#[error(transparent)]`), and then the port's
/// error is none of the causes: it is looked for inside.
fn is_refused_for_good(cause: &(dyn Error + 'static)) -> bool {
    of_store(cause.downcast_ref())
        || of_broker(cause.downcast_ref())
        || match cause.downcast_ref() {
            Some(MakeLayoutError::Store(error)) => of_store(Some(error)),
            Some(
                MakeLayoutError::Broker(error) | MakeLayoutError::NotClaimed { failure: error, .. },
            ) => of_broker(Some(error)),
            _ => false,
        }
        || cause.downcast_ref().is_some_and(of_change)
        || matches!(cause.downcast_ref(), Some(LayoutLookupError::Store(error)) if of_store(Some(error)))
        || matches!(cause.downcast_ref(), Some(ReadBalancesError::Store(error)) if of_store(Some(error)))
        || matches!(cause.downcast_ref(), Some(VerifyError::Store(error)) if of_store(Some(error)))
        || matches!(cause.downcast_ref(), Some(SubmitError::Denied(_)))
}

/// Not of a pause that stands: the same command again, or another, takes it back.
fn of_change(error: &ChangeLayoutError) -> bool {
    match error {
        ChangeLayoutError::Store(error)
        | ChangeLayoutError::Change(LayoutChangeError::Store(error)) => of_store(Some(error)),
        ChangeLayoutError::Broker(error) => of_broker(Some(error)),
        _ => false,
    }
}

const fn of_store(error: Option<&StoreError>) -> bool {
    matches!(error, Some(StoreError::Denied { .. }))
}

const fn of_broker(error: Option<&BrokerError>) -> bool {
    matches!(error, Some(BrokerError::Refused { .. }))
}

/// Turns an ending into an exit code and prints errors with their causes.
#[expect(
    clippy::print_stderr,
    reason = "the last word of a command goes to the person who ran it"
)]
pub fn code_of(ending: Result<Ending, anyhow::Error>) -> ExitCode {
    match ending {
        Ok(Ending::Fine) => ExitCode::SUCCESS,
        Ok(Ending::Off) => ExitCode::from(OFF),
        Ok(Ending::Unfinished) => ExitCode::from(UNAVAILABLE),
        Ok(Ending::Interrupted) => ExitCode::from(CUT_OFF),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(error_code(&error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn what_the_operator_has_to_change_is_told_from_what_may_pass() {
        let wrong = || UsageError("--pool x".to_owned());
        let around: anyhow::Result<()> = Err(wrong()).context("the layout");
        let died = || TaskDeath {
            task: "work",
            reason: "it panicked".to_owned(),
        };
        let dead: anyhow::Result<()> = Err(died()).context("the consumer");
        let denied = || StoreError::Denied {
            store: "PostgreSQL".to_owned(),
            reason: "permission denied".to_owned(),
        };
        let refused = || BrokerError::Refused {
            brokers: "kafka:9092".to_owned(),
            reason: "InvalidReplicationFactor".to_owned(),
        };
        let away = || StoreError::Unavailable {
            store: "PostgreSQL".to_owned(),
            reason: "connection refused".to_owned(),
        };
        let still_paused = ChangeLayoutError::StillPaused {
            cause: Box::new(refused().into()),
            why: "PostgreSQL is away".to_owned(),
        };
        let not_claimed = MakeLayoutError::NotClaimed {
            topic: "events".to_owned(),
            failure: refused(),
        };
        let rows = [
            (died().into(), FAULT),
            (dead.unwrap_err(), FAULT),
            (wrong().into(), USAGE),
            (around.unwrap_err(), USAGE),
            (SettingsError::at("database.url")("no").into(), USAGE),
            (denied().into(), USAGE),
            (MakeLayoutError::from(denied()).into(), USAGE),
            (MakeLayoutError::from(refused()).into(), USAGE),
            (not_claimed.into(), USAGE),
            (ChangeLayoutError::from(denied()).into(), USAGE),
            (
                ChangeLayoutError::from(LayoutChangeError::from(denied())).into(),
                USAGE,
            ),
            (still_paused.into(), UNAVAILABLE),
            (LayoutLookupError::from(denied()).into(), USAGE),
            (ReadBalancesError::from(denied()).into(), USAGE),
            (VerifyError::from(denied()).into(), USAGE),
            (SubmitError::from(denied()).into(), USAGE),
            (MakeLayoutError::from(away()).into(), UNAVAILABLE),
            (ChangeLayoutError::from(away()).into(), UNAVAILABLE),
            (anyhow!("PostgreSQL is away"), UNAVAILABLE),
        ];
        for (error, code) in rows {
            assert_eq!(error_code(&error), code, "{error:#}");
        }
    }
}
