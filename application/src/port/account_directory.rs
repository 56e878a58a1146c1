//! Who has an account, and where it lives.

use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::account::Account;
use axs_domain::id::AccountId;
use axs_domain::incarnation::Incarnation;
use shaku::Interface;

/// What became of an account that was to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenOutcome {
    /// It is open now.
    Opened(Account),
    /// It was open before; compare it with what was asked.
    Existed(Account),
}

/// Accounts, and the history of the database that they are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAccounts {
    /// The history: in another one an account may live elsewhere, or not at all.
    pub incarnation: Incarnation,
    /// Those that are open. [`AccountDirectory::find`] gives them in no order.
    pub accounts: Vec<Account>,
}

/// Keeps accounts.
///
/// # Contract
/// - Outcomes stand in the order of the arguments; duplicates inside one call are allowed.
/// - An account once open keeps its user, pool and shard.
///
/// # Errors
/// [`StoreError`]; opening again settles what is unknown.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait AccountDirectory: Interface {
    /// Opens accounts that are not open yet.
    async fn open(&self, accounts: Vec<Account>) -> Result<Vec<OpenOutcome>, StoreError>;

    /// The accounts among `ids` that are open, as of one moment.
    async fn find(&self, ids: Vec<AccountId>) -> Result<FoundAccounts, StoreError>;

    /// A page of the open accounts: those below `below`, or from the highest id on, in descending
    /// order, at most `accounts_max`. Empty: there are no more.
    async fn page_below(
        &self,
        below: Option<AccountId>,
        accounts_max: u32,
    ) -> Result<FoundAccounts, StoreError>;
}
