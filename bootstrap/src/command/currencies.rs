//! `bootstrap currencies`: registering and listing currencies.

use super::start::wait_for_schema;
use crate::cli::CurrenciesCommand;
use crate::exit::{Ending, UsageError};
use crate::module::clients::Clients;
use crate::module::layers::Layers;
use crate::settings::Settings;
use axs_application::port::currency_registry::CurrencyRegistry;
use axs_application::usecase::register_currencies::{RegisterCurrencies, RegisterCurrencyOutcome};
use axs_domain::currency::{Currency, CurrencyCode};
use shaku::HasComponent;

/// Registers or lists currencies.
///
/// # Errors
/// A currency that can't be, or a server that is away.
pub async fn run(command: &CurrenciesCommand, settings: Settings) -> anyhow::Result<Ending> {
    let asked = match command {
        CurrenciesCommand::Register {
            code,
            decimals,
            inactive,
        } => {
            let code =
                CurrencyCode::parse(code).map_err(|error| UsageError(format!("--code {error}")))?;
            let currency = Currency::try_new(code, *decimals, !inactive)
                .map_err(|error| UsageError(format!("--decimals {error}")))?;
            Some(currency)
        }
        CurrenciesCommand::List => None,
    };
    let clients = Clients::default().with_database(&settings)?;
    let layers = Layers::stack(settings, clients)?;
    wait_for_schema(&layers).await?;
    match asked {
        Some(currency) => {
            let register: &dyn RegisterCurrencies = layers.service.resolve_ref();
            let outcomes = register.register(vec![currency]).await?;
            Ok(outcomes.into_iter().fold(Ending::Fine, print_registered))
        }
        None => {
            let registry: &dyn CurrencyRegistry = layers.repo.resolve_ref();
            print_list(&registry.all().await?);
            Ok(Ending::Fine)
        }
    }
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_registered(ending: Ending, outcome: RegisterCurrencyOutcome) -> Ending {
    match outcome {
        RegisterCurrencyOutcome::Registered {
            currency,
            was_active,
        } => {
            println!(
                "{}: {} decimals, {}",
                currency.code(),
                currency.decimals(),
                change(was_active, currency.is_active())
            );
            ending
        }
        RegisterCurrencyOutcome::Refused(refusal) => {
            println!("refused: {}", refusal.message);
            Ending::Off
        }
    }
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_list(currencies: &[Currency]) {
    println!("{:<16} {:>8}  state", "currency", "decimals");
    for currency in currencies {
        println!(
            "{:<16} {:>8}  {}",
            currency.code().as_str(),
            currency.decimals(),
            state(currency)
        );
    }
}

fn state(currency: &Currency) -> &'static str {
    word(currency.is_active())
}

const fn word(active: bool) -> &'static str {
    if active { "active" } else { "inactive" }
}

/// How a currency stands now, and what that changed.
fn change(was_active: Option<bool>, active: bool) -> String {
    let now = word(active);
    match was_active {
        None => format!("{now}: registered"),
        Some(before) if before == active => format!("{now}: was registered already"),
        Some(before) => format!("{now}: was {} until now", word(before)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_says_what_it_changed() {
        let rows = [
            (None, true, "active: registered"),
            (None, false, "inactive: registered"),
            (Some(true), true, "active: was registered already"),
            (Some(false), true, "active: was inactive until now"),
            (Some(true), false, "inactive: was active until now"),
        ];
        for (before, now, words) in rows {
            assert_eq!(change(before, now), words);
        }
    }
}
