//! `bootstrap dead-letters`: dead records and parked events, for people.

mod event;
mod list;
mod select;
mod settle;
mod show;

use super::start::{check_topics, wait_for_schema};
use crate::cli::DeadLettersCommand;
use crate::exit::Ending;
use crate::module::clients::Clients;
use crate::module::layers::Layers;
use crate::settings::Settings;

/// Lists, shows, redrives or discards.
///
/// # Errors
/// Arguments that can't be, or a server that is away; what was done before stays done.
pub async fn run(command: &DeadLettersCommand, settings: Settings) -> anyhow::Result<Ending> {
    // Whatever can be wrong with the arguments is found before a server is asked.
    match command {
        DeadLettersCommand::List(args) => {
            let filter = list::filter(args)?;
            let layers = with_database(settings).await?;
            list::run(args, filter, &layers).await
        }
        DeadLettersCommand::Show(args) => {
            let layers = with_database(settings).await?;
            show::run(args, &layers).await
        }
        DeadLettersCommand::Redrive(args) => {
            let task = settle::Task::redrive(args)?;
            let layers = with_database(settings).await?;
            settle::run(task, &layers).await
        }
        DeadLettersCommand::Discard(args) => {
            let task = settle::Task::discard(args)?;
            let layers = with_database(settings).await?;
            // A discarded event has its result there.
            check_topics(&layers).await?;
            settle::run(task, &layers).await
        }
    }
}

async fn with_database(settings: Settings) -> anyhow::Result<Layers> {
    // The producer of results is made because the use case holds one; only a discard asks it.
    let clients = Clients::default()
        .with_database(&settings)?
        .with_results(&settings)?;
    let layers = Layers::stack(settings, clients)?;
    wait_for_schema(&layers).await?;
    Ok(layers)
}
