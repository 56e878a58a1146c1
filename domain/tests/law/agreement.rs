//! Any decision agrees with the model: outcomes, figures, balances, and what was looked at.

use crate::support::builder::{code, version};
use crate::support::model::{Model, ModelBalance, ModelOutcome, ModelReason};
use crate::support::spec::{EventSpec, Scenario, domain_key};
use crate::support::strategy::any_scenario;
use axs_domain::amount::Amount;
use axs_domain::balance::VersionedBalance;
use axs_domain::book::BalanceBook;
use axs_domain::change::Branch;
use axs_domain::decision::{MissingBalance, Outcome, balance_keys};
use axs_domain::rejection::Rejection;
use num_bigint::BigInt;
use proptest::prelude::*;

/// Compares one outcome of the domain with the model's, figures included.
fn agrees(
    event: &EventSpec,
    outcome: &Outcome,
    expected: &ModelOutcome,
) -> Result<(), TestCaseError> {
    match (outcome, expected) {
        (Outcome::Applied(entries), ModelOutcome::Applied(lines)) => {
            prop_assert_eq!(entries.len(), lines.len());
            for (index, (entry, (fell_back, currency, after))) in
                entries.iter().zip(lines).enumerate()
            {
                prop_assert_eq!(entry.change_index, index);
                prop_assert_eq!(entry.branch == Branch::Fallback, *fell_back);
                prop_assert_eq!(entry.applied.currency.as_str(), *currency);
                let asked = event.changes[index].fallback.filter(|_| *fell_back);
                let asked = asked.unwrap_or(event.changes[index].primary);
                prop_assert_eq!(entry.applied.delta.available.units(), asked.available);
                prop_assert_eq!(entry.applied.delta.frozen.units(), asked.frozen);
                prop_assert_eq!(&in_model(&entry.after), after);
            }
        }
        (
            Outcome::Rejected(seen),
            ModelOutcome::Rejected {
                change,
                currency,
                primary,
                fallback,
            },
        ) => {
            prop_assert_eq!(seen.change_index, *change);
            prop_assert_eq!(seen.primary.currency(), code(currency));
            prop_assert_eq!(&reason(&seen.primary), primary);
            prop_assert_eq!(&seen.fallback.as_ref().map(reason), fallback);
            if let (Some(refused), Some(asked)) = (&seen.fallback, &event.changes[*change].fallback)
            {
                prop_assert_eq!(refused.currency(), code(asked.currency));
            }
        }
        _ => prop_assert!(false, "{:?} against {:?}", outcome, expected),
    }
    Ok(())
}

fn in_model(balance: &VersionedBalance) -> ModelBalance {
    ModelBalance {
        available: balance.balance.available.units().into(),
        frozen: balance.balance.frozen.units().into(),
        version: balance.version.value(),
    }
}

fn reason(rejection: &Rejection) -> ModelReason {
    let big = |amount: Amount| BigInt::from(amount.units());
    match *rejection {
        Rejection::InsufficientAvailable {
            asked,
            available,
            credit,
            ..
        } => ModelReason::LacksAvailable {
            asked: big(asked),
            available: big(available),
            credit: big(credit),
        },
        Rejection::InsufficientFrozen { asked, frozen, .. } => ModelReason::LacksFrozen {
            asked: big(asked),
            frozen: big(frozen),
        },
        Rejection::BalanceOverflow { .. } => ModelReason::OutOfRange,
        Rejection::RuleRefused { .. } => ModelReason::Rule,
    }
}

fn run_model(scenario: &Scenario) -> (Model, Vec<ModelOutcome>) {
    let mut model = Model::of(scenario);
    let outcomes = scenario
        .events
        .iter()
        .map(|event| model.run(event))
        .collect();
    (model, outcomes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn every_outcome_and_every_balance_is_the_models(scenario in any_scenario()) {
        let decision = scenario.decide();
        let (model, outcomes) = run_model(&scenario);
        prop_assert_eq!(decision.outcomes.len(), outcomes.len());
        for ((event, seen), expected) in
            scenario.events.iter().zip(&decision.outcomes).zip(&outcomes)
        {
            agrees(event, seen, expected)?;
        }
        for spec_key in &model.moved {
            let write = decision.writes.get(&domain_key(*spec_key));
            let after = write.map(|write| in_model(&write.after));
            prop_assert_eq!(after.as_ref(), model.balances.get(spec_key));
        }
    }

    #[test]
    fn every_balance_looked_at_is_either_read_or_written_at_the_books_version(
        scenario in any_scenario(),
    ) {
        let decision = scenario.decide();
        let (model, _) = run_model(&scenario);
        for (spec_key, held) in &scenario.balances {
            let key = domain_key(*spec_key);
            let in_book = version(held.version);
            let moved = model.moved.contains(spec_key);
            let only_read = model.looked_at.contains(spec_key) && !moved;
            prop_assert_eq!(decision.writes.get(&key).map(|w| w.version_read), moved.then_some(in_book));
            prop_assert_eq!(decision.reads.get(&key).copied(), only_read.then_some(in_book));
        }
        // And nothing else: the two maps hold no key beyond those looked at.
        prop_assert_eq!(decision.reads.len() + decision.writes.len(), model.looked_at.len());
    }

    #[test]
    fn a_decision_asks_for_exactly_the_balances_it_looks_at(scenario in any_scenario()) {
        let (model, _) = run_model(&scenario);
        let events = scenario.events();
        let looked_at: Vec<_> = model.looked_at.iter().copied().map(domain_key).collect();
        let full = scenario.book();
        let book_without = |missing| {
            let needed = looked_at.iter().filter(|key| Some(**key) != missing);
            BalanceBook::new(needed.map(|key| (*key, full.find(key).unwrap())))
        };
        prop_assert_eq!(scenario.decide_part(&events, &book_without(None)), Ok(scenario.decide()));
        for key in &looked_at {
            let decided = scenario.decide_part(&events, &book_without(Some(*key)));
            prop_assert_eq!(decided, Err(MissingBalance(*key)));
            prop_assert!(events.iter().flat_map(balance_keys).any(|named| named == *key));
        }
    }
}
