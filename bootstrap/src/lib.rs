//! The one binary of AXS: command line, settings, wiring.
//!
//! | subcommand | root it resolves | what it builds |
//! |---|---|---|
//! | `grpc` | Api | everything on the write and read side |
//! | `consumer` | Service | everything on the processing side |
//! | `submit` | Service | the write side, without a server |
//! | `accounts`, `currencies`, `layout` | Service | PostgreSQL, and Kafka for `layout init` |
//! | `dead-letters` | Service, Repo | PostgreSQL, and Kafka for the results of `discard` |
//! | `verify` | Service | PostgreSQL and Redis |
//! | `migrate` | Repo | PostgreSQL |

mod cli;
mod command;
mod exit;
mod failpoint;
mod logging;
mod module;
mod settings;
mod signal;

use clap::Parser;
use std::process::ExitCode;

/// The program: reads the command line, does what it says, and tells the exit code.
#[must_use]
pub fn main() -> ExitCode {
    exit::code_of(run(&cli::Cli::parse()))
}

fn run(cli: &cli::Cli) -> Result<exit::Ending, anyhow::Error> {
    let strays = settings::Strays::here().map_err(settings::SettingsError::from)?;
    let settings = settings::Settings::load(cli.config.as_deref(), &strays)?;
    logging::start(&settings.log)?;
    for stray in &strays.unknown {
        tracing::warn!("{stray}");
    }
    failpoint::arm()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ending = runtime.block_on(command::run(&cli.command, settings));
    // What still hangs on a dead server must not hold the process: everything that matters was
    // awaited above.
    runtime.shutdown_background();
    ending
}
