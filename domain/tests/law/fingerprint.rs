//! Same key, same content: what is content, and what is not.

use crate::support::builder::{EventBuilder, account, amount, event_of, order, part};
use axs_domain::event::EventParts;
use axs_domain::fingerprint::{FINGERPRINT_LENGTH, Fingerprint, differing_fields};
use axs_domain::id::UserId;
use axs_domain::text::{ChangeId, EventId, EventType, IdempotencyKey, SourceService};
use proptest::prelude::*;

/// An event with every field filled.
fn full() -> EventBuilder {
    event_of(42)
        .change("USD", "-12.5", "12.5")
        .change("BNB", "-0.01", "0")
        .or_else("USD", "-3", "0")
        .with(|parts| parts.related_order_id = Some(order("order-9")))
}

type Edit = fn(&mut EventParts);

#[test]
fn every_content_field_changes_the_fingerprint_and_is_named() {
    let rows: &[(&str, Edit)] = &[
        ("event_type", |p| {
            p.event_type = EventType::parse("order.holD").unwrap()
        }),
        ("account_id", |p| p.account_id = account(43)),
        ("user_id", |p| p.user_id = UserId::try_new(8).unwrap()),
        ("source_service", |p| {
            p.source_service = SourceService::parse("matchinG").unwrap()
        }),
        ("related_order_id", |p| {
            p.related_order_id = Some(order("order-8"))
        }),
        ("related_order_id", |p| p.related_order_id = None),
        ("changes", |p| p.changes.truncate(1)),
        ("changes", |p| {
            let mut third = p.changes[1].clone();
            third.change_id = ChangeId::parse("third").unwrap();
            p.changes.push(third);
        }),
        ("changes[0].currency_code", |p| {
            p.changes[0].primary = part("EUR", "-12.5", "12.5")
        }),
        ("changes[0].available_delta", |p| {
            p.changes[0].primary = part("USD", "12.5", "12.5")
        }),
        ("changes[0].frozen_delta", |p| {
            p.changes[0].primary = part("USD", "-12.5", "12.51")
        }),
        ("changes[1].available_delta", |p| {
            p.changes[1].primary.delta.available = amount("-0.010000000000000001");
        }),
        ("changes[0].fallback", |p| {
            p.changes[0].fallback = Some(part("EUR", "-1", "0"))
        }),
        ("changes[1].fallback", |p| p.changes[1].fallback = None),
        ("changes[1].fallback", |p| {
            p.changes[1].fallback = Some(part("EUR", "-3", "0"))
        }),
        ("changes[1].fallback", |p| {
            p.changes[1].fallback = Some(part("USD", "-4", "0"))
        }),
        ("changes[1].fallback", |p| {
            p.changes[1].fallback = Some(part("USD", "-3", "1"))
        }),
    ];
    let original = full().build();
    for (field, edit) in rows {
        let edited = full().with(edit).build();
        assert_eq!(differing_fields(&original, &edited), [*field]);
        assert_eq!(differing_fields(&edited, &original), [*field]);
        assert_ne!(
            Fingerprint::of(&original),
            Fingerprint::of(&edited),
            "{field}"
        );
    }
}

#[test]
fn what_a_retry_may_make_anew_is_no_content() {
    let rows: &[(&str, Edit)] = &[
        ("event_id", |p| {
            p.event_id = EventId::parse("event-2").unwrap()
        }),
        ("created_msec", |p| p.created_msec += 1),
        ("idempotency_key", |p| {
            p.idempotency_key = IdempotencyKey::parse("key-2").unwrap()
        }),
        ("change_id", |p| {
            p.changes[1].change_id = ChangeId::parse("again").unwrap()
        }),
        ("1.0 for 1", |p| {
            p.changes[0].primary = part("USD", "-12.500", "12.50")
        }),
    ];
    let original = full().build();
    for (field, edit) in rows {
        let edited = full().with(edit).build();
        assert!(differing_fields(&original, &edited).is_empty(), "{field}");
        assert_eq!(
            Fingerprint::of(&original),
            Fingerprint::of(&edited),
            "{field}"
        );
    }
}

#[test]
fn every_field_that_differs_is_named_in_order() {
    let edited = full()
        .with(|p| {
            p.account_id = account(43);
            p.related_order_id = None;
            p.changes[0].primary = part("EUR", "-12.5", "1");
            p.changes[1].fallback = None;
        })
        .change("USD", "1", "0")
        .build();
    assert_eq!(
        differing_fields(&full().build(), &edited),
        [
            "account_id",
            "related_order_id",
            "changes",
            "changes[0].currency_code",
            "changes[0].frozen_delta",
            "changes[1].fallback",
        ]
    );
}

#[test]
fn the_order_of_changes_is_content() {
    let swapped = full().with(|p| p.changes.swap(0, 1)).build();
    assert_ne!(Fingerprint::of(&full().build()), Fingerprint::of(&swapped));
}

/// Without lengths before the texts, these two would be one string of bytes: the `b` moves from
/// the type into the account's first byte, and so on, until the user's last byte is an `A`.
#[test]
fn no_field_runs_over_into_the_next() {
    let named = |event_type: &str, account_number, user_number, service: &str| {
        full()
            .with(|p| {
                p.event_type = EventType::parse(event_type).unwrap();
                p.account_id = account(account_number);
                p.user_id = UserId::try_new(user_number).unwrap();
                p.source_service = SourceService::parse(service).unwrap();
            })
            .build()
    };
    let one = named("ab", 0x01, 0x41, "s");
    let other = named("a", 0x6200_0000_0000_0000, 0x0100_0000_0000_0000, "As");
    assert_ne!(Fingerprint::of(&one), Fingerprint::of(&other));
}

/// Computed apart from this code, by Python's hashlib over the layout that the module documents. A
/// stored fingerprint must stay comparable for as long as its row lives: never edit these; a new
/// layout is a new version.
#[test]
fn version_one_is_pinned_for_ever() {
    let rows = [
        (full(), "01a14c3b560942df3edd588b30b47a8a98"),
        (
            event_of(1).change("USD", "1", "0"),
            "01823550ddc6975b51a6e2f1165fd86ca6",
        ),
    ];
    for (event, expected) in rows {
        let fingerprint = Fingerprint::of(&event.build());
        assert_eq!(
            format!("{fingerprint:?}"),
            format!("Fingerprint({expected})")
        );
    }
}

#[test]
fn only_fingerprints_that_this_code_can_compare_are_restored() {
    let fingerprint = Fingerprint::of(&full().build());
    let bytes = *fingerprint.as_bytes();
    assert_eq!(bytes[0], 1);
    assert_eq!(Fingerprint::restore(&bytes), Some(fingerprint));
    assert_eq!(Fingerprint::restore(&bytes[..FINGERPRINT_LENGTH - 1]), None);
    assert_eq!(
        Fingerprint::restore(&[bytes.as_slice(), &[0]].concat()),
        None
    );
    assert_eq!(Fingerprint::restore(&[]), None);
    for version in [0, 2, 255] {
        let mut other = bytes;
        other[0] = version;
        assert_eq!(Fingerprint::restore(&other), None, "version {version}");
    }
}

fn any_part(currencies: &'static [&'static str]) -> impl Strategy<Value = (&'static str, i8, i8)> {
    (prop::sample::select(currencies), 1i8..3, -1i8..1)
}

/// Events from so few values that two of them are often the same.
fn any_small_event() -> impl Strategy<Value = EventBuilder> {
    let change = (
        any_part(&["A", "B"]),
        proptest::option::of(any_part(&["C", "D"])),
    );
    (
        1i64..3,
        proptest::option::of("[xy]"),
        proptest::collection::vec(change, 1..3),
        any::<i64>(),
    )
        .prop_map(|(account, order_id, changes, created_msec)| {
            let event = event_of(account).with(|parts| {
                parts.related_order_id = order_id.as_deref().map(order);
                parts.created_msec = created_msec;
            });
            let text = |(currency, available, frozen): (&'static str, i8, i8)| {
                (currency, available.to_string(), frozen.to_string())
            };
            changes
                .into_iter()
                .fold(event, |event, (primary, fallback)| {
                    let (currency, available, frozen) = text(primary);
                    let event = event.change(currency, &available, &frozen);
                    match fallback.map(text) {
                        Some((currency, available, frozen)) => {
                            event.or_else(currency, &available, &frozen)
                        }
                        None => event,
                    }
                })
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn fingerprints_agree_exactly_when_no_field_differs(
        first in any_small_event(),
        second in any_small_event(),
    ) {
        let (first, second) = (first.build(), second.build());
        let agree = Fingerprint::of(&first) == Fingerprint::of(&second);
        prop_assert_eq!(agree, differing_fields(&first, &second).is_empty());
    }
}
