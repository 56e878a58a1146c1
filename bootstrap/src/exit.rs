//! How the process ends, for scripts that look at the exit code.

use crate::settings::SettingsError;
use axs_application::port::store_error::StoreError;
use axs_application::usecase::vital_tasks::TaskDeath;
use std::process::ExitCode;

/// Exit code of a command that did its work and found something off.
pub const OFF: u8 = 1;
/// Exit code of wrong arguments or settings (clap uses the same): trying again as it is never helps.
pub const USAGE: u8 = 2;
/// Exit code of what could not be done now: a server is away or refuses, or the state of the system
/// does not allow it.
pub const UNAVAILABLE: u8 = 3;
/// Exit code of a server process one of whose tasks died: start it again, and report the fault.
pub const FAULT: u8 = 4;
/// Exit code of a process that a signal, or the deadline after it, ended before it was done, as shells
/// give it.
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
    let usage = |cause: &(dyn std::error::Error + 'static)| {
        let denied = matches!(cause.downcast_ref(), Some(StoreError::Denied { .. }));
        cause.is::<SettingsError>() || cause.is::<UsageError>() || denied
    };
    if error.chain().any(usage) {
        USAGE
    } else if error.is::<TaskDeath>() {
        FAULT
    } else {
        UNAVAILABLE
    }
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
        let denied = StoreError::Denied {
            store: "PostgreSQL".to_owned(),
            reason: "permission denied".to_owned(),
        };
        let rows = [
            (died().into(), FAULT),
            (dead.unwrap_err(), FAULT),
            (wrong().into(), USAGE),
            (around.unwrap_err(), USAGE),
            (SettingsError::at("database.url")("no").into(), USAGE),
            (denied.into(), USAGE),
            (anyhow!("PostgreSQL is away"), UNAVAILABLE),
        ];
        for (error, code) in rows {
            assert_eq!(error_code(&error), code, "{error:#}");
        }
    }
}
