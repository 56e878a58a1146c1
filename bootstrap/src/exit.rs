//! How the process ends, for scripts that look at the exit code.

use crate::settings::SettingsError;
use axs_application::usecase::vital_tasks::TaskDeath;
use std::process::ExitCode;

/// Exit code of a command that did its work and found something off.
pub const OFF: u8 = 1;
/// Exit code of wrong usage or settings (clap uses the same).
pub const USAGE: u8 = 2;
/// Exit code when a server is away, too old or refuses.
pub const UNAVAILABLE: u8 = 3;

/// Exit code of a server process one of whose tasks died: start it again, and report the fault.
pub const FAULT: u8 = 4;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All is well.
    Fine,
    /// The work was done, and something is off: differences found, items refused.
    Off,
}

/// The user asked for something that can't be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// Turns an ending into an exit code and prints errors with their causes.
#[expect(
    clippy::print_stderr,
    reason = "the last word of a command goes to the person who ran it"
)]
pub fn code_of(ending: Result<Ending, anyhow::Error>) -> ExitCode {
    match ending {
        Ok(Ending::Fine) => ExitCode::SUCCESS,
        Ok(Ending::Off) => ExitCode::from(OFF),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<SettingsError>() || error.is::<UsageError>() {
                USAGE
            } else if error.is::<TaskDeath>() {
                FAULT
            } else {
                UNAVAILABLE
            })
        }
    }
}
