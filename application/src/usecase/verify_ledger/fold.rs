//! The entries of the accounts at hand, folded balance by balance.

use super::wide_sum::WideSum;
use axs_domain::amount::Amount;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::currency::CurrencyCode;
use axs_domain::decision::LedgerEntry;
use axs_domain::id::AccountId;
use std::collections::BTreeMap;

/// What the entries of one balance make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) available: WideSum,
    pub(super) frozen: WideSum,
    pub(super) count: i64,
    /// How low the available part ever was.
    pub(super) deepest: Amount,
}

impl Folded {
    /// Whether this is what stands.
    pub(super) fn makes(&self, stored: VersionedBalance) -> bool {
        let zero = WideSum::default();
        self.available == zero.plus(stored.balance.available)
            && self.frozen == zero.plus(stored.balance.frozen)
            && self.count == stored.version.value()
    }
}

/// Balances that are being folded: those of the accounts of the pages at hand.
#[derive(Debug, Default)]
pub(super) struct Fold {
    balances: BTreeMap<BalanceKey, Folded>,
}

impl Fold {
    pub(super) fn add(&mut self, account_id: AccountId, entry: &LedgerEntry) {
        let key = BalanceKey {
            account_id,
            currency: entry.applied.currency,
        };
        let folded = self.balances.entry(key).or_default();
        folded.available = folded.available.plus(entry.applied.delta.available);
        folded.frozen = folded.frozen.plus(entry.applied.delta.frozen);
        folded.count += 1;
        let after = entry.after.balance.available;
        if after < folded.deepest {
            folded.deepest = after;
        }
    }

    /// Takes out what belongs to accounts up to this one.
    pub(super) fn take_up_to(&mut self, account_id: i64) -> BTreeMap<BalanceKey, Folded> {
        let beyond = self
            .balances
            .keys()
            .find(|key| key.account_id.value() > account_id)
            .copied();
        let rest = beyond.map_or_else(BTreeMap::new, |key| self.balances.split_off(&key));
        std::mem::replace(&mut self.balances, rest)
    }
}

/// The sums of one currency over the whole ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CurrencyTotal {
    /// All available and frozen parts of balances.
    pub balances: WideSum,
    /// All applied deltas.
    pub entries: WideSum,
}

/// The sums of every currency.
pub type CurrencyTotals = BTreeMap<CurrencyCode, CurrencyTotal>;

/// Adds what these entries applied.
pub(super) fn add_entries(totals: &mut CurrencyTotals, entries: &[LedgerEntry]) {
    for entry in entries {
        let total = totals.entry(entry.applied.currency).or_default();
        let delta = entry.applied.delta;
        total.entries = total.entries.plus(delta.available).plus(delta.frozen);
    }
}

/// Adds what stands in this balance.
pub(super) fn add_balance(totals: &mut CurrencyTotals, key: BalanceKey, stored: VersionedBalance) {
    let total = totals.entry(key.currency).or_default();
    let balance = stored.balance;
    total.balances = total.balances.plus(balance.available).plus(balance.frozen);
}
