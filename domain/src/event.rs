//! What a client asks for: changes of one account, all or none.

use crate::change::BalanceChange;
use crate::id::{AccountId, UserId};
use crate::text::{EventId, EventType, IdempotencyKey, OrderId, SourceService};
use std::collections::HashSet;

/// The most changes one event may hold.
pub const CHANGES_MAX: usize = 64;

/// An event's fields before its shape as a whole is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventParts {
    /// The client's label; not unique.
    pub event_id: EventId,
    /// What kind of event the client says this is.
    pub event_type: EventType,
    /// Whose balances move.
    pub account_id: AccountId,
    /// The user that the client believes owns the account.
    pub user_id: UserId,
    /// Which service sent it.
    pub source_service: SourceService,
    /// The order it belongs to, if any.
    pub related_order_id: Option<OrderId>,
    /// The key under which it takes effect at most once per account.
    pub idempotency_key: IdempotencyKey,
    /// The client's clock, Unix milliseconds. Decides nothing.
    pub created_msec: i64,
    /// What moves, in this order.
    pub changes: Vec<BalanceChange>,
}

/// A balance change event: changes of one account that apply in order, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceChangeEvent(EventParts);

impl BalanceChangeEvent {
    /// Checks the event as a whole: 1 to [`CHANGES_MAX`] changes, each moving something, change
    /// ids unique inside the event, a fallback in another currency than its primary.
    ///
    /// # Errors
    /// [`EventError`], whose [`EventError::field`] is the path inside the event.
    pub fn try_new(parts: EventParts) -> Result<Self, EventError> {
        if parts.changes.is_empty() {
            return Err(EventError::NoChanges);
        }
        if parts.changes.len() > CHANGES_MAX {
            return Err(EventError::TooManyChanges {
                found: parts.changes.len(),
            });
        }
        let mut seen = HashSet::with_capacity(parts.changes.len());
        for (index, change) in parts.changes.iter().enumerate() {
            if !seen.insert(&change.change_id) {
                return Err(EventError::RepeatedChangeId { index });
            }
            if change.primary.delta.is_zero() {
                return Err(EventError::MovesNothing {
                    index,
                    fallback: false,
                });
            }
            if let Some(fallback) = &change.fallback {
                if fallback.delta.is_zero() {
                    return Err(EventError::MovesNothing {
                        index,
                        fallback: true,
                    });
                }
                if fallback.currency == change.primary.currency {
                    return Err(EventError::FallbackInSameCurrency { index });
                }
            }
        }
        Ok(Self(parts))
    }

    /// The client's label.
    #[must_use]
    pub const fn event_id(&self) -> &EventId {
        &self.0.event_id
    }

    /// What kind of event it is.
    #[must_use]
    pub const fn event_type(&self) -> &EventType {
        &self.0.event_type
    }

    /// Whose balances move.
    #[must_use]
    pub const fn account_id(&self) -> AccountId {
        self.0.account_id
    }

    /// The user that the client believes owns the account.
    #[must_use]
    pub const fn user_id(&self) -> UserId {
        self.0.user_id
    }

    /// Which service sent it.
    #[must_use]
    pub const fn source_service(&self) -> &SourceService {
        &self.0.source_service
    }

    /// The order it belongs to.
    #[must_use]
    pub const fn related_order_id(&self) -> Option<&OrderId> {
        self.0.related_order_id.as_ref()
    }

    /// The key under which it takes effect at most once.
    #[must_use]
    pub const fn idempotency_key(&self) -> &IdempotencyKey {
        &self.0.idempotency_key
    }

    /// The client's clock, Unix milliseconds.
    #[must_use]
    pub const fn created_msec(&self) -> i64 {
        self.0.created_msec
    }

    /// What moves, in order. Never empty.
    #[must_use]
    pub fn changes(&self) -> &[BalanceChange] {
        &self.0.changes
    }
}

/// Why the parts are no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// An event must change something.
    #[error("is empty; an event needs at least one change")]
    NoChanges,
    /// Beyond [`CHANGES_MAX`].
    #[error("holds {found} changes; at most {CHANGES_MAX} are allowed")]
    TooManyChanges {
        /// Changes found.
        found: usize,
    },
    /// Two changes share a label.
    #[error("repeats the change_id of an earlier change of the event")]
    RepeatedChangeId {
        /// Which change, from 0.
        index: usize,
    },
    /// Both deltas are zero.
    #[error("moves nothing; available_delta or frozen_delta must differ from 0")]
    MovesNothing {
        /// Which change, from 0.
        index: usize,
        /// Whether it is the change's fallback.
        fallback: bool,
    },
    /// A fallback must be another currency.
    #[error("is the currency of the change itself; a fallback needs another one")]
    FallbackInSameCurrency {
        /// Which change, from 0.
        index: usize,
    },
}

impl EventError {
    /// The path of the offending field inside the event, e.g. `changes[2].fallback`.
    #[must_use]
    pub fn field(&self) -> String {
        match self {
            Self::NoChanges | Self::TooManyChanges { .. } => "changes".to_owned(),
            Self::RepeatedChangeId { index } => format!("changes[{index}].change_id"),
            Self::MovesNothing {
                index,
                fallback: false,
            } => format!("changes[{index}]"),
            Self::MovesNothing {
                index,
                fallback: true,
            } => format!("changes[{index}].fallback"),
            Self::FallbackInSameCurrency { index } => {
                format!("changes[{index}].fallback.currency_code")
            }
        }
    }
}
