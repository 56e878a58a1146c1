//! Nobody spends what is not there.

use super::{BalanceRule, RuleContext};
use crate::rejection::Rejection;

/// `frozen` never goes below zero, `available` never below zero minus the credit granted.
///
/// A change that does not lower a part is never refused for that part: money may always come in,
/// even to a balance that a lowered credit limit has left too deep.
#[derive(Debug, Clone, Copy, Default)]
pub struct NonNegative;

impl NonNegative {
    /// The name in settings.
    pub const NAME: &'static str = "non-negative";
}

impl BalanceRule for NonNegative {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn check(&self, context: &RuleContext<'_>) -> Result<(), Rejection> {
        let RuleContext { delta, before, after, credit, currency, .. } = *context;
        if delta.available.is_negative() && after.available < credit.negated() {
            return Err(Rejection::InsufficientAvailable {
                currency,
                asked: delta.available.negated(),
                available: before.available,
                credit,
            });
        }
        if delta.frozen.is_negative() && after.frozen.is_negative() {
            return Err(Rejection::InsufficientFrozen {
                currency,
                asked: delta.frozen.negated(),
                frozen: before.frozen,
            });
        }
        Ok(())
    }
}
