//! One change inside an event.

use crate::balance::Delta;
use crate::currency::CurrencyCode;
use crate::text::ChangeId;

/// A currency and how its balance moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrencyDelta {
    /// Which currency.
    pub currency: CurrencyCode,
    /// How it moves.
    pub delta: Delta,
}

/// One currency's movement, with an optional second choice in another currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceChange {
    /// The client's label, unique inside the event.
    pub change_id: ChangeId,
    /// What is tried first.
    pub primary: CurrencyDelta,
    /// What is tried when the primary lacks available funds, and only then.
    pub fallback: Option<CurrencyDelta>,
}

/// Which side of a change took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// The change as asked.
    Primary,
    /// The second choice.
    Fallback,
}

impl Branch {
    /// The number stored in the ledger.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Primary => 0,
            Self::Fallback => 1,
        }
    }

    /// The branch of a stored number.
    #[must_use]
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Primary),
            1 => Some(Self::Fallback),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledgers_numbers_of_the_branches_are_pinned() {
        assert_eq!(
            (Branch::Primary.number(), Branch::Fallback.number()),
            (0, 1)
        );
        assert_eq!(Branch::from_number(0), Some(Branch::Primary));
        assert_eq!(Branch::from_number(1), Some(Branch::Fallback));
        assert_eq!(Branch::from_number(2), None);
        assert_eq!(Branch::from_number(-1), None);
    }
}
