//! An event field by field, and the refusal of one that is wrong in many. What can be wrong with a
//! field is the domain's table.

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
fn every_wrong_field_of_an_event_is_named_in_one_answer() {
    let mut event = sound();
    event.event_type.clear();
    event.user_id = 0;
    event.changes[0].available_delta = "NaN".to_owned();
    event.changes[0].fallback.as_mut().unwrap().currency_code = "bnb".to_owned();
    let mut second = change("c-1");
    second.available_delta = "0".to_owned();
    second.frozen_delta = "0".to_owned();
    event.changes.push(second);
    event.changes.push(change("c-1"));
    let refusal = read_event(&PATH, event).unwrap_err();
    assert_eq!(refusal.code(), v1::RefusalCode::InvalidField);
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

#[test]
fn the_flaws_beyond_those_listed_are_counted_in_the_message() {
    let mut event = sound();
    event.changes = vec![change(""); CHANGES_MAX];
    let refusal = read_event(&PATH, event).unwrap_err();
    assert_eq!(refusal.violations.len(), 20);
    assert_eq!(
        refusal.message,
        "64 fields are wrong, of which 20 are listed; \
         the first: events[3].changes[0].change_id is empty"
    );
}
