//! The events of the baselines.

use crate::load::{Accounts, Dice};
use uuid::{Builder, Uuid};

/// What a baseline is told of an event.
pub struct Event {
    /// Ordered by time, as AXS's are.
    pub log_id: Uuid,
    /// Its account.
    pub account: i64,
    /// A UUID as text.
    pub key: String,
    /// A decimal.
    pub delta: String,
}

/// Draws events.
pub struct Drawn {
    accounts: Accounts,
    dice: Dice,
}

impl Drawn {
    /// No other seed makes the same keys.
    pub const fn new(accounts: Accounts, seed: u64) -> Self {
        Self {
            accounts,
            dice: Dice::new(seed),
        }
    }

    /// The next event.
    pub fn next(&mut self) -> Event {
        let (high, low) = (self.dice.number(), self.dice.number());
        let key =
            Builder::from_random_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes());
        let cents = self.dice.place(10_000) + 1;
        let sign = if self.dice.number() & 1 == 0 { "-" } else { "" };
        Event {
            log_id: Uuid::now_v7(),
            account: self.accounts.draw(&mut self.dice),
            key: key.into_uuid().to_string(),
            delta: format!("{sign}{}.{:02}", cents / 100, cents % 100),
        }
    }
}
