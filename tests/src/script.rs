//! A script: the accounts, currencies and events of a run, and what must come out of each.

use crate::model::{CurrencyTerms, Expected, Model};
use axs_proto::v1::{
    BalanceChange, BalanceChangeEvent, BalanceChangeFallback, Currency, NewAccount,
};
use num_bigint::BigInt;

/// An event and what the API must answer.
#[derive(Debug, Clone)]
pub struct Item {
    /// The event.
    pub event: BalanceChangeEvent,
    /// The answer.
    pub expected: Expected,
}

/// What a run sends, in an order that need only be kept for each account, and the model after it.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// The currencies to register first.
    pub currencies: Vec<Currency>,
    /// The accounts to open first.
    pub accounts: Vec<NewAccount>,
    /// The events.
    pub items: Vec<Item>,
    /// What must stand at the end.
    pub model: Model,
}

impl Script {
    /// Adds a currency.
    pub fn register(&mut self, code: &str, decimals: u32, active: bool) {
        self.currencies.push(Currency {
            code: code.to_owned(),
            decimals: i32::try_from(decimals).unwrap_or(i32::MAX),
            active,
        });
        self.model
            .register(code, CurrencyTerms { decimals, active });
    }

    /// Adds an account.
    pub fn open(&mut self, account: i64, user: i64, pool: &str) {
        self.accounts.push(NewAccount {
            account_id: account,
            user_id: user,
            pool: pool.to_owned(),
        });
        self.model.open(account, user);
    }

    /// Adds an event: the model takes it, and says what the API must answer.
    pub fn push(&mut self, event: BalanceChangeEvent) -> &Expected {
        let expected = self.model.take(&event);
        let index = self.items.len();
        self.items.push(Item { event, expected });
        &self.items[index].expected
    }

    /// The events in as many rows as there are streams, those of one account in one row.
    #[must_use]
    pub fn streams(&self, count: usize) -> Vec<Vec<&Item>> {
        let mut streams = vec![Vec::new(); count.max(1)];
        let rows = streams.len();
        for item in &self.items {
            let row = usize::try_from(item.event.account_id.unsigned_abs()).unwrap_or(0) % rows;
            streams[row].push(item);
        }
        streams
    }
}

/// A change of one currency; amounts in units of 10⁻¹⁸.
#[must_use]
pub fn change(id: &str, currency: &str, available: &BigInt, frozen: &BigInt) -> BalanceChange {
    BalanceChange {
        change_id: id.to_owned(),
        currency_code: currency.to_owned(),
        available_delta: crate::model::print(available),
        frozen_delta: crate::model::print(frozen),
        fallback: None,
    }
}

/// The change with a second choice.
#[must_use]
pub fn or_else(mut change: BalanceChange, currency: &str, available: &BigInt) -> BalanceChange {
    change.fallback = Some(BalanceChangeFallback {
        currency_code: currency.to_owned(),
        available_delta: crate::model::print(available),
        frozen_delta: "0".to_owned(),
    });
    change
}

/// An event of the account under the key. Its user is [`user_of`] the account.
#[must_use]
pub fn event(
    account: i64,
    key: &str,
    kind: &str,
    order: &str,
    changes: Vec<BalanceChange>,
) -> BalanceChangeEvent {
    BalanceChangeEvent {
        event_id: format!("e-{key}"),
        event_type: kind.to_owned(),
        account_id: account,
        user_id: user_of(account),
        source_service: "exchange".to_owned(),
        related_order_id: order.to_owned(),
        idempotency_key: key.to_owned(),
        created_msec: 1_610_064_000_000,
        changes,
    }
}

/// The user that scripts give an account.
#[must_use]
pub const fn user_of(account: i64) -> i64 {
    account + 1_000_000
}
