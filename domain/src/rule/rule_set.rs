//! The rules of one deployment, in order.

use super::{BalanceRule, NonNegative, RuleContext};
use crate::amount::Amount;
use crate::currency::CurrencyCode;
use crate::id::AccountId;
use crate::rejection::Rejection;
use std::sync::Arc;

/// An ordered set of named rules that begins with [`NonNegative`].
#[derive(Debug, Clone)]
pub struct BalanceRuleSet {
    rules: Vec<Arc<dyn BalanceRule>>,
}

impl BalanceRuleSet {
    /// The set of [`NonNegative`] alone.
    #[must_use]
    pub fn non_negative() -> Self {
        Self {
            rules: vec![Arc::new(NonNegative)],
        }
    }

    /// A set of these rules, asked in this order.
    ///
    /// # Errors
    /// [`RuleSetError`] when the first is not [`NonNegative`] or a name stands twice.
    pub fn try_new(mut rules: Vec<Arc<dyn BalanceRule>>) -> Result<Self, RuleSetError> {
        match rules.first_mut() {
            // The genuine rule takes the place, so that none can pass for it by its name alone.
            Some(first) if first.name() == NonNegative::NAME => *first = Arc::new(NonNegative),
            _ => return Err(RuleSetError::NonNegativeIsNotFirst),
        }
        for (index, rule) in rules.iter().enumerate() {
            if rules[..index]
                .iter()
                .any(|earlier| earlier.name() == rule.name())
            {
                return Err(RuleSetError::Repeated { rule: rule.name() });
            }
        }
        Ok(Self { rules })
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.rules.iter().map(|rule| rule.name())
    }

    /// The largest credit that a rule grants this balance; zero when none does.
    #[must_use]
    pub fn credit_limit(&self, account: AccountId, currency: CurrencyCode) -> Amount {
        self.rules
            .iter()
            .map(|rule| rule.credit_limit(account, currency))
            .fold(Amount::ZERO, Amount::max)
    }

    /// Asks every rule in order.
    ///
    /// # Errors
    /// The first refusal.
    pub fn check(&self, context: &RuleContext<'_>) -> Result<(), Rejection> {
        self.rules.iter().try_for_each(|rule| rule.check(context))
    }
}

/// Why rules are no set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleSetError {
    /// The guard against spending what is not there must come first.
    #[error("the first rule must be {}", NonNegative::NAME)]
    NonNegativeIsNotFirst,
    /// A rule is named twice.
    #[error("rule {rule} stands twice")]
    Repeated {
        /// Its name.
        rule: &'static str,
    },
}
