//! `bootstrap accounts`: opening and showing accounts.

use super::start::wait_for_schema;
use crate::cli::AccountsCommand;
use crate::exit::{Ending, UsageError};
use crate::module::clients::Clients;
use crate::module::layers::Layers;
use crate::settings::Settings;
use axs_application::port::account_directory::AccountDirectory;
use axs_application::usecase::open_accounts::{AccountToOpen, OpenAccountOutcome, OpenAccounts};
use axs_application::usecase::read_balances::{
    BalanceQuery, BalancesOutcome, ReadBalances, ReadConsistency,
};
use axs_domain::id::{AccountId, UserId};
use axs_domain::text::PoolName;
use shaku::HasComponent;
use std::fmt::Display;

/// Opens or shows an account.
///
/// # Errors
/// An id that can't be, or a server that is away.
#[expect(clippy::print_stdout, reason = "the command's own output")]
pub async fn run(command: &AccountsCommand, settings: Settings) -> anyhow::Result<Ending> {
    match command {
        AccountsCommand::Open {
            account,
            user,
            pool,
        } => {
            let account = AccountToOpen {
                account_id: AccountId::try_new(*account).map_err(|e| wrong("--account", e))?,
                user_id: UserId::try_new(*user).map_err(|e| wrong("--user", e))?,
                pool: PoolName::parse(pool).map_err(|e| wrong("--pool", e))?,
            };
            let clients = Clients::default().with_database(&settings)?;
            let layers = Layers::stack(settings, clients)?;
            wait_for_schema(&layers).await?;
            let open: &dyn OpenAccounts = layers.service.resolve_ref();
            Ok(open
                .open(vec![account])
                .await?
                .into_iter()
                .fold(Ending::Fine, print_opened))
        }
        AccountsCommand::Show { account } => {
            let account = AccountId::try_new(*account).map_err(|e| wrong("--account", e))?;
            // The cache's client is made because the use case holds one; a committed read does
            // not ask it.
            let clients = Clients::default()
                .with_database(&settings)?
                .with_cache(&settings)?;
            let layers = Layers::stack(settings, clients)?;
            wait_for_schema(&layers).await?;
            let directory: &dyn AccountDirectory = layers.repo.resolve_ref();
            for account in directory.find(vec![account]).await?.accounts {
                // It never changes, so it need not be of the moment of the balances.
                println!(
                    "account {} of user {}: pool {}, shard {}",
                    account.account_id, account.user_id, account.pool, account.shard_id
                );
            }
            let read: &dyn ReadBalances = layers.service.resolve_ref();
            let query = BalanceQuery {
                account_ids: vec![account],
                currencies: Vec::new(),
                consistency: ReadConsistency::Committed,
            };
            let outcomes = read.read(query).await?;
            if outcomes.is_empty() {
                println!("account {account}: no answer");
            }
            Ok(outcomes.into_iter().fold(Ending::Fine, print_balances))
        }
    }
}

fn wrong<E: Display>(flag: &str, error: E) -> UsageError {
    UsageError(format!("{flag} {error}"))
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_opened(ending: Ending, outcome: OpenAccountOutcome) -> Ending {
    match outcome {
        OpenAccountOutcome::Open { account, created } => {
            println!(
                "account {} of user {}: {} in pool {}, shard {}",
                account.account_id,
                account.user_id,
                if created {
                    "opened"
                } else {
                    "was open already"
                },
                account.pool,
                account.shard_id
            );
            ending
        }
        OpenAccountOutcome::Refused(refusal) => {
            println!("refused: {}", refusal.message);
            Ending::Off
        }
    }
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_balances(ending: Ending, outcome: BalancesOutcome) -> Ending {
    match outcome {
        BalancesOutcome::Found(found) => {
            println!(
                "{:<16} {:>38} {:>38} {:>12}",
                "currency", "available", "frozen", "version"
            );
            for (currency, stored) in found.balances {
                println!(
                    "{:<16} {:>38} {:>38} {:>12}",
                    currency.as_str(),
                    stored.balance.available.to_string(),
                    stored.balance.frozen.to_string(),
                    stored.version.value()
                );
            }
            ending
        }
        BalancesOutcome::Refused(refusal) => {
            println!("refused: {}", refusal.message);
            Ending::Off
        }
    }
}
