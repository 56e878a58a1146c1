//! Every way in which an event can be malformed, with the path that its refusal must name.

use super::*;
use axs_domain::event::CHANGES_MAX;

const PATH: FieldPath<'static> = FieldPath::element("events", 3);

fn sound() -> v1::BalanceChangeEvent {
    v1::BalanceChangeEvent {
        event_id: "e-1".to_owned(),
        event_type: "order.hold".to_owned(),
        account_id: 7,
        user_id: 70,
        source_service: "matching".to_owned(),
        related_order_id: "o-1".to_owned(),
        idempotency_key: "k-1".to_owned(),
        created_msec: 1,
        changes: vec![change("c-0")],
    }
}

fn change(change_id: &str) -> v1::BalanceChange {
    v1::BalanceChange {
        change_id: change_id.to_owned(),
        currency_code: "USDT".to_owned(),
        available_delta: "-1.50".to_owned(),
        frozen_delta: "1.5".to_owned(),
        fallback: Some(v1::BalanceChangeFallback {
            currency_code: "BNB".to_owned(),
            available_delta: "-0.01".to_owned(),
            frozen_delta: "0".to_owned(),
        }),
    }
}

fn fallback(event: &mut v1::BalanceChangeEvent) -> &mut v1::BalanceChangeFallback {
    event.changes[0].fallback.as_mut().unwrap()
}

fn refused(event: v1::BalanceChangeEvent) -> v1::Refusal {
    let refusal = read_event(&PATH, event).unwrap_err();
    assert_eq!(refusal.code(), v1::RefusalCode::InvalidField);
    refusal
}

#[test]
fn a_sound_event_is_read_as_it_was_sent() {
    let event = read_event(&PATH, sound()).unwrap();
    assert_eq!(event.event_id().as_str(), "e-1");
    assert_eq!(event.event_type().as_str(), "order.hold");
    assert_eq!(event.account_id().value(), 7);
    assert_eq!(event.user_id().value(), 70);
    assert_eq!(event.source_service().as_str(), "matching");
    assert_eq!(event.related_order_id().unwrap().as_str(), "o-1");
    assert_eq!(event.idempotency_key().as_str(), "k-1");
    assert_eq!(event.created_msec(), 1);
    let change = &event.changes()[0];
    assert_eq!(change.change_id.as_str(), "c-0");
    assert_eq!(change.primary.currency.as_str(), "USDT");
    assert_eq!(change.primary.delta.available.to_string(), "-1.5");
    assert_eq!(change.primary.delta.frozen.to_string(), "1.5");
    let fallback = change.fallback.unwrap();
    assert_eq!(fallback.currency.as_str(), "BNB");
    assert_eq!(fallback.delta.available.to_string(), "-0.01");
    assert_eq!(fallback.delta.frozen.to_string(), "0");
}

#[test]
fn an_empty_order_is_no_order() {
    let mut event = sound();
    event.related_order_id.clear();
    assert_eq!(read_event(&PATH, event).unwrap().related_order_id(), None);
}

#[test]
fn each_malformed_field_is_refused_by_its_path_and_reason() {
    type Spoil = fn(&mut v1::BalanceChangeEvent);
    let rows: &[(Spoil, &str, &str)] = &[
        (|e| e.event_id.clear(), "event_id", "is empty"),
        (|e| e.event_id = "x".repeat(129), "event_id", "129 bytes"),
        (|e| e.event_id = "a\0".into(), "event_id", "control"),
        (|e| e.event_type.clear(), "event_type", "is empty"),
        (|e| e.event_type = "x".repeat(65), "event_type", "65 bytes"),
        (|e| e.event_type = "a\nb".into(), "event_type", "control"),
        (|e| e.account_id = 0, "account_id", "is 0; expected 1"),
        (|e| e.account_id = -4, "account_id", "is -4; expected 1"),
        (|e| e.user_id = 0, "user_id", "is 0; expected 1"),
        (|e| e.source_service.clear(), "source_service", "is empty"),
        (
            |e| e.source_service = "x".repeat(65),
            "source_service",
            "65 bytes",
        ),
        (
            |e| e.related_order_id = "x".repeat(129),
            "related_order_id",
            "129 bytes",
        ),
        (
            |e| e.related_order_id = " ".into(),
            "related_order_id",
            "white space",
        ),
        (|e| e.idempotency_key.clear(), "idempotency_key", "is empty"),
        (
            |e| e.idempotency_key = "x".repeat(129),
            "idempotency_key",
            "129 bytes",
        ),
        (
            |e| e.idempotency_key = "k ".into(),
            "idempotency_key",
            "white space",
        ),
        (|e| e.changes.clear(), "changes", "is empty"),
        (
            |e| {
                e.changes = (0..=CHANGES_MAX).map(|i| change(&i.to_string())).collect();
            },
            "changes",
            "holds 65 changes; at most 64",
        ),
        (
            |e| e.changes[0].change_id.clear(),
            "changes[0].change_id",
            "is empty",
        ),
        (
            |e| e.changes[0].change_id = "x".repeat(65),
            "changes[0].change_id",
            "65 bytes",
        ),
        (
            |e| e.changes.push(change("c-0")),
            "changes[1].change_id",
            "repeats",
        ),
        (
            |e| e.changes[0].currency_code.clear(),
            "changes[0].currency_code",
            "is empty",
        ),
        (
            |e| e.changes[0].currency_code = "X".repeat(17),
            "changes[0].currency_code",
            "17 bytes",
        ),
        (
            |e| e.changes[0].currency_code = "usdt".into(),
            "changes[0].currency_code",
            "may hold only",
        ),
        (
            |e| {
                e.changes[0].available_delta = "0".into();
                e.changes[0].frozen_delta = "0".into();
            },
            "changes[0]",
            "moves nothing",
        ),
        (
            |e| fallback(e).currency_code.clear(),
            "changes[0].fallback.currency_code",
            "is empty",
        ),
        (
            |e| fallback(e).currency_code = "USDT".into(),
            "changes[0].fallback.currency_code",
            "needs another one",
        ),
        (
            |e| fallback(e).available_delta = "0".into(),
            "changes[0].fallback",
            "moves nothing",
        ),
        (
            |e| fallback(e).available_delta = "1e3".into(),
            "changes[0].fallback.available_delta",
            "not a plain decimal",
        ),
        (
            |e| fallback(e).frozen_delta.clear(),
            "changes[0].fallback.frozen_delta",
            "is empty",
        ),
    ];
    for (spoil, field, reason) in rows {
        let mut event = sound();
        spoil(&mut event);
        let refusal = refused(event);
        assert_eq!(refusal.violations.len(), 1, "{field}: {refusal:?}");
        let violation = &refusal.violations[0];
        assert_eq!(violation.field, format!("events[3].{field}"));
        assert!(violation.description.contains(reason), "{violation:?}");
        assert!(refusal.message.contains(&violation.field), "{refusal:?}");
    }
}

#[test]
fn each_amount_that_is_no_plain_decimal_is_refused_in_both_parts() {
    let rows = [
        ("", "is empty"),
        ("1e3", "not a plain decimal"),
        ("NaN", "not a plain decimal"),
        ("+5", "not a plain decimal"),
        (" 5", "not a plain decimal"),
        ("-0", "negative zero"),
        ("007", "leading zero"),
        ("0.0000000000000000001", "more than 18 decimals"),
        ("1000000000000000000", "out of range"),
    ];
    for (text, reason) in rows {
        let mut event = sound();
        event.changes[0].available_delta = text.to_owned();
        event.changes[0].frozen_delta = text.to_owned();
        let refusal = refused(event);
        let fields: Vec<&str> = refusal.violations.iter().map(|v| &*v.field).collect();
        assert_eq!(
            fields,
            [
                "events[3].changes[0].available_delta",
                "events[3].changes[0].frozen_delta"
            ],
            "{text:?}"
        );
        assert!(
            refusal
                .violations
                .iter()
                .all(|v| v.description.contains(reason)),
            "{text:?}: {refusal:?}"
        );
    }
}

#[test]
fn every_wrong_field_of_an_event_is_named_in_one_answer() {
    let mut event = sound();
    event.event_type.clear();
    event.user_id = 0;
    event.changes[0].available_delta = "NaN".to_owned();
    fallback(&mut event).currency_code = "bnb".to_owned();
    let mut second = change("c-1");
    second.available_delta = "0".to_owned();
    second.frozen_delta = "0".to_owned();
    event.changes.push(second);
    event.changes.push(change("c-1"));
    let refusal = refused(event);
    let fields: Vec<&str> = refusal.violations.iter().map(|v| &*v.field).collect();
    assert_eq!(
        fields,
        [
            "events[3].event_type",
            "events[3].user_id",
            "events[3].changes[0].available_delta",
            "events[3].changes[0].fallback.currency_code",
            "events[3].changes[1]",
            "events[3].changes[2].change_id",
        ]
    );
    assert!(refusal.message.starts_with("6 fields are wrong"));
}
