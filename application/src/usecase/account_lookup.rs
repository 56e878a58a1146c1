//! Which accounts are open, as this process knows them.

use crate::port::account_directory::AccountDirectory;
use crate::port::store_error::StoreError;
use crate::usecase::incarnation_lookup::IncarnationLookup;
use async_trait::async_trait;
use axs_domain::account::Account;
use axs_domain::id::AccountId;
use axs_domain::incarnation::Incarnation;
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

/// Remembers the accounts used last. An account never changes once it is open, so within one history of
/// the database what is remembered is never stale; with another, it is forgotten.
#[derive(Component)]
#[shaku(interface = AccountLookup)]
pub struct RememberedAccounts {
    #[shaku(inject)]
    directory: Arc<dyn AccountDirectory>,
    #[shaku(inject)]
    incarnations: Arc<dyn IncarnationLookup>,
    /// How many accounts are remembered.
    #[shaku(default = unreachable!("the settings are given by whoever builds the container"))]
    settings: AccountLookupSettings,
    #[shaku(force_default)]
    remembered: Remembered,
}

#[derive(Default)]
struct Remembered(Mutex<Memory>);

struct Memory {
    /// The history that the accounts are of.
    incarnation: Option<Incarnation>,
    accounts: LruCache<AccountId, Account>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            incarnation: None,
            // The bound is in the settings; `remember` keeps it.
            accounts: LruCache::unbounded(),
        }
    }
}

impl RememberedAccounts {
    /// A lookup that remembers nothing yet.
    #[must_use]
    pub fn new(
        directory: Arc<dyn AccountDirectory>,
        incarnations: Arc<dyn IncarnationLookup>,
        settings: AccountLookupSettings,
    ) -> Self {
        Self {
            directory,
            incarnations,
            settings,
            remembered: Remembered::default(),
        }
    }

    /// What is remembered of this history, which is nothing when it was another's until now.
    fn remembered_of(&self, incarnation: Option<Incarnation>) -> MutexGuard<'_, Memory> {
        // A panic inside leaves a cache that is at worst incomplete.
        let memory = self.remembered.0.lock();
        let mut memory = memory.unwrap_or_else(PoisonError::into_inner);
        if memory.incarnation != incarnation {
            memory.accounts.clear();
            memory.incarnation = incarnation;
        }
        memory
    }

    /// Remembers an answer to what was asked when this history was the last one seen: it may come after
    /// another one was, and then it may be of the one before. Of what history an answer is while none is
    /// known, nobody can say later: it is not remembered.
    fn remember(&self, accounts: &[Account], asked_under: Option<Incarnation>) {
        if asked_under.is_none() || self.incarnations.last_seen() != asked_under {
            return;
        }
        let mut remembered = self.remembered_of(asked_under);
        for account in accounts {
            remembered.accounts.put(account.account_id, account.clone());
        }
        while remembered.accounts.len() > self.settings.remembered_max {
            remembered.accounts.pop_lru();
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
        let seen = self.incarnations.last_seen();
        {
            let mut remembered = self.remembered_of(seen);
            for id in ids {
                match remembered.accounts.get(&id) {
                    Some(account) => {
                        found.insert(id, account.clone());
                    }
                    None => unknown.push(id),
                }
            }
        }
        if !unknown.is_empty() {
            let accounts = self.directory.find(unknown).await?;
            self.remember(&accounts, seen);
            found.extend(accounts.into_iter().map(|a| (a.account_id, a)));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::account_directory::MockAccountDirectory;
    use crate::testkit::{INCARNATION, account, account_id};
    use crate::usecase::incarnation_lookup::MockIncarnationLookup;
    use std::sync::atomic::{AtomicI64, Ordering};

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

    fn steady() -> Arc<MockIncarnationLookup> {
        let mut incarnations = MockIncarnationLookup::new();
        incarnations
            .expect_last_seen()
            .return_const(Some(INCARNATION));
        Arc::new(incarnations)
    }

    /// The incarnation last seen is what the number says.
    fn told_by(number: &Arc<AtomicI64>) -> Arc<MockIncarnationLookup> {
        let number = Arc::clone(number);
        let mut incarnations = MockIncarnationLookup::new();
        incarnations
            .expect_last_seen()
            .returning(move || Some(Incarnation::new(number.load(Ordering::SeqCst))));
        Arc::new(incarnations)
    }

    fn settings() -> AccountLookupSettings {
        AccountLookupSettings {
            remembered_max: 100,
        }
    }

    #[tokio::test]
    async fn only_accounts_not_remembered_are_asked_for_and_all_in_one_question() {
        let directory = directory_of(&[1, 2, 3], vec![vec![1, 2], vec![3]]);
        let lookup = RememberedAccounts::new(directory, steady(), settings());
        assert_eq!(lookup.find(ids([1, 2])).await.unwrap().len(), 2);
        assert_eq!(lookup.find(ids([1, 2])).await.unwrap().len(), 2);
        let found = lookup.find(ids([2, 3])).await.unwrap();
        assert_eq!(found[&account_id(3)], account(3));
    }

    #[tokio::test]
    async fn an_unknown_account_is_asked_for_each_time() {
        let directory = directory_of(&[], vec![vec![7], vec![7]]);
        let lookup = RememberedAccounts::new(directory, steady(), settings());
        assert!(lookup.find(ids([7])).await.unwrap().is_empty());
        assert!(lookup.find(ids([7])).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_was_remembered_of_another_history_is_asked_for_again() {
        let directory = directory_of(&[1], vec![vec![1], vec![1]]);
        let history = Arc::new(AtomicI64::new(1));
        let lookup = RememberedAccounts::new(directory, told_by(&history), settings());
        lookup.find(ids([1])).await.unwrap();
        lookup.find(ids([1])).await.unwrap();
        history.store(2, Ordering::SeqCst);
        lookup.find(ids([1])).await.unwrap();
        lookup.find(ids([1])).await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_that_comes_after_another_history_was_seen_is_not_remembered() {
        let history = Arc::new(AtomicI64::new(1));
        let (seen, mut directory) = (Arc::clone(&history), MockAccountDirectory::new());
        directory.expect_find().times(2).returning(move |_| {
            seen.store(2, Ordering::SeqCst);
            Ok(vec![account(1)])
        });
        let lookup = RememberedAccounts::new(Arc::new(directory), told_by(&history), settings());
        for _ in 0..3 {
            assert_eq!(lookup.find(ids([1])).await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn while_no_history_is_known_nothing_is_remembered() {
        let directory = directory_of(&[1], vec![vec![1], vec![1]]);
        let mut unknown = MockIncarnationLookup::new();
        unknown.expect_last_seen().return_const(None);
        let lookup = RememberedAccounts::new(directory, Arc::new(unknown), settings());
        lookup.find(ids([1])).await.unwrap();
        lookup.find(ids([1])).await.unwrap();
    }

    #[tokio::test]
    async fn no_more_accounts_than_the_bound_are_remembered() {
        let directory = directory_of(&[1, 2, 3], vec![vec![1, 2, 3], vec![1]]);
        let settings = AccountLookupSettings { remembered_max: 2 };
        let lookup = RememberedAccounts::new(directory, steady(), settings);
        lookup.find(ids([1, 2, 3])).await.unwrap();
        assert_eq!(lookup.remembered_of(Some(INCARNATION)).accounts.len(), 2);
        lookup.find(ids([2, 3])).await.unwrap();
        lookup.find(ids([1])).await.unwrap();
    }
}
