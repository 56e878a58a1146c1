//! Events, put together from exact decimal texts.

use axs_proto::v1::{BalanceChange, BalanceChangeEvent, BalanceChangeFallback};
use std::time::{SystemTime, UNIX_EPOCH};

/// What is added to the two parts of a balance of one currency, as exact decimal texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deltas {
    currency: String,
    available: String,
    frozen: String,
}

impl Deltas {
    /// `available` and `frozen` are added; `"0"` where a part stays.
    #[must_use]
    pub fn new(
        currency: impl Into<String>,
        available: impl Into<String>,
        frozen: impl Into<String>,
    ) -> Self {
        Self {
            currency: currency.into(),
            available: available.into(),
            frozen: frozen.into(),
        }
    }
}

/// A balance change event that is being put together.
///
/// Nothing is checked here: the server names every field that is wrong, see
/// [`Answer::Refused`](crate::Answer::Refused). Amounts are decimal texts, e.g. `"-12.5"`; there is
/// no way to give a float.
#[derive(Debug, Clone, PartialEq)]
pub struct EventBuilder {
    event: BalanceChangeEvent,
}

impl EventBuilder {
    /// An event of the account, owned by the user, under the idempotency key.
    ///
    /// One key an intention: keep it, and submit the same event again whenever an outcome is
    /// unknown. Until they are given, the event's id is the key, and its time this machine's clock.
    #[must_use]
    pub fn new(account_id: i64, user_id: i64, idempotency_key: impl Into<String>) -> Self {
        let idempotency_key = idempotency_key.into();
        Self {
            event: BalanceChangeEvent {
                event_id: idempotency_key.clone(),
                account_id,
                user_id,
                idempotency_key,
                created_msec: unix_msec(),
                ..BalanceChangeEvent::default()
            },
        }
    }

    /// What kind of event this is, e.g. `order.hold`.
    #[must_use]
    pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
        self.event.event_type = event_type.into();
        self
    }

    /// The service that sends it.
    #[must_use]
    pub fn source_service(mut self, source_service: impl Into<String>) -> Self {
        self.event.source_service = source_service.into();
        self
    }

    /// The caller's own label of the event.
    #[must_use]
    pub fn event_id(mut self, event_id: impl Into<String>) -> Self {
        self.event.event_id = event_id.into();
        self
    }

    /// The order that it belongs to.
    #[must_use]
    pub fn related_order_id(mut self, order_id: impl Into<String>) -> Self {
        self.event.related_order_id = order_id.into();
        self
    }

    /// When it came to be, Unix milliseconds. Kept, and decides nothing.
    #[must_use]
    pub const fn created_msec(mut self, msec: i64) -> Self {
        self.event.created_msec = msec;
        self
    }

    /// Adds a change behind those there are: `available` and `frozen` are added to the two parts of
    /// the balance, `"0"` where a part stays. Its label is its number in the event, from 1.
    #[must_use]
    pub fn change(
        self,
        currency: impl Into<String>,
        available: impl Into<String>,
        frozen: impl Into<String>,
    ) -> Self {
        self.push(Deltas::new(currency, available, frozen), None)
    }

    /// Adds a change as [`change`](Self::change) does, with a fallback: another currency and its
    /// deltas, tried when the first lacks available funds. Both are given at once, so that there is
    /// no fallback without its change.
    #[must_use]
    pub fn change_with_fallback(self, primary: Deltas, fallback: Deltas) -> Self {
        self.push(primary, Some(fallback))
    }

    fn push(mut self, primary: Deltas, fallback: Option<Deltas>) -> Self {
        self.event.changes.push(BalanceChange {
            change_id: (self.event.changes.len() + 1).to_string(),
            currency_code: primary.currency,
            available_delta: primary.available,
            frozen_delta: primary.frozen,
            fallback: fallback.map(|fallback| BalanceChangeFallback {
                currency_code: fallback.currency,
                available_delta: fallback.available,
                frozen_delta: fallback.frozen,
            }),
        });
        self
    }

    /// The event.
    #[must_use]
    pub fn build(self) -> BalanceChangeEvent {
        self.event
    }
}

impl From<EventBuilder> for BalanceChangeEvent {
    fn from(builder: EventBuilder) -> Self {
        builder.build()
    }
}

/// A clock before 1970 counts as 1970: the time decides nothing.
fn unix_msec() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_its_changes_in_their_order_and_their_texts_as_they_are() {
        let event = EventBuilder::new(7, 70, "k1")
            .event_type("order.fee")
            .source_service("matching")
            .related_order_id("o9")
            .created_msec(5)
            .change_with_fallback(
                Deltas::new("BNB", "-0.10", "0"),
                Deltas::new("USDT", "-3.000", "0"),
            )
            .change("BTC", "0", "-1")
            .build();
        assert_eq!((event.account_id, event.user_id), (7, 70));
        assert_eq!(event.event_id, "k1");
        assert_eq!(event.created_msec, 5);
        let labels: Vec<&str> = event.changes.iter().map(|c| c.change_id.as_str()).collect();
        assert_eq!(labels, ["1", "2"]);
        assert_eq!(event.changes[0].currency_code, "BNB");
        assert_eq!(event.changes[0].available_delta, "-0.10");
        let fallback = event.changes[0].fallback.as_ref().unwrap();
        assert_eq!(fallback.currency_code, "USDT");
        assert_eq!(fallback.available_delta, "-3.000");
        assert_eq!(event.changes[1].fallback, None);
    }
}
