//! Which accounts are open, as this process knows them.

use crate::port::account_directory::{AccountDirectory, FoundAccounts};
use crate::port::store_error::StoreError;
use crate::usecase::incarnation_lookup::IncarnationLookup;
use crate::usecase::preload::{PAGE_ROWS_MAX, has_room, let_go, preload_into};
use async_trait::async_trait;
use axs_domain::account::Account;
use axs_domain::id::AccountId;
use axs_domain::incarnation::Incarnation;
use lru::LruCache;
use shaku::{Component, Interface};
use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// How many accounts are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLookupSettings {
    /// Accounts remembered, about 130 bytes each.
    pub remembered_max: NonZeroUsize,
}

/// Open accounts, and the history of the database in which all of them are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountsKnown {
    /// The history. What is logged for these accounts is refused in any other.
    pub incarnation: Incarnation,
    /// The accounts.
    pub accounts: HashMap<AccountId, Account>,
}

#[cfg(test)]
impl AccountsKnown {
    /// Those of these ids that are open, each the testkit's account, in its one history.
    pub(crate) fn among(ids: &BTreeSet<AccountId>, open: &[i64]) -> Self {
        let known = ids.iter().filter(|id| open.contains(&id.value()));
        Self {
            incarnation: crate::testkit::INCARNATION,
            accounts: known
                .map(|id| (*id, crate::testkit::account(id.value())))
                .collect(),
        }
    }
}

/// Finds open accounts.
///
/// # Contract
/// - What is answered is of one history of the database.
/// - One question to the store for each call, at most; and another one when the first was answered
///   in another history than what was remembered.
/// - An unknown account is asked for each time: it may have been opened since.
///
/// # Errors
/// [`StoreError`]; ask again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait AccountLookup: Interface {
    /// The accounts among `ids` that are open.
    async fn find(&self, ids: BTreeSet<AccountId>) -> Result<AccountsKnown, StoreError>;

    /// Remembers a page of the accounts below this one, or of all, from the highest id down, as far
    /// as there is room: none that was asked for is forgotten for it.
    async fn preload(&self, below: Option<AccountId>) -> Result<AccountsPreloaded, StoreError>;
}

/// A page of accounts that was remembered before they were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountsPreloaded {
    /// The history that they are of.
    pub incarnation: Incarnation,
    /// How many were not remembered before.
    pub remembered: usize,
    /// Where preloading goes on.
    pub next: NextPage,
}

/// Where preloading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextPage {
    /// With the accounts below this one, or with the highest.
    Below(Option<AccountId>),
    /// Nowhere: there are no more, or there is no room.
    Nowhere,
}

/// Remembers the accounts used last. An account never changes once it is open, so within one
/// history of the database what is remembered is never stale; with another, it is forgotten.
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
struct Remembered(Mutex<Option<Memory>>);

struct Memory {
    /// The history that the accounts are of.
    incarnation: Incarnation,
    accounts: LruCache<AccountId, Account>,
}

impl Memory {
    /// Room for all from the start on: nobody waits while it grows.
    fn new(incarnation: Incarnation, accounts_max: NonZeroUsize) -> Self {
        Self {
            incarnation,
            accounts: LruCache::new(accounts_max),
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

    fn lock(&self) -> MutexGuard<'_, Option<Memory>> {
        // A panic inside leaves a cache that is at worst incomplete.
        let locked = self.remembered.0.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the memory of this history, under its lock. What was remembered of another is
    /// forgotten.
    fn with_memory_of<R>(
        &self,
        incarnation: Incarnation,
        work: impl FnOnce(&mut Memory) -> R,
    ) -> R {
        let mut locked = self.lock();
        let forgotten = locked.take_if(|memory| memory.incarnation != incarnation);
        let memory =
            locked.get_or_insert_with(|| Memory::new(incarnation, self.settings.remembered_max));
        let result = work(memory);
        drop(locked);
        if let Some(forgotten) = forgotten {
            let_go(forgotten.accounts);
        }
        result
    }

    /// The accounts among `ids` that are remembered of this history. What is remembered of another
    /// stays: whoever asks may be late.
    fn recall(&self, ids: &BTreeSet<AccountId>, of: Incarnation) -> HashMap<AccountId, Account> {
        let mut locked = self.lock();
        let Some(memory) = locked.as_mut().filter(|memory| memory.incarnation == of) else {
            return HashMap::new();
        };
        let recalled = ids.iter().filter_map(|id| {
            let account = memory.accounts.get(id)?;
            Some((*id, account.clone()))
        });
        recalled.collect()
    }

    /// Asks the store, and remembers its answer unless another history was seen since it was asked.
    async fn ask(&self, ids: Vec<AccountId>) -> Result<FoundAccounts, StoreError> {
        let asked_at = Instant::now();
        let found = self.directory.find(ids).await?;
        self.incarnations.saw(found.incarnation, asked_at);
        if self.incarnations.last_seen() == Some(found.incarnation) {
            self.with_memory_of(found.incarnation, |memory| {
                for account in &found.accounts {
                    memory.accounts.put(account.account_id, account.clone());
                }
            });
        }
        Ok(found)
    }
}

#[async_trait]
impl AccountLookup for RememberedAccounts {
    async fn find(&self, ids: BTreeSet<AccountId>) -> Result<AccountsKnown, StoreError> {
        // Of what history they are while none is known, nobody could say: all are asked for.
        if let Some(incarnation) = self.incarnations.last_seen() {
            let mut accounts = self.recall(&ids, incarnation);
            let missing = ids.iter().filter(|id| !accounts.contains_key(*id));
            let missing: Vec<AccountId> = missing.copied().collect();
            if missing.is_empty() {
                return Ok(AccountsKnown {
                    incarnation,
                    accounts,
                });
            }
            let found = self.ask(missing).await?;
            if found.incarnation == incarnation || accounts.is_empty() {
                accounts.extend(by_id(found.accounts));
                let incarnation = found.incarnation;
                return Ok(AccountsKnown {
                    incarnation,
                    accounts,
                });
            }
        }
        let found = self.ask(ids.into_iter().collect()).await?;
        Ok(AccountsKnown {
            incarnation: found.incarnation,
            accounts: by_id(found.accounts).collect(),
        })
    }

    async fn preload(&self, below: Option<AccountId>) -> Result<AccountsPreloaded, StoreError> {
        let asked_at = Instant::now();
        let page = self.directory.page_below(below, PAGE_ROWS_MAX).await?;
        let incarnation = page.incarnation;
        self.incarnations.saw(incarnation, asked_at);
        let mut preloaded = AccountsPreloaded {
            incarnation,
            remembered: 0,
            next: NextPage::Below(below),
        };
        // Else another was seen since it was asked: none of this page is kept, and it is asked for
        // again.
        if self.incarnations.last_seen() == Some(incarnation) {
            let last = page.accounts.last().map(|account| account.account_id);
            self.with_memory_of(incarnation, |memory| {
                for account in page.accounts {
                    preloaded.remembered += usize::from(preload_into(
                        &mut memory.accounts,
                        account.account_id,
                        account,
                    ));
                }
                preloaded.next = match last {
                    Some(last) if has_room(&memory.accounts) => NextPage::Below(Some(last)),
                    _ => NextPage::Nowhere,
                };
            });
        }
        Ok(preloaded)
    }
}

fn by_id(accounts: Vec<Account>) -> impl Iterator<Item = (AccountId, Account)> {
    accounts.into_iter().map(|a| (a.account_id, a))
}

#[cfg(test)]
mod tests;
