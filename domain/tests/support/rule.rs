//! Rules that only tests need.

use axs_domain::amount::Amount;
use axs_domain::currency::CurrencyCode;
use axs_domain::id::AccountId;
use axs_domain::rejection::Rejection;
use axs_domain::rule::{BalanceRule, RuleContext};
use std::sync::Mutex;

/// Refuses a change whose available delta is exactly this amount: a refusal for a reason that is
/// not funds.
#[derive(Debug)]
pub struct RefuseExactly {
    pub name: &'static str,
    pub available_delta: Amount,
}

impl BalanceRule for RefuseExactly {
    fn name(&self) -> &'static str {
        self.name
    }

    fn check(&self, context: &RuleContext<'_>) -> Result<(), Rejection> {
        if context.delta.available == self.available_delta {
            return Err(Rejection::RuleRefused {
                currency: context.currency,
                rule: self.name,
                message: format!("not {}", self.available_delta),
            });
        }
        Ok(())
    }
}

/// Calls itself whatever it likes, refuses nothing, and grants everybody this credit.
#[derive(Debug)]
pub struct Generous {
    pub name: &'static str,
    pub credit: Amount,
}

impl BalanceRule for Generous {
    fn name(&self) -> &'static str {
        self.name
    }

    fn check(&self, _context: &RuleContext<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn credit_limit(&self, _account: AccountId, _currency: CurrencyCode) -> Amount {
        self.credit
    }
}

/// Refuses nothing and writes down what it was shown, one line for each attempt.
#[derive(Debug, Default)]
pub struct Witness {
    pub shown: Mutex<Vec<String>>,
}

impl BalanceRule for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn check(&self, context: &RuleContext<'_>) -> Result<(), Rejection> {
        let RuleContext {
            event,
            logged_at,
            currency,
            delta,
            before,
            after,
            credit,
        } = context;
        let line = format!(
            "account {} at {logged_at}: {currency} {}/{} by {}/{} to {}/{}, credit {credit}",
            event.account_id(),
            before.available,
            before.frozen,
            delta.available,
            delta.frozen,
            after.available,
            after.frozen,
        );
        self.shown.lock().unwrap().push(line);
        Ok(())
    }
}
