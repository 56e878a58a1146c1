//! What a client asks for: changes of one account, all or none.

use crate::change::{BalanceChange, CurrencyDelta};
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
        check_count(parts.changes.len())?;
        let mut earlier = HashSet::with_capacity(parts.changes.len());
        for (index, change) in parts.changes.iter().enumerate() {
            let known = KnownChange {
                change_id: Some(change.change_id.as_str()),
                primary: Some(change.primary),
                fallback: change.fallback,
            };
            for check in known.checks(index, &mut earlier) {
                check?;
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

/// An event needs a change, and not more than [`CHANGES_MAX`].
pub(crate) const fn check_count(found: usize) -> Result<(), EventError> {
    match found {
        0 => Err(EventError::NoChanges),
        1..=CHANGES_MAX => Ok(()),
        _ => Err(EventError::TooManyChanges { found }),
    }
}

/// What is known of a change. A part that could not be read is absent, and no check asks for it.
pub(crate) struct KnownChange<'a> {
    pub(crate) change_id: Option<&'a str>,
    pub(crate) primary: Option<CurrencyDelta>,
    pub(crate) fallback: Option<CurrencyDelta>,
}

impl<'a> KnownChange<'a> {
    /// The checks of one change's shape, in the order of the fields that they are about: the id is
    /// not among the `earlier` ones, which it joins; the primary moves something; the fallback
    /// does; the fallback is in another currency.
    pub(crate) fn checks(
        &self,
        index: usize,
        earlier: &mut HashSet<&'a str>,
    ) -> [Result<(), EventError>; 4] {
        let holds = |sound: bool, error| if sound { Ok(()) } else { Err(error) };
        let moves = |part: Option<CurrencyDelta>| part.is_none_or(|part| !part.delta.is_zero());
        let currency = |part: Option<CurrencyDelta>| part.map(|part| part.currency);
        let idle = |fallback| EventError::MovesNothing { index, fallback };
        [
            holds(
                self.change_id.is_none_or(|id| earlier.insert(id)),
                EventError::RepeatedChangeId { index },
            ),
            holds(moves(self.primary), idle(false)),
            holds(moves(self.fallback), idle(true)),
            holds(
                self.fallback.is_none() || currency(self.fallback) != currency(self.primary),
                EventError::FallbackInSameCurrency { index },
            ),
        ]
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
