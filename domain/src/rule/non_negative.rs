//! Nobody spends what is not there.

use super::{BalanceRule, RuleContext};
use crate::amount::Amount;
use crate::balance::{Balance, Delta};
use crate::currency::CurrencyCode;
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

    /// What the balance lacks for the change, if anything. Asked of the balance before, so that
    /// it has an answer even for a change whose result no amount could hold.
    pub(crate) fn lack(
        currency: CurrencyCode,
        before: Balance,
        delta: Delta,
        credit: Amount,
    ) -> Option<Rejection> {
        let floor = credit.negated();
        if falls_below(floor, before.available, delta.available) {
            return Some(Rejection::InsufficientAvailable {
                currency,
                asked: delta.available.negated(),
                available: before.available,
                credit,
            });
        }
        if falls_below(Amount::ZERO, before.frozen, delta.frozen) {
            return Some(Rejection::InsufficientFrozen {
                currency,
                asked: delta.frozen.negated(),
                frozen: before.frozen,
            });
        }
        None
    }
}

/// Whether the delta lowers the part, and below the floor. A sum beyond the range of amounts is
/// below every floor.
fn falls_below(floor: Amount, part: Amount, delta: Amount) -> bool {
    delta.is_negative() && part.checked_add(delta).is_none_or(|after| after < floor)
}

impl BalanceRule for NonNegative {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn check(&self, context: &RuleContext<'_>) -> Result<(), Rejection> {
        let RuleContext {
            currency,
            before,
            delta,
            credit,
            ..
        } = *context;
        Self::lack(currency, before, delta, credit).map_or(Ok(()), Err)
    }
}
