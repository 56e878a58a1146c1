//! The shape of an event as a whole.

use crate::support::builder::{EventBuilder, event_of};
use axs_domain::event::{CHANGES_MAX, EventError};

fn with_changes(count: usize) -> EventBuilder {
    (0..count).fold(event_of(1), |event, _| event.change("USD", "1", "0"))
}

#[test]
fn a_malformed_event_is_refused_with_the_path_of_the_field() {
    let rows = [
        (event_of(1), EventError::NoChanges, "changes"),
        (
            with_changes(CHANGES_MAX + 1),
            EventError::TooManyChanges {
                found: CHANGES_MAX + 1,
            },
            "changes",
        ),
        (
            with_changes(3).with(|parts| {
                parts.changes[2].change_id = parts.changes[0].change_id.clone();
            }),
            EventError::RepeatedChangeId { index: 2 },
            "changes[2].change_id",
        ),
        (
            with_changes(1).change("USD", "0", "0"),
            EventError::MovesNothing {
                index: 1,
                fallback: false,
            },
            "changes[1]",
        ),
        (
            with_changes(1).or_else("EUR", "0", "0.0"),
            EventError::MovesNothing {
                index: 0,
                fallback: true,
            },
            "changes[0].fallback",
        ),
        (
            with_changes(1).or_else("USD", "-1", "0"),
            EventError::FallbackInSameCurrency { index: 0 },
            "changes[0].fallback.currency_code",
        ),
    ];
    for (event, error, field) in rows {
        assert_eq!(event.try_build(), Err(error), "{field}");
        assert_eq!(error.field(), field);
    }
}

#[test]
fn an_event_of_one_change_up_to_the_most_is_accepted() {
    for count in [1, 2, CHANGES_MAX] {
        assert_eq!(with_changes(count).build().changes().len(), count);
    }
}

#[test]
fn either_part_alone_is_movement_enough() {
    let event = event_of(1)
        .change("USD", "0", "1")
        .change("USD", "-1", "0")
        .or_else("EUR", "0", "-1");
    assert!(event.try_build().is_ok());
}

#[test]
fn an_event_gives_back_what_it_was_made_of() {
    let builder = with_changes(2).or_else("EUR", "-1", "0");
    let mut parts = None;
    let event = builder.with(|p| parts = Some(p.clone())).build();
    let parts = parts.unwrap();
    assert_eq!(event.event_id(), &parts.event_id);
    assert_eq!(event.event_type(), &parts.event_type);
    assert_eq!(event.account_id(), parts.account_id);
    assert_eq!(event.user_id(), parts.user_id);
    assert_eq!(event.source_service(), &parts.source_service);
    assert_eq!(event.related_order_id(), parts.related_order_id.as_ref());
    assert_eq!(event.idempotency_key(), &parts.idempotency_key);
    assert_eq!(event.created_msec(), parts.created_msec);
    assert_eq!(event.changes(), parts.changes);
}
