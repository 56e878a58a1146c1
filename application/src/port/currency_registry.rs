//! Which currencies exist.

use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::currency::Currency;
use shaku::Interface;

/// What became of a currency that was to be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// It stands as asked, now or since before.
    Registered {
        /// The currency.
        currency: Currency,
        /// Whether it was active before; `None` when it was not registered. Of two registrations at
        /// once, both may tell of the time before both.
        was_active: Option<bool>,
    },
    /// It stands with other decimals, which never change. Nothing was changed.
    OtherDecimals(Currency),
}

/// Keeps currencies.
///
/// # Contract
/// - Outcomes stand in the order of the arguments.
/// - Decimals never change; `active` may be switched.
///
/// # Errors
/// [`StoreError`]; registering again settles what is unknown.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait CurrencyRegistry: Interface {
    /// Registers currencies or switches them on and off.
    async fn register(&self, currencies: Vec<Currency>)
    -> Result<Vec<RegisterOutcome>, StoreError>;

    /// Every registered currency, in the order of the codes.
    async fn all(&self) -> Result<Vec<Currency>, StoreError>;
}
