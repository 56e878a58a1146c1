//! The model itself, by hand-computed rows: what judges must be judged too.

use super::*;
use crate::script::{change, event, or_else};
use axs_proto::v1::RefusalCode;

const ACCOUNT: i64 = 7;

fn model() -> Model {
    let mut model = Model::default();
    model.open(ACCOUNT, crate::script::user_of(ACCOUNT));
    for (code, decimals) in [("USDT", 6), ("BNB", 8), ("JPY", 0)] {
        let terms = CurrencyTerms {
            decimals,
            active: true,
        };
        model.register(code, terms);
    }
    model
}

fn units(text: &str) -> BigInt {
    parse(text).unwrap()
}

fn moves(key: &str, rows: &[(&str, &str, &str)]) -> BalanceChangeEvent {
    let changes = rows
        .iter()
        .enumerate()
        .map(|(index, (code, available, frozen))| {
            let mut change = change(&index.to_string(), code, &BigInt::ZERO, &BigInt::ZERO);
            change.available_delta = (*available).to_owned();
            change.frozen_delta = (*frozen).to_owned();
            change
        });
    event(ACCOUNT, key, "t", "", changes.collect())
}

#[test]
fn decimals_are_read_and_printed_exactly() {
    let rows = [
        ("0", "0"),
        ("12.50", "12.5"),
        ("-0.000000000000000001", "-0.000000000000000001"),
        (
            "999999999999999999.999999999999999999",
            "999999999999999999.999999999999999999",
        ),
    ];
    for (text, printed) in rows {
        assert_eq!(print(&units(text)), printed);
    }
    let malformed = [
        "",
        "-",
        "-0",
        "+5",
        "1e3",
        "NaN",
        "1.",
        ".1",
        "01",
        "1.2.3",
        " 1",
        "0.0000000000000000001",
        "1000000000000000000",
    ];
    for text in malformed {
        assert_eq!(parse(text), None, "{text:?}");
    }
}

#[test]
fn an_event_whose_third_change_lacks_funds_moves_nothing() {
    let mut model = model();
    model.take(&moves("in", &[("USDT", "10", "0")]));
    let rows = [
        ("USDT", "-4", "4"),
        ("BNB", "1", "0"),
        ("USDT", "-7.5", "0"),
    ];
    model.take(&moves("out", &rows));
    let Some(Outcome::Rejected(reason)) = model.outcome(ACCOUNT, "out") else {
        panic!("{:?}", model.outcome(ACCOUNT, "out"));
    };
    assert_eq!((reason.code, reason.name), (1, "INSUFFICIENT_AVAILABLE"));
    assert_eq!(reason.words, ["changes[2]", "7.5", "USDT", "6"]);
    assert_eq!(model.holding(ACCOUNT, "USDT").available, units("10"));
    assert_eq!(model.holding(ACCOUNT, "BNB"), Holding::default());
}

#[test]
fn the_fallback_is_for_want_of_available_funds_only() {
    let mut model = model();
    model.take(&moves("in", &[("USDT", "10", "0")]));
    let fee = |key: &str, available: &str, frozen: &str| {
        let primary = change("fee", "BNB", &units(available), &units(frozen));
        event(
            ACCOUNT,
            key,
            "t",
            "",
            vec![or_else(primary, "USDT", &units("-3"))],
        )
    };
    model.take(&fee("lacks available", "-1", "0"));
    model.take(&fee("lacks frozen", "0", "-1"));
    assert_eq!(model.holding(ACCOUNT, "USDT").available, units("7"));
    let Some(Outcome::Rejected(reason)) = model.outcome(ACCOUNT, "lacks frozen") else {
        panic!("the fallback was taken");
    };
    assert_eq!(reason.code, 2);
}

#[test]
fn a_balance_too_large_is_refused_and_its_version_counts_applied_changes() {
    let mut model = model();
    for key in ["a", "b"] {
        model.take(&moves(key, &[("JPY", "999999999999999999", "0")]));
    }
    let Some(Outcome::Rejected(reason)) = model.outcome(ACCOUNT, "b") else {
        panic!("{:?}", model.outcome(ACCOUNT, "b"));
    };
    assert_eq!((reason.code, reason.name), (3, "BALANCE_OVERFLOW"));
    assert_eq!(model.holding(ACCOUNT, "JPY").version, 1);
}

#[test]
fn a_key_gives_its_first_result_again_and_refuses_other_content() {
    let mut model = model();
    let first = moves("k", &[("USDT", "1.5", "0")]);
    assert_eq!(model.take(&first), Expected::Accepted { duplicate: false });
    let mut retry = moves("k", &[("USDT", "1.50", "0")]);
    retry.event_id = "another label".to_owned();
    retry.created_msec += 1;
    assert_eq!(model.take(&retry), Expected::Accepted { duplicate: true });
    let other = moves("k", &[("USDT", "1.51", "0")]);
    assert_eq!(
        model.take(&other),
        Expected::Refused(ExpectedRefusal::key_reused())
    );
    assert_eq!(model.holding(ACCOUNT, "USDT").available, units("1.5"));
}

#[test]
fn what_the_contract_forbids_is_refused_by_its_code() {
    let mut model = model();
    let rows = [
        (
            moves("1", &[("USDT", "1e3", "0")]),
            RefusalCode::InvalidField,
        ),
        (moves("2", &[]), RefusalCode::InvalidField),
        (moves("3", &[("JPY", "0.5", "0")]), RefusalCode::TooPrecise),
        (
            moves("4", &[("XXX", "1", "0")]),
            RefusalCode::UnknownCurrency,
        ),
        (moves("5", &[("USDT", "0", "0")]), RefusalCode::InvalidField),
        (
            BalanceChangeEvent {
                account_id: 8,
                ..moves("6", &[("USDT", "1", "0")])
            },
            RefusalCode::UnknownAccount,
        ),
        (
            BalanceChangeEvent {
                user_id: 8,
                ..moves("7", &[("USDT", "1", "0")])
            },
            RefusalCode::WrongUser,
        ),
    ];
    for (event, code) in rows {
        let Expected::Refused(refusal) = model.take(&event) else {
            panic!("{} was taken", event.idempotency_key);
        };
        assert_eq!(refusal.code, code, "{}", event.idempotency_key);
    }
    assert_eq!(model.holdings_of(ACCOUNT).count(), 0);
}
