//! Opening accounts.

use super::detached::run_detached;
use super::layout_lookup::{LayoutLookup, LayoutLookupError};
use super::refusal::{FieldViolation, Refusal, RefusalCode};
use crate::port::account_directory::{AccountDirectory, OpenOutcome};
use crate::port::layout_store::StoredLayout;
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::account::Account;
use axs_domain::id::{AccountId, UserId};
use axs_domain::layout::Layout;
use axs_domain::text::PoolName;
use shaku::{Component, Interface};
use std::sync::Arc;

/// An account that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountToOpen {
    /// Its id, chosen by the client.
    pub account_id: AccountId,
    /// The user that owns it.
    pub user_id: UserId,
    /// The pool of shards it lives in.
    pub pool: PoolName,
}

/// What became of one account. Paths in a refusal begin at the account, e.g. `pool`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenAccountOutcome {
    /// It is open.
    Open {
        /// The account.
        account: Account,
        /// Whether this call opened it.
        created: bool,
    },
    /// It was not opened.
    Refused(Refusal),
}

/// Opens accounts.
///
/// # Contract
/// - Outcomes stand in the order of the arguments. A refused account never fails its neighbours.
/// - Opening an account again with the same user and pool changes nothing.
/// - A new account's shard follows from its id and pool; it never changes silently afterwards.
///
/// # Errors
/// [`LayoutLookupError`]: some accounts may have been opened; opening again settles it.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait OpenAccounts: Interface {
    /// Opens accounts that are not open yet.
    async fn open(
        &self,
        accounts: Vec<AccountToOpen>,
    ) -> Result<Vec<OpenAccountOutcome>, LayoutLookupError>;
}

/// Opens accounts on the shards of the layout.
#[derive(Component)]
#[shaku(interface = OpenAccounts)]
pub struct AccountOpening {
    #[shaku(inject)]
    layouts: Arc<dyn LayoutLookup>,
    #[shaku(inject)]
    directory: Arc<dyn AccountDirectory>,
}

impl AccountOpening {
    /// An opening into this directory.
    #[must_use]
    pub fn new(layouts: Arc<dyn LayoutLookup>, directory: Arc<dyn AccountDirectory>) -> Self {
        Self { layouts, directory }
    }

    /// The layout, read anew when a pool is asked for that it does not have.
    async fn layout_for(
        &self,
        accounts: &[AccountToOpen],
    ) -> Result<Arc<StoredLayout>, LayoutLookupError> {
        let layout = self.layouts.current().await?;
        let pools = layout.layout.pools();
        if accounts.iter().all(|asked| pools.contains(&asked.pool)) {
            Ok(layout)
        } else {
            self.layouts.refreshed().await
        }
    }
}

#[async_trait]
impl OpenAccounts for AccountOpening {
    async fn open(
        &self,
        accounts: Vec<AccountToOpen>,
    ) -> Result<Vec<OpenAccountOutcome>, LayoutLookupError> {
        let layout = self.layout_for(&accounts).await?;
        let placed: Vec<Result<Account, Refusal>> = accounts
            .into_iter()
            .map(|asked| place(&layout.layout, asked))
            .collect();
        let to_open: Vec<Account> = placed.iter().flatten().cloned().collect();
        let opened = if to_open.is_empty() {
            Vec::new()
        } else {
            let directory = Arc::clone(&self.directory);
            run_detached(async move { directory.open(to_open).await }).await?
        };
        let mut opened = opened.into_iter();
        placed
            .into_iter()
            .map(|placed| match placed {
                Err(refusal) => Ok(OpenAccountOutcome::Refused(refusal)),
                Ok(asked) => opened
                    .next()
                    .map(|outcome| compare(&asked, outcome))
                    .ok_or_else(|| missing_outcome().into()),
            })
            .collect()
    }
}

fn place(layout: &Layout, asked: AccountToOpen) -> Result<Account, Refusal> {
    let shard = layout.shard_for_new_account(asked.account_id, &asked.pool);
    let Some(shard_id) = shard else {
        let pools: Vec<String> = layout.pools().iter().map(PoolName::to_string).collect();
        let description = format!(
            "{} is no pool of the layout, which has {}",
            asked.pool,
            pools.join(", ")
        );
        return Err(Refusal::of_field(
            RefusalCode::UnknownPool,
            "pool",
            &description,
        ));
    };
    Ok(Account {
        account_id: asked.account_id,
        user_id: asked.user_id,
        pool: asked.pool,
        shard_id,
    })
}

/// The shard is not compared: an account keeps the one it was opened on.
fn compare(asked: &Account, outcome: OpenOutcome) -> OpenAccountOutcome {
    let existing = match outcome {
        OpenOutcome::Opened(account) => {
            return OpenAccountOutcome::Open {
                account,
                created: true,
            };
        }
        OpenOutcome::Existed(account) => account,
    };
    let mut violations = Vec::new();
    if existing.user_id != asked.user_id {
        violations.push(FieldViolation {
            field: "user_id".to_owned(),
            description: format!(
                "is {}; account {} belongs to another user",
                asked.user_id, asked.account_id
            ),
        });
    }
    if existing.pool != asked.pool {
        violations.push(FieldViolation {
            field: "pool".to_owned(),
            description: format!(
                "is {}; account {} lives in {}",
                asked.pool, asked.account_id, existing.pool
            ),
        });
    }
    if violations.is_empty() {
        OpenAccountOutcome::Open {
            account: existing,
            created: false,
        }
    } else {
        OpenAccountOutcome::Refused(Refusal::of_fields(RefusalCode::AlreadyExists, violations))
    }
}

fn missing_outcome() -> StoreError {
    StoreError::Corrupt {
        store: "the account directory".to_owned(),
        reason: "fewer outcomes than accounts".to_owned(),
    }
}

#[cfg(test)]
mod tests;
