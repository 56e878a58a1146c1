//! One decision, told in tables.

use crate::support::builder::{
    book_of, decide_all, event_of, key, logged_at, told, told_alone, version,
};
use axs_domain::book::BalanceBook;
use axs_domain::decision::{MissingBalance, decide};
use axs_domain::rule::BalanceRuleSet;

#[test]
fn a_hold_its_settlement_and_its_release_are_exact_at_each_step() {
    let events = [
        event_of(1).change("USD", "-100", "100").build(),
        event_of(1).change("USD", "0", "-40").build(),
        event_of(1).change("USD", "60", "-60").build(),
    ];
    let decision = decide_all(
        &events,
        &book_of(&[("USD", "150", "0", 3)]),
        &BalanceRuleSet::non_negative(),
    );
    let told: Vec<String> = decision.outcomes.iter().map(told).collect();
    assert_eq!(told, ["USD 50/100 v4", "USD 50/60 v5", "USD 110/0 v6"]);
    let write = decision.writes[&key(1, "USD")];
    assert_eq!(write.version_read, version(3));
    assert_eq!(write.after.version, version(6));
    assert!(decision.reads.is_empty());
}

#[test]
fn three_changes_of_which_the_third_lacks_funds_move_nothing() {
    let event = event_of(1)
        .change("USD", "10", "0")
        .change("EUR", "-1", "1")
        .change("BTC", "-0.5", "0")
        .build();
    let book = book_of(&[
        ("USD", "0", "0", 0),
        ("EUR", "5", "0", 2),
        ("BTC", "0.25", "0", 9),
    ]);
    let decision = decide_all(&[event], &book, &BalanceRuleSet::non_negative());
    let told = told(&decision.outcomes[0]);
    assert_eq!(told, "no: changes[2]: asked for 0.5 BTC, 0.25 available");
    assert!(decision.writes.is_empty());
    let reads = [(key(1, "USD"), 0), (key(1, "EUR"), 2), (key(1, "BTC"), 9)];
    assert_eq!(
        decision.reads,
        reads.map(|(key, number)| (key, version(number))).into()
    );
}

#[test]
fn changes_apply_in_their_order() {
    let rules = BalanceRuleSet::non_negative();
    let empty = [("USD", "0", "0", 0)];
    let deposit_first = event_of(1).change("USD", "5", "0").change("USD", "-5", "5");
    let hold_first = event_of(1).change("USD", "-5", "5").change("USD", "5", "0");
    assert_eq!(
        told_alone(deposit_first, &empty, &rules),
        "USD 5/0 v1, USD 0/5 v2"
    );
    assert_eq!(
        told_alone(hold_first, &empty, &rules),
        "no: changes[0]: asked for 5 USD, 0 available"
    );
}

#[test]
fn events_apply_in_their_order() {
    let deposit = event_of(1).change("USD", "5", "0").build();
    let hold = event_of(1).change("USD", "-5", "5").build();
    let book = book_of(&[("USD", "0", "0", 0)]);
    let rules = BalanceRuleSet::non_negative();
    let outcomes = |events: [_; 2]| -> Vec<String> {
        decide_all(&events, &book, &rules)
            .outcomes
            .iter()
            .map(told)
            .collect()
    };
    assert_eq!(
        outcomes([deposit.clone(), hold.clone()]),
        ["USD 5/0 v1", "USD 0/5 v2"]
    );
    assert_eq!(
        outcomes([hold, deposit]),
        ["no: changes[0]: asked for 5 USD, 0 available", "USD 5/0 v1"]
    );
}

#[test]
fn each_part_of_a_balance_is_refused_for_its_own_lack() {
    let max = "999999999999999999.999999999999999999";
    let low = "-999999999999999999.999999999999999999";
    let rows: &[(&str, &str, &str, &str, &str)] = &[
        // available, frozen, delta of each, outcome
        ("5", "0", "-5", "0", "USD 0/0 v2"),
        (
            "5",
            "0",
            "-5.000000000000000001",
            "0",
            "no: changes[0]: asked for 5.000000000000000001 USD, 5 available",
        ),
        ("0", "5", "0", "-5", "USD 0/0 v2"),
        (
            "9",
            "5",
            "0",
            "-6",
            "no: changes[0]: asked for 6 USD of the frozen part, 5 frozen",
        ),
        (
            "0",
            "5",
            "-1",
            "-6",
            "no: changes[0]: asked for 1 USD, 0 available",
        ),
        (
            "0",
            "5",
            "6",
            "-6",
            "no: changes[0]: asked for 6 USD of the frozen part, 5 frozen",
        ),
        (
            max,
            "0",
            "0.1",
            "0",
            "no: changes[0]: the USD balance would leave the range of amounts",
        ),
        (
            "0",
            max,
            "0",
            "0.1",
            "no: changes[0]: the USD balance would leave the range of amounts",
        ),
        (
            max,
            "0",
            low,
            max,
            "USD 0/999999999999999999.999999999999999999 v2",
        ),
        // Funds are lacking *and* no amount could hold the result: funds are the reason told.
        (
            "0",
            "1",
            "-2",
            max,
            "no: changes[0]: asked for 2 USD, 0 available",
        ),
        (
            max,
            "1",
            "1",
            "-2",
            "no: changes[0]: asked for 2 USD of the frozen part, 1 frozen",
        ),
        (
            "-1",
            "0",
            low,
            "0",
            "no: changes[0]: asked for 999999999999999999.999999999999999999 USD, -1 available",
        ),
    ];
    for (available, frozen, available_delta, frozen_delta, expected) in rows {
        let event = event_of(1).change("USD", available_delta, frozen_delta);
        let book = [("USD", *available, *frozen, 1)];
        let told = told_alone(event, &book, &BalanceRuleSet::non_negative());
        assert_eq!(
            told, *expected,
            "{available}/{frozen} {available_delta}/{frozen_delta}"
        );
    }
}

#[test]
fn a_balance_at_the_end_of_its_versions_is_refused_rather_than_numbered_again() {
    let event = event_of(1).change("USD", "1", "0");
    let told = told_alone(
        event,
        &[("USD", "0", "0", i64::MAX)],
        &BalanceRuleSet::non_negative(),
    );
    assert_eq!(
        told,
        "no: changes[0]: the USD balance would leave the range of amounts"
    );
}

#[test]
fn a_balance_that_was_not_loaded_is_asked_for_and_never_taken_for_zero() {
    let event = event_of(1)
        .change("USD", "1", "0")
        .change("EUR", "1", "0")
        .build();
    let book = book_of(&[("USD", "0", "0", 0)]);
    let decided = decide(
        [(&event, logged_at())],
        &book,
        &BalanceRuleSet::non_negative(),
    );
    assert_eq!(decided, Err(MissingBalance(key(1, "EUR"))));
}

#[test]
fn no_events_decide_nothing() {
    let decision = decide_all(
        &[],
        &BalanceBook::default(),
        &BalanceRuleSet::non_negative(),
    );
    assert_eq!(decision, Default::default());
}
