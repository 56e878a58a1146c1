//! What must come out: accounts, currencies and balances in plain big integers.
//!
//! The model takes the events of the published contract, one after another in the order of each
//! account, and says for each what the API must answer and how it must end. It shares nothing
//! with the product: no types, no parser, no printer, no arithmetic.

mod content;
mod decision;
mod refusal;
mod units;

pub use content::Content;
pub use decision::{Entry, Outcome, Reason};
pub use refusal::ExpectedRefusal;
pub use units::{UNITS_MAX_DIGITS, decimals, parse, print, whole};

use axs_proto::v1::BalanceChangeEvent;
use num_bigint::BigInt;
use std::collections::BTreeMap;

/// What an account owns in one currency, in units of 10⁻¹⁸.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// Free to spend.
    pub available: BigInt,
    /// Under holds.
    pub frozen: BigInt,
    /// How many changes made it.
    pub version: i64,
}

/// A registered currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrencyTerms {
    /// Decimals that an amount may have.
    pub decimals: u32,
    /// Whether it takes new changes.
    pub active: bool,
}

/// What the API must answer at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Logged, now or earlier under the same key.
    Accepted {
        /// Whether the key was known.
        duplicate: bool,
    },
    /// Not taken.
    Refused(ExpectedRefusal),
}

/// An account and one of its idempotency keys.
pub type Key = (i64, String);

#[derive(Debug, Clone)]
struct Decided {
    content: Content,
    outcome: Outcome,
}

/// The accounts, the currencies and all that happened to them.
#[derive(Debug, Clone, Default)]
pub struct Model {
    users: BTreeMap<i64, i64>,
    currencies: BTreeMap<String, CurrencyTerms>,
    holdings: BTreeMap<(i64, String), Holding>,
    decided: BTreeMap<Key, Decided>,
}

impl Model {
    /// Opens an account.
    pub fn open(&mut self, account: i64, user: i64) {
        self.users.insert(account, user);
    }

    /// Registers a currency.
    pub fn register(&mut self, code: &str, terms: CurrencyTerms) {
        self.currencies.insert(code.to_owned(), terms);
    }

    /// Takes the next event of its account: what the API must answer. An event that is new is
    /// decided on the spot.
    pub fn take(&mut self, event: &BalanceChangeEvent) -> Expected {
        if let Err(refusal) = refusal::check(event, &self.users, &self.currencies) {
            return Expected::Refused(refusal);
        }
        let Some(content) = Content::of(event) else {
            // The check above read every amount already.
            return Expected::Refused(ExpectedRefusal::field("changes"));
        };
        let key = (event.account_id, event.idempotency_key.clone());
        if let Some(earlier) = self.decided.get(&key) {
            return if earlier.content == content {
                Expected::Accepted { duplicate: true }
            } else {
                Expected::Refused(ExpectedRefusal::key_reused())
            };
        }
        let outcome = decision::decide(&content, &mut self.holdings);
        self.decided.insert(key, Decided { content, outcome });
        Expected::Accepted { duplicate: false }
    }

    /// What the account owns in the currency.
    #[must_use]
    pub fn holding(&self, account: i64, currency: &str) -> Holding {
        self.holdings
            .get(&(account, currency.to_owned()))
            .cloned()
            .unwrap_or_default()
    }

    /// Every account.
    pub fn accounts(&self) -> impl Iterator<Item = i64> {
        self.users.keys().copied()
    }

    /// What an account owns, by currency: each that it ever had, in the order of the codes.
    pub fn holdings_of(&self, account: i64) -> impl Iterator<Item = (&str, &Holding)> {
        self.holdings
            .range((account, String::new())..)
            .take_while(move |((owner, _), _)| *owner == account)
            .map(|((_, currency), holding)| (currency.as_str(), holding))
    }

    /// How every accepted event must end, by account and key.
    pub fn outcomes(&self) -> impl Iterator<Item = (&Key, &Outcome)> {
        self.decided
            .iter()
            .map(|(key, decided)| (key, &decided.outcome))
    }

    /// How the event under the key must end.
    #[must_use]
    pub fn outcome(&self, account: i64, key: &str) -> Option<&Outcome> {
        self.decided
            .get(&(account, key.to_owned()))
            .map(|decided| &decided.outcome)
    }

    /// All the money of a currency, both parts of every account.
    #[must_use]
    pub fn total(&self, currency: &str) -> BigInt {
        self.holdings
            .iter()
            .filter(|((_, code), _)| code == currency)
            .map(|(_, holding)| &holding.available + &holding.frozen)
            .sum()
    }
}

#[cfg(test)]
mod tests;
