//! A scenario in plain numbers: neither the domain's words nor the model's.

use super::builder::{account, code, event_of};
use super::rule::RefuseExactly;
use axs_domain::amount::Amount;
use axs_domain::balance::{Balance, BalanceKey, Delta, VersionedBalance};
use axs_domain::book::BalanceBook;
use axs_domain::change::CurrencyDelta;
use axs_domain::decision::{BatchDecision, MissingBalance, decide};
use axs_domain::event::BalanceChangeEvent;
use axs_domain::id::BalanceVersion;
use axs_domain::rule::{BalanceRuleSet, CreditLimit, NonNegative};
use axs_domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Account and currency.
pub type SpecKey = (i64, &'static str);

/// One currency's movement, in units of 10⁻¹⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoveSpec {
    pub currency: &'static str,
    pub available: i128,
    pub frozen: i128,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSpec {
    pub primary: MoveSpec,
    pub fallback: Option<MoveSpec>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSpec {
    pub account: i64,
    pub changes: Vec<ChangeSpec>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceSpec {
    pub available: i128,
    pub frozen: i128,
    pub version: i64,
}

/// The available delta, in units, that the scenario's last rule refuses.
pub const REFUSED_UNITS: i128 = -7;

#[derive(Debug, Clone)]
pub struct Scenario {
    pub balances: BTreeMap<SpecKey, BalanceSpec>,
    pub credit: BTreeMap<SpecKey, i128>,
    pub events: Vec<EventSpec>,
}

pub fn units(units: i128) -> Amount {
    Amount::try_from_units(units).unwrap()
}

pub fn domain_key((number, currency): SpecKey) -> BalanceKey {
    BalanceKey {
        account_id: account(number),
        currency: code(currency),
    }
}

fn domain_part(part: &MoveSpec) -> CurrencyDelta {
    CurrencyDelta {
        currency: code(part.currency),
        delta: Delta {
            available: units(part.available),
            frozen: units(part.frozen),
        },
    }
}

impl EventSpec {
    pub fn event(&self) -> BalanceChangeEvent {
        self.changes
            .iter()
            .fold(event_of(self.account), |event, change| {
                let event = event.primary(domain_part(&change.primary));
                match &change.fallback {
                    Some(fallback) => event.fallback(domain_part(fallback)),
                    None => event,
                }
            })
            .build()
    }
}

impl Scenario {
    pub fn book(&self) -> BalanceBook {
        BalanceBook::new(self.balances.iter().map(|(key, spec)| {
            let balance = Balance {
                available: units(spec.available),
                frozen: units(spec.frozen),
            };
            let version = BalanceVersion::try_new(spec.version).unwrap();
            (domain_key(*key), VersionedBalance { balance, version })
        }))
    }

    pub fn rules(&self) -> BalanceRuleSet {
        let limits = self
            .credit
            .iter()
            .map(|((number, currency), limit)| (account(*number), code(currency), units(*limit)));
        BalanceRuleSet::try_new(vec![
            Arc::new(NonNegative),
            Arc::new(CreditLimit::new(limits)),
            Arc::new(RefuseExactly {
                name: "no-sevens",
                available_delta: units(REFUSED_UNITS),
            }),
        ])
        .unwrap()
    }

    pub fn events(&self) -> Vec<BalanceChangeEvent> {
        self.events.iter().map(EventSpec::event).collect()
    }

    pub fn decide(&self) -> BatchDecision {
        self.decide_part(&self.events(), &self.book()).unwrap()
    }

    /// Decides some of the scenario's events, under its rules, over another book.
    pub fn decide_part(
        &self,
        events: &[BalanceChangeEvent],
        book: &BalanceBook,
    ) -> Result<BatchDecision, MissingBalance> {
        let logged = (0..).map(Timestamp::from_unix_micros);
        decide(events.iter().zip(logged), book, &self.rules())
    }
}
