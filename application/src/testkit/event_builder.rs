//! Events in one line.

use super::{account_id, amount, code, user_of};
use axs_domain::balance::Delta;
use axs_domain::change::{BalanceChange, CurrencyDelta};
use axs_domain::event::{BalanceChangeEvent, EventParts};
use axs_domain::text::{ChangeId, EventId, EventType, IdempotencyKey, OrderId, SourceService};

/// Builds an event: a deposit of 1 USD to the account unless changes are given.
#[derive(Debug, Clone)]
pub struct EventBuilder(EventParts);

impl EventBuilder {
    /// An event of [`super::account`] `account` under this key.
    #[must_use]
    pub fn new(account: i64, key: &str) -> Self {
        Self(EventParts {
            event_id: EventId::parse(&format!("event-{key}")).unwrap(),
            event_type: EventType::parse("deposit").unwrap(),
            account_id: account_id(account),
            user_id: user_of(account),
            source_service: SourceService::parse("tests").unwrap(),
            related_order_id: None,
            idempotency_key: IdempotencyKey::parse(key).unwrap(),
            created_msec: 1_700_000_000_000,
            changes: Vec::new(),
        })
    }

    /// Names the user that owns `account` instead of the account's own.
    #[must_use]
    pub fn user_of(mut self, account: i64) -> Self {
        self.0.user_id = user_of(account);
        self
    }

    /// Another event type.
    #[must_use]
    pub fn event_type(mut self, text: &str) -> Self {
        self.0.event_type = EventType::parse(text).unwrap();
        self
    }

    /// The order it belongs to.
    #[must_use]
    pub fn order(mut self, text: &str) -> Self {
        self.0.related_order_id = Some(OrderId::parse(text).unwrap());
        self
    }

    /// One more change, labelled `change-0`, `change-1` …
    #[must_use]
    pub fn change(mut self, currency: &str, available: &str, frozen: &str) -> Self {
        let label = format!("change-{}", self.0.changes.len());
        self.0.changes.push(BalanceChange {
            change_id: ChangeId::parse(&label).unwrap(),
            primary: part(currency, available, frozen),
            fallback: None,
        });
        self
    }

    /// A fallback for the last change.
    #[must_use]
    pub fn fallback(mut self, currency: &str, available: &str, frozen: &str) -> Self {
        self.0.changes.last_mut().unwrap().fallback = Some(part(currency, available, frozen));
        self
    }

    /// The event.
    #[must_use]
    pub fn build(self) -> BalanceChangeEvent {
        let with_changes = if self.0.changes.is_empty() {
            self.change("USD", "1", "0")
        } else {
            self
        };
        BalanceChangeEvent::try_new(with_changes.0).unwrap()
    }
}

fn part(currency: &str, available: &str, frozen: &str) -> CurrencyDelta {
    CurrencyDelta {
        currency: code(currency),
        delta: Delta {
            available: amount(available),
            frozen: amount(frozen),
        },
    }
}
