//! Looking an event up, with its result.

use super::account_lookup::AccountLookup;
use super::event_state::EventState;
use crate::port::change_log::{ChangeLog, ChangeLogKey, ChangeLogRecord};
use crate::port::event_codec::{EventCodec, PayloadError};
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::id::{AccountId, LogId};
use axs_domain::text::IdempotencyKey;
use shaku::{Component, Interface};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Which event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventLookup {
    /// The one with this log id.
    LogId(LogId),
    /// The one that this account has under this key.
    Key {
        /// The account.
        account_id: AccountId,
        /// The key.
        idempotency_key: IdempotencyKey,
    },
}

/// A logged event and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEvent {
    /// The id of its change log row.
    pub log_id: LogId,
    /// The event as it was logged.
    pub event: BalanceChangeEvent,
    /// Where it stands, and its result.
    pub state: EventState,
}

/// An event could not be looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindEventError {
    /// The store did not answer. Ask again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The row is there but can't be read. A person must look.
    #[error("log row {log_id}: {source}")]
    Payload {
        /// The row.
        log_id: LogId,
        /// What is wrong.
        source: PayloadError,
    },
}

/// Looks events up.
///
/// # Contract
/// - `None` settles nothing while a request that carried the event may still be under way:
///   sending the same key again does.
///
/// # Errors
/// [`FindEventError`].
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait FindEvent: Interface {
    /// The event, if it is in the log.
    async fn find(&self, lookup: EventLookup) -> Result<Option<FoundEvent>, FindEventError>;
}

/// Looks events up in the change log.
#[derive(Component)]
#[shaku(interface = FindEvent)]
pub struct LoggedEvents {
    #[shaku(inject)]
    accounts: Arc<dyn AccountLookup>,
    #[shaku(inject)]
    change_log: Arc<dyn ChangeLog>,
    #[shaku(inject)]
    codec: Arc<dyn EventCodec>,
}

impl LoggedEvents {
    /// A look-up over this log.
    #[must_use]
    pub fn new(
        accounts: Arc<dyn AccountLookup>,
        change_log: Arc<dyn ChangeLog>,
        codec: Arc<dyn EventCodec>,
    ) -> Self {
        Self {
            accounts,
            change_log,
            codec,
        }
    }

    async fn row(&self, lookup: EventLookup) -> Result<Option<ChangeLogRecord>, StoreError> {
        match lookup {
            EventLookup::LogId(log_id) => self.change_log.find_by_log_id(log_id).await,
            EventLookup::Key {
                account_id,
                idempotency_key,
            } => {
                let known = self.accounts.find(BTreeSet::from([account_id])).await?;
                let Some(account) = known.accounts.get(&account_id) else {
                    return Ok(None);
                };
                let key = ChangeLogKey {
                    shard_id: account.shard_id,
                    account_id,
                    idempotency_key,
                };
                self.change_log.find_by_key(key).await
            }
        }
    }
}

#[async_trait]
impl FindEvent for LoggedEvents {
    async fn find(&self, lookup: EventLookup) -> Result<Option<FoundEvent>, FindEventError> {
        let Some(record) = self.row(lookup).await? else {
            return Ok(None);
        };
        let log_id = record.log_id;
        let unreadable = |source| FindEventError::Payload { log_id, source };
        let event = self
            .codec
            .decode_payload(record.payload.clone())
            .map_err(unreadable)?;
        let state = EventState::of(&record, &event).map_err(unreadable)?;
        Ok(Some(FoundEvent {
            log_id,
            event,
            state,
        }))
    }
}

#[cfg(test)]
mod tests;
