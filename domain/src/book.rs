//! The balances that a decision works on.

use crate::balance::{BalanceKey, VersionedBalance};
use std::collections::HashMap;

/// Balances by key. A key that was never loaded is *missing*, which is not the same as zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BalanceBook(HashMap<BalanceKey, VersionedBalance>);

impl BalanceBook {
    /// A book of these balances.
    pub fn new(balances: impl IntoIterator<Item = (BalanceKey, VersionedBalance)>) -> Self {
        Self(balances.into_iter().collect())
    }

    /// The balance, if it was loaded.
    #[must_use]
    pub fn find(&self, key: &BalanceKey) -> Option<VersionedBalance> {
        self.0.get(key).copied()
    }

    /// Puts a balance in, replacing what stood there.
    pub fn put(&mut self, key: BalanceKey, balance: VersionedBalance) {
        self.0.insert(key, balance);
    }

    /// How many balances the book holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the book holds no balance.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All balances, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&BalanceKey, &VersionedBalance)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::currency::CurrencyCode;
    use crate::id::AccountId;

    #[test]
    fn a_balance_that_was_never_loaded_is_missing_and_not_zero() {
        let key = BalanceKey {
            account_id: AccountId::MIN,
            currency: CurrencyCode::parse("USD").unwrap(),
        };
        let mut book = BalanceBook::default();
        assert!(book.is_empty());
        assert_eq!(book.find(&key), None);
        book.put(key, VersionedBalance::ABSENT);
        assert_eq!(book.find(&key), Some(VersionedBalance::ABSENT));
        assert_eq!(book.len(), 1);
    }
}
