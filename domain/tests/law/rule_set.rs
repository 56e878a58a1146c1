//! The set of rules: ordered, named, and never without the first.

use crate::support::builder::{account, amount, book_of, code, event_of, told_alone};
use crate::support::rule::{Generous, RefuseExactly, Witness};
use axs_domain::decision::decide;
use axs_domain::rule::{BalanceRule, BalanceRuleSet, CreditLimit, NonNegative, RuleSetError};
use axs_domain::time::Timestamp;
use std::sync::Arc;

type Rules = Vec<Arc<dyn BalanceRule>>;

fn refuse(name: &'static str, available_delta: &str) -> Arc<dyn BalanceRule> {
    Arc::new(RefuseExactly {
        name,
        available_delta: amount(available_delta),
    })
}

fn generous(name: &'static str, credit: &str) -> Arc<dyn BalanceRule> {
    Arc::new(Generous {
        name,
        credit: amount(credit),
    })
}

#[test]
fn a_set_begins_with_non_negative_and_names_no_rule_twice() {
    let non_negative = || -> Arc<dyn BalanceRule> { Arc::new(NonNegative) };
    let rows: Vec<(Rules, Result<Vec<&str>, RuleSetError>)> = vec![
        (vec![], Err(RuleSetError::NonNegativeIsNotFirst)),
        (
            vec![refuse("a", "1")],
            Err(RuleSetError::NonNegativeIsNotFirst),
        ),
        (
            vec![refuse("a", "1"), non_negative()],
            Err(RuleSetError::NonNegativeIsNotFirst),
        ),
        (vec![non_negative()], Ok(vec!["non-negative"])),
        (
            vec![non_negative(), refuse("b", "1"), refuse("a", "1")],
            Ok(vec!["non-negative", "b", "a"]),
        ),
        (
            vec![non_negative(), non_negative()],
            Err(RuleSetError::Repeated {
                rule: "non-negative",
            }),
        ),
        (
            vec![
                non_negative(),
                refuse("a", "1"),
                refuse("b", "1"),
                refuse("a", "2"),
            ],
            Err(RuleSetError::Repeated { rule: "a" }),
        ),
    ];
    for (rules, expected) in rows {
        let seen = BalanceRuleSet::try_new(rules.clone());
        assert_eq!(
            seen.map(|set| set.names().collect::<Vec<_>>()),
            expected,
            "{rules:?}"
        );
    }
}

#[test]
fn the_names_in_settings_are_pinned() {
    assert_eq!(NonNegative.name(), "non-negative");
    assert_eq!(CreditLimit::default().name(), "credit-limit");
    assert_eq!(
        BalanceRuleSet::non_negative().names().collect::<Vec<_>>(),
        ["non-negative"]
    );
}

#[test]
fn the_first_rule_that_refuses_is_the_one_told() {
    let set = |first, second| {
        BalanceRuleSet::try_new(vec![
            Arc::new(NonNegative),
            refuse(first, "-1"),
            refuse(second, "-1"),
        ])
        .unwrap()
    };
    let spend = || event_of(1).change("USD", "-1", "0");
    let rich = [("USD", "5", "0", 1)];
    assert_eq!(
        told_alone(spend(), &rich, &set("a", "b")),
        "no: changes[0]: rule a refuses the change in USD: not -1"
    );
    assert_eq!(
        told_alone(spend(), &rich, &set("b", "a")),
        "no: changes[0]: rule b refuses the change in USD: not -1"
    );
    assert_eq!(
        told_alone(spend(), &[("USD", "0", "0", 1)], &set("a", "b")),
        "no: changes[0]: asked for 1 USD, 0 available"
    );
}

#[test]
fn no_rule_passes_for_non_negative_by_its_name() {
    let impostor = generous(NonNegative::NAME, "1000");
    let rules = BalanceRuleSet::try_new(vec![impostor]).unwrap();
    assert_eq!(
        told_alone(
            event_of(1).change("USD", "-1", "0"),
            &[("USD", "0", "0", 1)],
            &rules
        ),
        "no: changes[0]: asked for 1 USD, 0 available"
    );
}

#[test]
fn the_largest_credit_that_a_rule_grants_counts() {
    let set = |credits: [&str; 2]| {
        BalanceRuleSet::try_new(vec![
            Arc::new(NonNegative),
            generous("a", credits[0]),
            generous("b", credits[1]),
        ])
        .unwrap()
    };
    let rows = [
        (["3", "8"], "8"),
        (["8", "3"], "8"),
        (["-3", "-8"], "0"),
        (["0", "-1"], "0"),
    ];
    for (credits, expected) in rows {
        let granted = set(credits).credit_limit(account(1), code("USD"));
        assert_eq!(granted, amount(expected), "{credits:?}");
    }
    let none = BalanceRuleSet::non_negative().credit_limit(account(1), code("USD"));
    assert_eq!(none, amount("0"));
}

#[test]
fn a_rule_is_shown_each_attempt_with_the_time_its_event_was_logged() {
    let witness = Arc::new(Witness::default());
    let credit = CreditLimit::new([(account(1), code("EUR"), amount("3"))]);
    let rules = BalanceRuleSet::try_new(vec![
        Arc::new(NonNegative),
        Arc::new(credit),
        witness.clone(),
    ])
    .unwrap();
    let first = event_of(1)
        .change("USD", "5", "0")
        .change("USD", "-2", "2")
        .build();
    let second = event_of(1)
        .change("BTC", "-1", "0")
        .or_else("EUR", "-3", "0")
        .build();
    let at = Timestamp::from_unix_micros;
    let book = book_of(&[
        ("USD", "1", "0", 1),
        ("BTC", "0", "0", 0),
        ("EUR", "0", "0", 0),
    ]);
    decide([(&first, at(10)), (&second, at(7))], &book, &rules).unwrap();
    // The attempt in BTC lacked funds: the first rule refused it and no later one was asked.
    assert_eq!(
        *witness.shown.lock().unwrap(),
        [
            "account 1 at 1970-01-01T00:00:00.000010Z: USD 1/0 by 5/0 to 6/0, credit 0",
            "account 1 at 1970-01-01T00:00:00.000010Z: USD 6/0 by -2/2 to 4/2, credit 0",
            "account 1 at 1970-01-01T00:00:00.000007Z: EUR 0/0 by -3/0 to -3/0, credit 3",
        ]
    );
}
