//! One file a subcommand. Each makes the clients it needs, stacks the layers and resolves the one
//! or few use cases it drives, or the port where one plain call is all; nothing else resolves
//! anything.

mod accounts;
mod cache;
mod consumer;
mod currencies;
mod dead_letters;
mod grpc;
mod layout;
mod layout_change;
mod metric_help;
mod migrate;
mod serving;
mod start;
mod submit;
mod verify;

use crate::cli::Command;
use crate::exit::Ending;
use crate::settings::Settings;

/// Runs the command.
///
/// # Errors
/// What kept it from doing its work, with its causes.
pub async fn run(command: &Command, settings: Settings) -> anyhow::Result<Ending> {
    match command {
        Command::Grpc => grpc::run(settings).await,
        Command::Consumer => consumer::run(settings).await,
        Command::Migrate => migrate::run(settings).await,
        Command::Layout(command) => layout::run(command, settings).await,
        Command::Accounts(command) => accounts::run(command, settings).await,
        Command::Currencies(command) => currencies::run(command, settings).await,
        Command::Cache(command) => cache::run(command, settings).await,
        Command::Submit(args) => submit::run(args, settings).await,
        Command::DeadLetters(command) => dead_letters::run(command, settings).await,
        Command::Verify(args) => verify::run(args, settings).await,
    }
}
