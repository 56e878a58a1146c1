//! Builders: a test names what matters to it and leaves the rest alone.

use axs_domain::amount::Amount;
use axs_domain::balance::{Balance, BalanceKey, Delta, VersionedBalance};
use axs_domain::book::BalanceBook;
use axs_domain::change::{BalanceChange, Branch, CurrencyDelta};
use axs_domain::currency::CurrencyCode;
use axs_domain::decision::{BatchDecision, Outcome, decide};
use axs_domain::event::{BalanceChangeEvent, EventError, EventParts};
use axs_domain::id::{AccountId, BalanceVersion, UserId};
use axs_domain::rule::BalanceRuleSet;
use axs_domain::text::{
    ChangeId, EventId, EventType, IdempotencyKey, OrderId, PoolName, SourceService,
};
use axs_domain::time::Timestamp;

pub fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

pub fn code(text: &str) -> CurrencyCode {
    CurrencyCode::parse(text).unwrap()
}

pub fn account(number: i64) -> AccountId {
    AccountId::try_new(number).unwrap()
}

pub fn version(number: i64) -> BalanceVersion {
    BalanceVersion::try_new(number).unwrap()
}

pub fn pool(name: &str) -> PoolName {
    PoolName::parse(name).unwrap()
}

pub fn order(text: &str) -> OrderId {
    OrderId::parse(text).unwrap()
}

pub fn key(account_number: i64, currency: &str) -> BalanceKey {
    BalanceKey {
        account_id: account(account_number),
        currency: code(currency),
    }
}

pub fn part(currency: &str, available: &str, frozen: &str) -> CurrencyDelta {
    CurrencyDelta {
        currency: code(currency),
        delta: Delta {
            available: amount(available),
            frozen: amount(frozen),
        },
    }
}

pub fn balance(available: &str, frozen: &str, at_version: i64) -> VersionedBalance {
    VersionedBalance {
        balance: Balance {
            available: amount(available),
            frozen: amount(frozen),
        },
        version: version(at_version),
    }
}

/// An event of the account, without changes yet.
pub fn event_of(account_number: i64) -> EventBuilder {
    EventBuilder(EventParts {
        event_id: EventId::parse("event-1").unwrap(),
        event_type: EventType::parse("order.hold").unwrap(),
        account_id: account(account_number),
        user_id: UserId::try_new(7).unwrap(),
        source_service: SourceService::parse("matching").unwrap(),
        related_order_id: None,
        idempotency_key: IdempotencyKey::parse("key-1").unwrap(),
        created_msec: 1_700_000_000_000,
        changes: Vec::new(),
    })
}

/// Grows an event change by change.
#[derive(Debug, Clone)]
pub struct EventBuilder(EventParts);

impl EventBuilder {
    /// Adds a change.
    pub fn change(self, currency: &str, available: &str, frozen: &str) -> Self {
        self.primary(part(currency, available, frozen))
    }

    /// Gives the last change a fallback.
    pub fn or_else(self, currency: &str, available: &str, frozen: &str) -> Self {
        self.fallback(part(currency, available, frozen))
    }

    pub fn primary(mut self, primary: CurrencyDelta) -> Self {
        let change_id = ChangeId::parse(&format!("change-{}", self.0.changes.len())).unwrap();
        self.0.changes.push(BalanceChange {
            change_id,
            primary,
            fallback: None,
        });
        self
    }

    pub fn fallback(mut self, fallback: CurrencyDelta) -> Self {
        self.0.changes.last_mut().unwrap().fallback = Some(fallback);
        self
    }

    /// Edits any field.
    pub fn with(mut self, edit: impl FnOnce(&mut EventParts)) -> Self {
        edit(&mut self.0);
        self
    }

    pub fn try_build(self) -> Result<BalanceChangeEvent, EventError> {
        BalanceChangeEvent::try_new(self.0)
    }

    pub fn build(self) -> BalanceChangeEvent {
        self.try_build().unwrap()
    }
}

/// A book of account 1: currency, available, frozen, version.
pub fn book_of(balances: &[(&str, &str, &str, i64)]) -> BalanceBook {
    BalanceBook::new(
        balances
            .iter()
            .map(|(currency, available, frozen, at_version)| {
                (key(1, currency), balance(available, frozen, *at_version))
            }),
    )
}

/// When every event of a table was logged.
pub fn logged_at() -> Timestamp {
    Timestamp::from_unix_micros(1_700_000_000_000_000)
}

pub fn decide_all(
    events: &[BalanceChangeEvent],
    book: &BalanceBook,
    rules: &BalanceRuleSet,
) -> BatchDecision {
    decide(events.iter().map(|event| (event, logged_at())), book, rules).unwrap()
}

/// The outcome in one line: `USD 5/0 v2, BTC* 1/0 v1` (`*` for a fallback), or `no: …`.
pub fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Rejected(rejection) => format!("no: {rejection}"),
        Outcome::Applied(entries) => {
            let lines = entries.iter().map(|entry| {
                let star = if entry.branch == Branch::Fallback {
                    "*"
                } else {
                    ""
                };
                let Balance { available, frozen } = entry.after.balance;
                let currency = entry.applied.currency;
                format!(
                    "{currency}{star} {available}/{frozen} v{}",
                    entry.after.version
                )
            });
            lines.collect::<Vec<_>>().join(", ")
        }
    }
}

/// Decides one event of account 1 alone and tells its outcome.
pub fn told_alone(
    event: EventBuilder,
    balances: &[(&str, &str, &str, i64)],
    rules: &BalanceRuleSet,
) -> String {
    told(&decide_all(&[event.build()], &book_of(balances), rules).outcomes[0])
}

/// The book after the decision.
pub fn book_after(mut book: BalanceBook, decision: &BatchDecision) -> BalanceBook {
    for (key, write) in &decision.writes {
        book.put(*key, write.after);
    }
    book
}
