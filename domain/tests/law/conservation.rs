//! Money comes from nowhere and goes nowhere; an event moves all it asks for, or nothing.

use crate::support::spec::Scenario;
use crate::support::strategy::{any_scenario, any_scenario_without_credit};
use axs_domain::change::Branch;
use axs_domain::decision::{BatchDecision, Outcome};
use num_bigint::BigInt;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Available and frozen of one currency.
type Totals = BTreeMap<String, (BigInt, BigInt)>;

fn asked_by_applied_events(scenario: &Scenario, decision: &BatchDecision) -> Totals {
    let mut totals = Totals::new();
    for (event, outcome) in scenario.events.iter().zip(&decision.outcomes) {
        let Outcome::Applied(entries) = outcome else {
            continue;
        };
        // From what was asked, not from what the entries say was applied.
        for (change, entry) in event.changes.iter().zip(entries) {
            let part = match entry.branch {
                Branch::Primary => change.primary,
                Branch::Fallback => change.fallback.unwrap(),
            };
            let total = totals.entry(part.currency.to_owned()).or_default();
            total.0 += part.available;
            total.1 += part.frozen;
        }
    }
    totals
}

fn moved_by_writes(scenario: &Scenario, decision: &BatchDecision) -> Totals {
    let book = scenario.book();
    let mut totals = Totals::new();
    for (key, write) in &decision.writes {
        let before = book.find(key).unwrap().balance;
        let after = write.after.balance;
        let total = totals.entry(key.currency.to_string()).or_default();
        total.0 += BigInt::from(after.available.units()) - before.available.units();
        total.1 += BigInt::from(after.frozen.units()) - before.frozen.units();
    }
    totals
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn no_money_is_made_or_lost_in_any_currency(scenario in any_scenario()) {
        let decision = scenario.decide();
        prop_assert_eq!(
            moved_by_writes(&scenario, &decision),
            asked_by_applied_events(&scenario, &decision)
        );
    }

    #[test]
    fn an_event_moves_every_change_it_asks_for_or_none(scenario in any_scenario()) {
        let decision = scenario.decide();
        prop_assert_eq!(decision.outcomes.len(), scenario.events.len());
        for (event, outcome) in scenario.events().iter().zip(&decision.outcomes) {
            match outcome {
                Outcome::Applied(entries) => {
                    prop_assert_eq!(entries.len(), event.changes().len());
                    for (index, (entry, change)) in entries.iter().zip(event.changes()).enumerate()
                    {
                        prop_assert_eq!(entry.change_index, index);
                        let asked = match entry.branch {
                            Branch::Primary => Some(change.primary),
                            Branch::Fallback => change.fallback,
                        };
                        prop_assert_eq!(Some(entry.applied), asked);
                    }
                }
                Outcome::Rejected(rejection) => {
                    prop_assert!(rejection.change_index < event.changes().len());
                    let had_fallback = event.changes()[rejection.change_index].fallback.is_some();
                    prop_assert!(had_fallback || rejection.fallback.is_none());
                }
            }
        }
        let none_applied = decision.outcomes.iter().all(|o| matches!(o, Outcome::Rejected(_)));
        prop_assert_eq!(decision.writes.is_empty(), none_applied);
    }

    #[test]
    fn without_credit_no_part_of_any_balance_ever_goes_below_zero(
        scenario in any_scenario_without_credit(),
    ) {
        for outcome in scenario.decide().outcomes {
            if let Outcome::Applied(entries) = outcome {
                for entry in entries {
                    prop_assert!(!entry.after.balance.available.is_negative(), "{:?}", entry);
                    prop_assert!(!entry.after.balance.frozen.is_negative(), "{:?}", entry);
                }
            }
        }
    }

    #[test]
    fn with_credit_nothing_is_spent_beyond_it_and_frozen_stays_above_zero(
        scenario in any_scenario(),
    ) {
        let decision = scenario.decide();
        for (event, outcome) in scenario.events.iter().zip(decision.outcomes) {
            let Outcome::Applied(entries) = outcome else { continue };
            for entry in entries {
                let limits = scenario.credit.iter();
                let limit: i128 = limits
                    .filter(|((account, currency), _)| {
                        *account == event.account && *currency == entry.applied.currency.as_str()
                    })
                    .map(|(_, limit)| *limit)
                    .sum();
                let spends = entry.applied.delta.available.is_negative();
                let after = entry.after.balance;
                prop_assert!(!spends || after.available.units() >= -limit, "{:?}", entry);
                prop_assert!(!after.frozen.is_negative(), "{:?}", entry);
            }
        }
    }
}
