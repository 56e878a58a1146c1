//! Credit: how far below zero a rule lets one account go in one currency.

use crate::support::builder::{account, amount, code, decide_all, event_of, key, told_alone};
use crate::support::builder::{balance, told};
use axs_domain::book::BalanceBook;
use axs_domain::rule::{BalanceRuleSet, CreditLimit, NonNegative};
use std::sync::Arc;

fn with_credit(limits: &[(i64, &str, &str)]) -> BalanceRuleSet {
    let limits = limits
        .iter()
        .map(|(number, currency, limit)| (account(*number), code(currency), amount(limit)));
    BalanceRuleSet::try_new(vec![
        Arc::new(NonNegative),
        Arc::new(CreditLimit::new(limits)),
    ])
    .unwrap()
}

#[test]
fn available_goes_below_zero_as_far_as_the_limit_and_no_further() {
    let rows = [
        // limit, available before, available delta, outcome
        ("10", "5", "-15", "USD -10/0 v2"),
        (
            "10",
            "5",
            "-15.01",
            "no: changes[0]: asked for 15.01 USD, 5 available and 10 credit",
        ),
        (
            "10",
            "-10",
            "-0.01",
            "no: changes[0]: asked for 0.01 USD, -10 available and 10 credit",
        ),
        (
            "0",
            "5",
            "-5.01",
            "no: changes[0]: asked for 5.01 USD, 5 available",
        ),
        // A negative limit grants nothing; it must not forbid what there is either.
        ("-3", "5", "-5", "USD 0/0 v2"),
    ];
    for (limit, before, delta, expected) in rows {
        let told = told_alone(
            event_of(1).change("USD", delta, "0"),
            &[("USD", before, "0", 1)],
            &with_credit(&[(1, "USD", limit)]),
        );
        assert_eq!(told, expected, "limit {limit}, {before} {delta}");
    }
}

#[test]
fn a_limit_lowered_under_an_overdrawn_balance_stops_spending_and_nothing_else() {
    let rows = [
        (
            "a deposit that leaves it below the limit",
            "3",
            "0",
            "USD -47/5 v8",
        ),
        (
            "a deposit that lifts it above the limit",
            "45",
            "0",
            "USD -5/5 v8",
        ),
        ("a capture of what is frozen", "0", "-5", "USD -50/0 v8"),
        ("a release of what is frozen", "5", "-5", "USD -45/0 v8"),
        ("a deposit into the frozen part", "0", "5", "USD -50/10 v8"),
        (
            "any spending",
            "-0.01",
            "0",
            "no: changes[0]: asked for 0.01 USD, -50 available and 10 credit",
        ),
        (
            "a hold",
            "-1",
            "1",
            "no: changes[0]: asked for 1 USD, -50 available and 10 credit",
        ),
        (
            "a release of more than is frozen",
            "6",
            "-6",
            "no: changes[0]: asked for 6 USD of the frozen part, 5 frozen",
        ),
    ];
    for (claim, available, frozen, expected) in rows {
        let told = told_alone(
            event_of(1).change("USD", available, frozen),
            &[("USD", "-50", "5", 7)],
            &with_credit(&[(1, "USD", "10")]),
        );
        assert_eq!(told, expected, "{claim}");
    }
}

#[test]
fn credit_never_lets_the_frozen_part_go_below_zero() {
    let told = told_alone(
        event_of(1).change("USD", "0", "-1"),
        &[("USD", "100", "0", 1)],
        &with_credit(&[(1, "USD", "10")]),
    );
    assert_eq!(
        told,
        "no: changes[0]: asked for 1 USD of the frozen part, 0 frozen"
    );
}

#[test]
fn a_limit_holds_for_its_account_and_currency_alone() {
    let rules = with_credit(&[(1, "USD", "10")]);
    let keys = [key(1, "USD"), key(1, "EUR"), key(2, "USD")];
    let book = BalanceBook::new(keys.map(|key| (key, balance("0", "0", 0))));
    let events = [
        event_of(1).change("USD", "-10", "0").build(),
        event_of(1).change("EUR", "-10", "0").build(),
        event_of(2).change("USD", "-10", "0").build(),
    ];
    let outcomes: Vec<String> = decide_all(&events, &book, &rules)
        .outcomes
        .iter()
        .map(told)
        .collect();
    assert_eq!(
        outcomes,
        [
            "USD -10/0 v1",
            "no: changes[0]: asked for 10 EUR, 0 available",
            "no: changes[0]: asked for 10 USD, 0 available",
        ]
    );
}

#[test]
fn of_two_limits_for_one_balance_the_later_stands() {
    let rules = with_credit(&[(1, "USD", "10"), (1, "USD", "4")]);
    assert_eq!(rules.credit_limit(account(1), code("USD")), amount("4"));
}
