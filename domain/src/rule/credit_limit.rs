//! Credit: some accounts may go below zero in some currencies.

use super::{BalanceRule, RuleContext};
use crate::amount::Amount;
use crate::currency::CurrencyCode;
use crate::id::AccountId;
use crate::rejection::Rejection;
use std::collections::HashMap;

/// Grants the configured limits. Refuses nothing itself.
#[derive(Debug, Clone, Default)]
pub struct CreditLimit {
    limits: HashMap<(AccountId, CurrencyCode), Amount>,
}

impl CreditLimit {
    /// The name in settings.
    pub const NAME: &'static str = "credit-limit";

    /// A rule with these limits; a later limit for the same balance replaces an earlier one.
    pub fn new(limits: impl IntoIterator<Item = (AccountId, CurrencyCode, Amount)>) -> Self {
        Self {
            limits: limits
                .into_iter()
                .map(|(account, currency, limit)| ((account, currency), limit))
                .collect(),
        }
    }
}

impl BalanceRule for CreditLimit {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn check(&self, _context: &RuleContext<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn credit_limit(&self, account: AccountId, currency: CurrencyCode) -> Amount {
        self.limits
            .get(&(account, currency))
            .copied()
            .unwrap_or(Amount::ZERO)
    }
}
