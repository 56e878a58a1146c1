//! The leader's memory of balances.

use super::draft::ShardedKey;
use crate::usecase::preload::{has_room, let_go, preload_into};
use axs_domain::balance::VersionedBalance;
use lru::LruCache;
use std::num::NonZeroUsize;

/// Committed balances of one partition, the least recently used forgotten first. That a balance
/// has no row is remembered too.
///
/// Authoritative while the claim stands, since nobody else may write; thrown away on any doubt.
#[derive(Debug)]
pub(super) struct BalanceMemory(LruCache<ShardedKey, VersionedBalance>);

impl BalanceMemory {
    pub(super) fn new(balances_max: NonZeroUsize) -> Self {
        Self(LruCache::new(balances_max))
    }

    /// The balance, if remembered.
    pub(super) fn recall(&mut self, key: &ShardedKey) -> Option<VersionedBalance> {
        self.0.get(key).copied()
    }

    /// Remembers a committed balance.
    pub(super) fn note(&mut self, key: ShardedKey, balance: VersionedBalance) {
        self.0.put(key, balance);
    }

    /// Remembers a committed balance that nobody asked for yet, as the first one to be forgotten.
    /// `false`: it is known already, and what is known is newer; or there is no room.
    ///
    /// Never call it with what was read before something was forgotten: the forgotten balance may
    /// have been newer.
    pub(super) fn preload(&mut self, key: ShardedKey, balance: VersionedBalance) -> bool {
        preload_into(&mut self.0, key, balance)
    }

    pub(super) fn has_room(&self) -> bool {
        has_room(&self.0)
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        let emptied = LruCache::new(self.0.cap());
        let_go(std::mem::replace(&mut self.0, emptied));
    }
}

impl Drop for BalanceMemory {
    fn drop(&mut self) {
        let_go(std::mem::replace(
            &mut self.0,
            LruCache::new(NonZeroUsize::MIN),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axs_domain::balance::BalanceKey;
    use axs_domain::currency::CurrencyCode;
    use axs_domain::id::{AccountId, BalanceVersion, ShardId};

    fn key(account: i64) -> ShardedKey {
        let key = BalanceKey {
            account_id: AccountId::try_new(account).unwrap(),
            currency: CurrencyCode::parse("USD").unwrap(),
        };
        (ShardId::MIN, key)
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_what_was_not_used_for_longest() {
        let mut memory = BalanceMemory::new(NonZeroUsize::new(2).unwrap());
        memory.note(key(1), VersionedBalance::ABSENT);
        memory.note(key(2), VersionedBalance::ABSENT);
        assert!(memory.recall(&key(1)).is_some());
        memory.note(key(3), VersionedBalance::ABSENT);
        assert_eq!(memory.recall(&key(2)), None);
        assert!(memory.recall(&key(1)).is_some());
    }

    #[test]
    fn a_balance_without_a_row_is_remembered_as_absent_and_forgotten_with_the_rest() {
        let mut memory = BalanceMemory::new(NonZeroUsize::MIN);
        memory.note(key(1), VersionedBalance::ABSENT);
        assert_eq!(memory.recall(&key(1)), Some(VersionedBalance::ABSENT));
        memory.forget();
        assert_eq!(memory.recall(&key(1)), None);
    }

    #[test]
    fn what_is_preloaded_replaces_nothing_and_is_forgotten_first() {
        let mut memory = BalanceMemory::new(NonZeroUsize::new(2).unwrap());
        let known = VersionedBalance {
            version: BalanceVersion::try_new(7).unwrap(),
            ..VersionedBalance::ABSENT
        };
        memory.note(key(1), known);
        assert!(!memory.preload(key(1), VersionedBalance::ABSENT));
        assert_eq!(memory.recall(&key(1)), Some(known));
        assert!(memory.preload(key(2), VersionedBalance::ABSENT));
        assert!(!memory.preload(key(3), VersionedBalance::ABSENT));
        assert_eq!(memory.recall(&key(3)), None);
        memory.note(key(4), known);
        assert!(memory.recall(&key(1)).is_some());
        assert_eq!(memory.recall(&key(2)), None);
    }
}
