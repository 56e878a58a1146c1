//! Business rules: what a change must satisfy before it may take effect.
//!
//! A new rule is one file here and one line in the service module that names it. Rules are asked in
//! their configured order; the first refusal stands. The first rule is always [`NonNegative`]: no
//! set of rules can leave it out.

mod credit_limit;
mod non_negative;
mod rule_set;

pub use credit_limit::CreditLimit;
pub use non_negative::NonNegative;
pub use rule_set::{BalanceRuleSet, RuleSetError};

use crate::amount::Amount;
use crate::balance::{Balance, Delta};
use crate::currency::CurrencyCode;
use crate::event::BalanceChangeEvent;
use crate::id::AccountId;
use crate::rejection::Rejection;
use crate::time::Timestamp;
use std::fmt::Debug;

/// What a rule sees of one attempt at a change.
#[derive(Debug, Clone, Copy)]
pub struct RuleContext<'a> {
    /// The event that the change belongs to.
    pub event: &'a BalanceChangeEvent,
    /// When the event's log row was written, by PostgreSQL's clock: the time that rules see, so
    /// that a redelivered event meets the same one.
    pub logged_at: Timestamp,
    /// The currency that moves: the change's own, or its fallback's.
    pub currency: CurrencyCode,
    /// How it moves.
    pub delta: Delta,
    /// The balance before, with the earlier changes of the same event already in it.
    pub before: Balance,
    /// The balance after.
    pub after: Balance,
    /// How far below zero `available` may go: the largest limit that a rule of the set grants.
    pub credit: Amount,
}

/// A business rule.
///
/// # Contract
/// - Pure: the same context gives the same answer. No clock, no I/O, no memory of earlier calls;
///   a batch may be decided more than once.
/// - The name is stable: it is configured and published with refusals.
pub trait BalanceRule: Debug + Send + Sync {
    /// The name under which the rule is configured, e.g. `non-negative`.
    fn name(&self) -> &'static str;

    /// Whether the change may take effect.
    ///
    /// # Errors
    /// The [`Rejection`] that the client gets, with its figures.
    fn check(&self, context: &RuleContext<'_>) -> Result<(), Rejection>;

    /// How far below zero the rule lets this account's `available` go. Never negative; a negative
    /// answer counts as zero.
    fn credit_limit(&self, _account: AccountId, _currency: CurrencyCode) -> Amount {
        Amount::ZERO
    }
}
