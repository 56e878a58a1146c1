//! Registering currencies, and switching them on and off.

use super::currency_lookup::CurrencyLookup;
use super::detached::run_detached;
use super::refusal::{Refusal, RefusalCode};
use crate::port::currency_registry::{CurrencyRegistry, RegisterOutcome};
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::currency::Currency;
use shaku::{Component, Interface};
use std::sync::Arc;

/// What became of one currency. Paths in a refusal begin at the currency, e.g. `decimals`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisterCurrencyOutcome {
    /// It stands as asked.
    Registered {
        /// The currency as it now stands.
        currency: Currency,
        /// Whether it was active before; `None` when it was not registered.
        was_active: Option<bool>,
    },
    /// It was not registered.
    Refused(Refusal),
}

/// Registers currencies.
///
/// # Contract
/// - Outcomes stand in the order of the arguments. A refused currency never fails its neighbours.
/// - Decimals never change. Other processes see a currency switched off after their next refresh.
///
/// # Errors
/// [`StoreError`]; registering again settles what is unknown.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait RegisterCurrencies: Interface {
    /// Registers currencies or switches them on and off.
    async fn register(
        &self,
        currencies: Vec<Currency>,
    ) -> Result<Vec<RegisterCurrencyOutcome>, StoreError>;
}

/// Registers currencies with the registry, and lets this process know them at once.
#[derive(Component)]
#[shaku(interface = RegisterCurrencies)]
pub struct CurrencyRegistration {
    #[shaku(inject)]
    registry: Arc<dyn CurrencyRegistry>,
    #[shaku(inject)]
    lookup: Arc<dyn CurrencyLookup>,
}

impl CurrencyRegistration {
    /// A registration with this registry.
    #[must_use]
    pub fn new(registry: Arc<dyn CurrencyRegistry>, lookup: Arc<dyn CurrencyLookup>) -> Self {
        Self { registry, lookup }
    }
}

#[async_trait]
impl RegisterCurrencies for CurrencyRegistration {
    async fn register(
        &self,
        currencies: Vec<Currency>,
    ) -> Result<Vec<RegisterCurrencyOutcome>, StoreError> {
        if currencies.is_empty() {
            return Ok(Vec::new());
        }
        let asked = currencies.clone();
        let registry = Arc::clone(&self.registry);
        let registered = run_detached(async move { registry.register(currencies).await }).await?;
        if let Err(error) = self.lookup.refreshed().await {
            // They are registered all the same; the periodic refresh makes up for it.
            tracing::warn!(%error, "the currencies were not read after a registration");
        }
        let outcomes = asked.iter().zip(registered);
        Ok(outcomes.map(|(asked, r)| answer(asked, r)).collect())
    }
}

fn answer(asked: &Currency, registered: RegisterOutcome) -> RegisterCurrencyOutcome {
    match registered {
        RegisterOutcome::Registered {
            currency,
            was_active,
        } => RegisterCurrencyOutcome::Registered {
            currency,
            was_active,
        },
        RegisterOutcome::OtherDecimals(standing) => {
            let description = format!(
                "is {}; {} is registered with {}, which never changes",
                asked.decimals(),
                standing.code(),
                standing.decimals()
            );
            RegisterCurrencyOutcome::Refused(Refusal::of_field(
                RefusalCode::AlreadyExists,
                "decimals",
                &description,
            ))
        }
    }
}

#[cfg(test)]
mod tests;
