//! Which accounts are open, as this process knows them.

use crate::port::account_directory::AccountDirectory;
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::account::Account;
use axs_domain::id::AccountId;
use lru::LruCache;
use shaku::{Component, Interface};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many accounts are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLookupSettings {
    /// Accounts remembered, about 200 bytes each. 0 remembers none.
    pub remembered_max: usize,
}

/// Finds open accounts.
///
/// # Contract
/// - At most one question to the store for each call.
/// - An unknown account is asked for each time: it may have been opened since.
///
/// # Errors
/// [`StoreError`]; ask again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait AccountLookup: Interface {
    /// The accounts among `ids` that are open.
    async fn find(
        &self,
        ids: BTreeSet<AccountId>,
    ) -> Result<HashMap<AccountId, Account>, StoreError>;
}

/// Remembers the accounts used last. An account never changes once it is open, so what is
/// remembered is never stale.
#[derive(Component)]
#[shaku(interface = AccountLookup)]
pub struct RememberedAccounts {
    #[shaku(inject)]
    directory: Arc<dyn AccountDirectory>,
    /// How many accounts are remembered.
    #[shaku(default = unreachable!("the settings are given by whoever builds the container"))]
    settings: AccountLookupSettings,
    #[shaku(force_default)]
    remembered: Remembered,
}

struct Remembered(Mutex<LruCache<AccountId, Account>>);

impl Default for Remembered {
    fn default() -> Self {
        // The bound is in the settings; `remember` keeps it.
        Self(Mutex::new(LruCache::unbounded()))
    }
}

impl RememberedAccounts {
    /// A lookup that remembers nothing yet.
    #[must_use]
    pub fn new(directory: Arc<dyn AccountDirectory>, settings: AccountLookupSettings) -> Self {
        Self {
            directory,
            settings,
            remembered: Remembered::default(),
        }
    }

    fn remembered(&self) -> MutexGuard<'_, LruCache<AccountId, Account>> {
        // A panic inside leaves a cache that is at worst incomplete.
        self.remembered
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, accounts: &[Account]) {
        let mut remembered = self.remembered();
        for account in accounts {
            remembered.put(account.account_id, account.clone());
        }
        while remembered.len() > self.settings.remembered_max {
            remembered.pop_lru();
        }
    }
}

#[async_trait]
impl AccountLookup for RememberedAccounts {
    async fn find(
        &self,
        ids: BTreeSet<AccountId>,
    ) -> Result<HashMap<AccountId, Account>, StoreError> {
        let mut found = HashMap::with_capacity(ids.len());
        let mut unknown = Vec::new();
        {
            let mut remembered = self.remembered();
            for id in ids {
                match remembered.get(&id) {
                    Some(account) => {
                        found.insert(id, account.clone());
                    }
                    None => unknown.push(id),
                }
            }
        }
        if !unknown.is_empty() {
            let accounts = self.directory.find(unknown).await?;
            self.remember(&accounts);
            found.extend(accounts.into_iter().map(|a| (a.account_id, a)));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::account_directory::MockAccountDirectory;
    use crate::testkit::{account, account_id};

    fn ids(ids: impl IntoIterator<Item = i64>) -> BTreeSet<AccountId> {
        ids.into_iter().map(account_id).collect()
    }

    fn directory_of(open: &'static [i64], expected: Vec<Vec<i64>>) -> Arc<MockAccountDirectory> {
        let mut directory = MockAccountDirectory::new();
        let mut order = mockall::Sequence::new();
        for question in expected {
            directory
                .expect_find()
                .withf(move |asked| asked.iter().map(|id| id.value()).eq(question.clone()))
                .times(1)
                .in_sequence(&mut order)
                .returning(|asked| {
                    let open = asked.into_iter().filter(|id| open.contains(&id.value()));
                    Ok(open.map(|id| account(id.value())).collect())
                });
        }
        Arc::new(directory)
    }

    fn settings() -> AccountLookupSettings {
        AccountLookupSettings {
            remembered_max: 100,
        }
    }

    #[tokio::test]
    async fn only_accounts_not_remembered_are_asked_for_and_all_in_one_question() {
        let directory = directory_of(&[1, 2, 3], vec![vec![1, 2], vec![3]]);
        let lookup = RememberedAccounts::new(directory, settings());
        assert_eq!(lookup.find(ids([1, 2])).await.unwrap().len(), 2);
        assert_eq!(lookup.find(ids([1, 2])).await.unwrap().len(), 2);
        let found = lookup.find(ids([2, 3])).await.unwrap();
        assert_eq!(found[&account_id(3)], account(3));
    }

    #[tokio::test]
    async fn an_unknown_account_is_asked_for_each_time() {
        let directory = directory_of(&[], vec![vec![7], vec![7]]);
        let lookup = RememberedAccounts::new(directory, settings());
        assert!(lookup.find(ids([7])).await.unwrap().is_empty());
        assert!(lookup.find(ids([7])).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn no_more_accounts_than_the_bound_are_remembered() {
        let directory = directory_of(&[1, 2, 3], vec![vec![1, 2, 3], vec![1]]);
        let settings = AccountLookupSettings { remembered_max: 2 };
        let lookup = RememberedAccounts::new(directory, settings);
        lookup.find(ids([1, 2, 3])).await.unwrap();
        assert_eq!(lookup.remembered().len(), 2);
        lookup.find(ids([2, 3])).await.unwrap();
        lookup.find(ids([1])).await.unwrap();
    }
}
