//! What an account owns in one currency.

use crate::amount::Amount;
use crate::currency::CurrencyCode;
use crate::id::{AccountId, BalanceVersion};

/// Names one balance: an account and a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BalanceKey {
    /// Whose balance.
    pub account_id: AccountId,
    /// In which currency.
    pub currency: CurrencyCode,
}

/// How a change moves the two parts of a balance. Signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delta {
    /// Added to `available`.
    pub available: Amount,
    /// Added to `frozen`.
    pub frozen: Amount,
}

impl Delta {
    /// Whether the delta moves nothing.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.available.is_zero() && self.frozen.is_zero()
    }
}

/// `available` to spend, `frozen` under holds.
///
/// The type itself admits negative parts: what limits them is a rule (see
/// [`crate::rule::NonNegative`]), since a rule may grant credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// Free to spend.
    pub available: Amount,
    /// Under holds.
    pub frozen: Amount,
}

impl Balance {
    /// An account that never had the currency.
    pub const ZERO: Self = Self {
        available: Amount::ZERO,
        frozen: Amount::ZERO,
    };

    /// Both parts moved by the delta, or `None` when one of them would leave the range.
    #[must_use]
    pub fn plus(self, delta: Delta) -> Option<Self> {
        Some(Self {
            available: self.available.checked_add(delta.available)?,
            frozen: self.frozen.checked_add(delta.frozen)?,
        })
    }
}

/// A balance and how many changes made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionedBalance {
    /// The two parts.
    pub balance: Balance,
    /// Applied changes so far; 0 means that no row exists yet.
    pub version: BalanceVersion,
}

impl VersionedBalance {
    /// The balance of an account that never had the currency.
    pub const ABSENT: Self = Self {
        balance: Balance::ZERO,
        version: BalanceVersion::MIN,
    };
}
