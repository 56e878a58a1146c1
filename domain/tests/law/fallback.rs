//! The fallback: tried for lack of available funds only, greedily, and recorded.

use crate::support::builder::{
    EventBuilder, account, amount, book_of, code, decide_all, event_of, key, told, told_alone,
    version,
};
use crate::support::rule::RefuseExactly;
use axs_domain::decision::Outcome;
use axs_domain::rejection::RejectionCode;
use axs_domain::rule::{BalanceRuleSet, CreditLimit, NonNegative};
use std::sync::Arc;

/// The claim, the event, the balances before it, and the outcome told.
type Row = (
    &'static str,
    EventBuilder,
    Vec<(&'static str, &'static str, &'static str, i64)>,
    &'static str,
);

const MAX: &str = "999999999999999999.999999999999999999";

/// Nobody may move exactly 13, in either direction; account 1 has a credit of 10 in EUR.
fn rules() -> BalanceRuleSet {
    let refuse = |name, text| {
        Arc::new(RefuseExactly {
            name,
            available_delta: amount(text),
        })
    };
    BalanceRuleSet::try_new(vec![
        Arc::new(NonNegative),
        Arc::new(CreditLimit::new([(account(1), code("EUR"), amount("10"))])),
        refuse("no-thirteen-out", "-13"),
        refuse("no-thirteen-in", "13"),
    ])
    .unwrap()
}

#[test]
fn the_branch_taken_follows_from_why_the_primary_was_refused() {
    let fee = |asked: &str| {
        event_of(1)
            .change("BNB", asked, "0")
            .or_else("USD", "-2", "0")
    };
    let rows: Vec<Row> = vec![
        (
            "the primary has funds: the fallback is not looked at, not even loaded",
            fee("-1"),
            vec![("BNB", "1", "0", 1)],
            "BNB 0/0 v2",
        ),
        (
            "the primary lacks available funds: the fallback is taken",
            fee("-1"),
            vec![("BNB", "0.5", "0", 1), ("USD", "9", "0", 4)],
            "USD* 7/0 v5",
        ),
        (
            "frozen funds are no available funds: the fallback is taken",
            fee("-1"),
            vec![("BNB", "0", "100", 1), ("USD", "9", "0", 4)],
            "USD* 7/0 v5",
        ),
        (
            "both lack funds: the event is refused, with both reasons",
            fee("-1"),
            vec![("BNB", "0.5", "0", 1), ("USD", "1", "0", 4)],
            "no: changes[0]: asked for 1 BNB, 0.5 available; fallback: asked for 2 USD, 1 available",
        ),
        (
            "a rule refuses the primary, which has funds: the fallback is not tried",
            fee("-13"),
            vec![("BNB", "20", "0", 1), ("USD", "9", "0", 4)],
            "no: changes[0]: rule no-thirteen-out refuses the change in BNB: not -13",
        ),
        (
            "the primary lacks funds, before any rule is asked: the fallback is taken",
            fee("-13"),
            vec![("BNB", "1", "0", 1), ("USD", "9", "0", 4)],
            "USD* 7/0 v5",
        ),
        (
            "a rule refuses the fallback: the event is refused, with both reasons",
            event_of(1)
                .change("BNB", "-1", "0")
                .or_else("USD", "-13", "0"),
            vec![("BNB", "0", "0", 0), ("USD", "20", "0", 4)],
            "no: changes[0]: asked for 1 BNB, 0 available; fallback: \
             rule no-thirteen-out refuses the change in USD: not -13",
        ),
        (
            "the primary lacks frozen funds: the fallback is not tried",
            event_of(1)
                .change("BNB", "0", "-1")
                .or_else("USD", "-2", "0"),
            vec![("BNB", "5", "0", 1), ("USD", "9", "0", 4)],
            "no: changes[0]: asked for 1 BNB of the frozen part, 0 frozen",
        ),
        (
            "the primary would leave the range of amounts: the fallback is not tried",
            event_of(1)
                .change("BNB", "1", "0")
                .or_else("USD", "-2", "0"),
            vec![("BNB", MAX, "0", 1), ("USD", "9", "0", 4)],
            "no: changes[0]: the BNB balance would leave the range of amounts",
        ),
        (
            "the primary lacks funds and would leave the range too: the fallback is taken",
            event_of(1)
                .change("BNB", "-5", MAX)
                .or_else("USD", "-2", "0"),
            vec![("BNB", "1", "1", 1), ("USD", "9", "0", 4)],
            "USD* 7/0 v5",
        ),
        (
            "the fallback would leave the range: the event is refused, with both reasons",
            event_of(1)
                .change("BNB", "-1", "0")
                .or_else("USD", "0", "1"),
            vec![("BNB", "0", "0", 0), ("USD", "0", MAX, 4)],
            "no: changes[0]: asked for 1 BNB, 0 available; fallback: \
             the USD balance would leave the range of amounts",
        ),
        (
            "credit counts as funds: the primary is taken",
            event_of(1)
                .change("EUR", "-15", "0")
                .or_else("USD", "-2", "0"),
            vec![("EUR", "5", "0", 1), ("USD", "9", "0", 4)],
            "EUR -10/0 v2",
        ),
        (
            "credit is used up: the fallback is taken",
            event_of(1)
                .change("EUR", "-15.01", "0")
                .or_else("USD", "-2", "0"),
            vec![("EUR", "5", "0", 1), ("USD", "9", "0", 4)],
            "USD* 7/0 v5",
        ),
        (
            "credit counts for the fallback as well",
            event_of(1)
                .change("USD", "-2", "0")
                .or_else("EUR", "-10", "0"),
            vec![("USD", "1", "0", 1), ("EUR", "0", "0", 0)],
            "EUR* -10/0 v1",
        ),
    ];
    for (claim, event, balances, expected) in rows {
        assert_eq!(told_alone(event, &balances, &rules()), expected, "{claim}");
    }
}

#[test]
fn a_fallback_sees_what_earlier_changes_of_its_event_did() {
    let rows: Vec<Row> = vec![
        (
            "an earlier change brings the money that the fallback takes",
            event_of(1)
                .change("USD", "2", "0")
                .change("BNB", "-1", "0")
                .or_else("USD", "-2", "0"),
            vec![("BNB", "0", "0", 0), ("USD", "0", "0", 0)],
            "USD 2/0 v1, USD* 0/0 v2",
        ),
        (
            "an earlier change takes the money that the fallback needs",
            event_of(1)
                .change("USD", "-9", "9")
                .change("BNB", "-1", "0")
                .or_else("USD", "-2", "0"),
            vec![("BNB", "0", "0", 0), ("USD", "10", "0", 4)],
            "no: changes[1]: asked for 1 BNB, 0 available; fallback: asked for 2 USD, 1 available",
        ),
        (
            "an earlier change brings the money that the primary takes: no fallback",
            event_of(1)
                .change("BNB", "1", "0")
                .change("BNB", "-1", "0")
                .or_else("USD", "-2", "0"),
            vec![("BNB", "0", "0", 0)],
            "BNB 1/0 v1, BNB 0/0 v2",
        ),
        (
            "an earlier change takes the money that the primary needs: the fallback is taken",
            event_of(1)
                .change("BNB", "-1", "1")
                .change("BNB", "-1", "0")
                .or_else("USD", "-2", "0"),
            vec![("BNB", "1.5", "0", 3), ("USD", "9", "0", 4)],
            "BNB 0.5/1 v4, USD* 7/0 v5",
        ),
        (
            "two fallbacks draw on one balance, until it is empty",
            event_of(1)
                .change("BNB", "-1", "0")
                .or_else("USD", "-2", "0")
                .change("BTC", "-1", "0")
                .or_else("USD", "-2", "0"),
            vec![
                ("BNB", "0", "0", 0),
                ("BTC", "0", "0", 0),
                ("USD", "3", "0", 4),
            ],
            "no: changes[1]: asked for 1 BTC, 0 available; fallback: asked for 2 USD, 1 available",
        ),
        (
            "a fallback's currency is a later change's primary",
            event_of(1)
                .change("BNB", "-1", "0")
                .or_else("USD", "-2", "0")
                .change("USD", "-7", "7"),
            vec![("BNB", "0", "0", 0), ("USD", "9", "0", 4)],
            "USD* 7/0 v5, USD 0/7 v6",
        ),
    ];
    for (claim, event, balances, expected) in rows {
        assert_eq!(told_alone(event, &balances, &rules()), expected, "{claim}");
    }
}

#[test]
fn a_branch_once_taken_is_not_given_back_for_a_later_change() {
    // Taking the fee from USD would have let both changes through; greed takes BNB and fails.
    let event = event_of(1)
        .change("BNB", "-1", "0")
        .or_else("USD", "-2", "0")
        .change("BNB", "-1", "0");
    let balances = [("BNB", "1", "0", 1), ("USD", "9", "0", 4)];
    assert_eq!(
        told_alone(event, &balances, &rules()),
        "no: changes[1]: asked for 1 BNB, 0 available"
    );
}

#[test]
fn a_primary_passed_over_is_read_and_not_written() {
    let event = event_of(1)
        .change("BNB", "-1", "0")
        .or_else("USD", "-2", "0")
        .build();
    let book = book_of(&[("BNB", "0.5", "0", 6), ("USD", "9", "0", 4)]);
    let decision = decide_all(&[event], &book, &rules());
    // The fallback rests on the lack in BNB: its version must still stand when USD is written.
    assert_eq!(decision.reads, [(key(1, "BNB"), version(6))].into());
    assert_eq!(decision.writes.keys().collect::<Vec<_>>(), [&key(1, "USD")]);
}

#[test]
fn a_fallback_that_an_earlier_event_of_the_batch_makes_possible_is_taken() {
    let events = [
        event_of(1).change("USD", "2", "0").build(),
        event_of(1)
            .change("BNB", "-1", "0")
            .or_else("USD", "-2", "0")
            .build(),
    ];
    let book = book_of(&[("BNB", "0", "0", 0), ("USD", "0", "0", 0)]);
    let outcomes = decide_all(&events, &book, &rules()).outcomes;
    assert_eq!(
        outcomes.iter().map(told).collect::<Vec<_>>(),
        ["USD 2/0 v1", "USD* 0/0 v2"]
    );
}

#[test]
fn the_code_of_a_refused_event_is_that_of_the_change_as_asked() {
    let event = event_of(1)
        .change("BNB", "-1", "0")
        .or_else("USD", "-13", "0")
        .build();
    let book = book_of(&[("BNB", "0", "0", 0), ("USD", "20", "0", 4)]);
    let Outcome::Rejected(rejection) = &decide_all(&[event], &book, &rules()).outcomes[0] else {
        panic!("both branches are refused");
    };
    assert_eq!(rejection.code(), RejectionCode::InsufficientAvailable);
    let of_fallback = rejection.fallback.as_ref().map(|fallback| fallback.code());
    assert_eq!(of_fallback, Some(RejectionCode::RuleRefused));
}
