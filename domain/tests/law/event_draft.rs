//! Every way in which the text of an event can be wrong, with the path and the reason told.

use axs_domain::event::{BalanceChangeEvent, CHANGES_MAX};
use axs_domain::event_draft::{
    ChangeDraft, ChangeDrafts, DeltaDraft, EventDraft, FLAWS_MAX, Flaws,
};

const TOO_LONG: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// A sound event whose changes are still open to edits.
struct Draft {
    event: EventDraft<'static>,
    changes: Vec<ChangeDraft<'static>>,
}

impl Draft {
    fn parse(self) -> Result<BalanceChangeEvent, Flaws> {
        let changes = ChangeDrafts::new(self.changes);
        EventDraft {
            changes,
            ..self.event
        }
        .parse()
    }

    fn fallback(&mut self) -> &mut DeltaDraft<'static> {
        self.changes[0].fallback.as_mut().unwrap()
    }
}

fn sound() -> Draft {
    Draft {
        event: EventDraft {
            event_id: "e-1",
            event_type: "order.hold",
            account_id: 7,
            user_id: 70,
            source_service: "matching",
            related_order_id: "o-1",
            idempotency_key: "k-1",
            created_msec: 1,
            changes: ChangeDrafts::new([]),
        },
        changes: vec![change("c-0")],
    }
}

fn change(change_id: &'static str) -> ChangeDraft<'static> {
    ChangeDraft {
        change_id,
        primary: delta("USDT", "-1.50", "1.5"),
        fallback: Some(delta("BNB", "-0.01", "0")),
    }
}

const fn delta(
    currency_code: &'static str,
    available_delta: &'static str,
    frozen_delta: &'static str,
) -> DeltaDraft<'static> {
    DeltaDraft {
        currency_code,
        available_delta,
        frozen_delta,
    }
}

fn flaws(draft: Draft) -> Flaws {
    draft.parse().unwrap_err()
}

fn fields(flaws: &Flaws) -> Vec<&str> {
    flaws.listed().map(|flaw| &*flaw.field).collect()
}

#[test]
fn a_sound_draft_is_read_as_it_stands() {
    let event = sound().parse().unwrap();
    assert_eq!(event.event_id().as_str(), "e-1");
    assert_eq!(event.event_type().as_str(), "order.hold");
    assert_eq!(event.account_id().value(), 7);
    assert_eq!(event.user_id().value(), 70);
    assert_eq!(event.source_service().as_str(), "matching");
    assert_eq!(event.related_order_id().unwrap().as_str(), "o-1");
    assert_eq!(event.idempotency_key().as_str(), "k-1");
    assert_eq!(event.created_msec(), 1);
    let [change] = event.changes() else {
        panic!("{event:?}");
    };
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
    let mut draft = sound();
    draft.event.related_order_id = "";
    assert_eq!(draft.parse().unwrap().related_order_id(), None);
}

#[test]
fn each_wrong_field_is_named_by_its_path_and_reason_and_no_other_is() {
    type Spoil = fn(&mut Draft);
    let rows: &[(Spoil, &str, &str)] = &[
        (|d| d.event.event_id = "", "event_id", "is empty"),
        (|d| d.event.event_id = TOO_LONG, "event_id", "129 bytes"),
        (|d| d.event.event_id = "a\0", "event_id", "control"),
        (|d| d.event.event_type = "", "event_type", "is empty"),
        (
            |d| d.event.event_type = &TOO_LONG[..65],
            "event_type",
            "65 bytes",
        ),
        (|d| d.event.event_type = "a\nb", "event_type", "control"),
        (|d| d.event.account_id = 0, "account_id", "is 0; expected 1"),
        (
            |d| d.event.account_id = -4,
            "account_id",
            "is -4; expected 1",
        ),
        (|d| d.event.user_id = 0, "user_id", "is 0; expected 1"),
        (
            |d| d.event.source_service = "",
            "source_service",
            "is empty",
        ),
        (
            |d| d.event.source_service = &TOO_LONG[..65],
            "source_service",
            "65 bytes",
        ),
        (
            |d| d.event.related_order_id = TOO_LONG,
            "related_order_id",
            "129 bytes",
        ),
        (
            |d| d.event.related_order_id = " ",
            "related_order_id",
            "white space",
        ),
        (
            |d| d.event.idempotency_key = "",
            "idempotency_key",
            "is empty",
        ),
        (
            |d| d.event.idempotency_key = TOO_LONG,
            "idempotency_key",
            "129 bytes",
        ),
        (
            |d| d.event.idempotency_key = "k ",
            "idempotency_key",
            "white space",
        ),
        (|d| d.changes.clear(), "changes", "is empty"),
        (
            |d| d.changes[0].change_id = "",
            "changes[0].change_id",
            "is empty",
        ),
        (
            |d| d.changes[0].change_id = &TOO_LONG[..65],
            "changes[0].change_id",
            "65 bytes",
        ),
        (
            |d| d.changes.push(change("c-0")),
            "changes[1].change_id",
            "repeats",
        ),
        (
            |d| d.changes[0].primary.currency_code = "",
            "changes[0].currency_code",
            "is empty",
        ),
        (
            |d| d.changes[0].primary.currency_code = "XXXXXXXXXXXXXXXXX",
            "changes[0].currency_code",
            "17 bytes",
        ),
        (
            |d| d.changes[0].primary.currency_code = "usdt",
            "changes[0].currency_code",
            "may hold only",
        ),
        (
            |d| d.changes[0].primary = delta("USDT", "0", "0.0"),
            "changes[0]",
            "moves nothing",
        ),
        (
            |d| d.fallback().currency_code = "",
            "changes[0].fallback.currency_code",
            "is empty",
        ),
        (
            |d| d.fallback().currency_code = "USDT",
            "changes[0].fallback.currency_code",
            "needs another one",
        ),
        (
            |d| d.fallback().available_delta = "0",
            "changes[0].fallback",
            "moves nothing",
        ),
        (
            |d| d.fallback().available_delta = "1e3",
            "changes[0].fallback.available_delta",
            "not a plain decimal",
        ),
        (
            |d| d.fallback().frozen_delta = "",
            "changes[0].fallback.frozen_delta",
            "is empty",
        ),
    ];
    for (spoil, field, reason) in rows {
        let mut draft = sound();
        spoil(&mut draft);
        let flaws = flaws(draft);
        assert_eq!(fields(&flaws), [*field], "{reason}");
        assert!(flaws.first().problem.contains(reason), "{flaws}");
        assert_eq!(
            flaws.to_string(),
            format!("{field} {}", flaws.first().problem)
        );
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
        let mut draft = sound();
        draft.changes[0].primary = delta("USDT", text, text);
        let flaws = flaws(draft);
        assert_eq!(
            fields(&flaws),
            ["changes[0].available_delta", "changes[0].frozen_delta"],
            "{text:?}"
        );
        for flaw in flaws.listed() {
            assert!(flaw.problem.contains(reason), "{text:?}: {flaw}");
        }
    }
}

#[test]
fn every_wrong_field_is_named_in_the_order_of_the_fields() {
    let mut draft = sound();
    draft.event = EventDraft {
        event_id: "",
        event_type: "",
        account_id: 0,
        user_id: 0,
        source_service: "",
        related_order_id: " ",
        idempotency_key: "",
        ..draft.event
    };
    draft.changes[0].primary.available_delta = "NaN";
    draft.fallback().currency_code = "bnb";
    draft.changes.push(ChangeDraft {
        change_id: "c-1",
        primary: delta("USDT", "0", "0"),
        fallback: Some(delta("USDT", "0", "0")),
    });
    draft.changes.push(ChangeDraft {
        change_id: "c-1",
        primary: delta("usdt", "x", "x"),
        fallback: None,
    });
    let flaws = flaws(draft);
    assert_eq!(
        fields(&flaws),
        [
            "event_id",
            "event_type",
            "account_id",
            "user_id",
            "source_service",
            "related_order_id",
            "idempotency_key",
            "changes[0].available_delta",
            "changes[0].fallback.currency_code",
            "changes[1]",
            "changes[1].fallback",
            "changes[1].fallback.currency_code",
            "changes[2].change_id",
            "changes[2].currency_code",
            "changes[2].available_delta",
            "changes[2].frozen_delta",
        ]
    );
    assert_eq!(flaws.unlisted(), 0);
    assert_eq!(
        flaws.to_string(),
        "event_id is empty; 15 more fields are wrong"
    );
}

#[test]
fn of_too_many_changes_the_number_is_told_and_none_is_read() {
    for found in [CHANGES_MAX + 1, 100_000] {
        let mut draft = sound();
        draft.event.user_id = 0;
        // Each of them is wrong, and the first has the id of all others.
        draft.changes = vec![change(""); found];
        let flaws = flaws(draft);
        assert_eq!(fields(&flaws), ["user_id", "changes"]);
        assert_eq!(
            flaws.to_string(),
            "user_id is 0; expected 1 or more; 1 more field is wrong"
        );
        assert_eq!(
            flaws.listed().last().unwrap().problem,
            format!("holds {found} changes; at most {CHANGES_MAX} are allowed")
        );
    }
}

#[test]
fn flaws_are_listed_up_to_a_bound_and_counted_beyond_it() {
    for (wrong, unlisted) in [(FLAWS_MAX, 0), (FLAWS_MAX + 1, 1), (CHANGES_MAX, 44)] {
        let mut draft = sound();
        draft.changes = vec![change(""); wrong];
        let flaws = flaws(draft);
        assert_eq!(flaws.listed().count(), FLAWS_MAX);
        assert_eq!(flaws.unlisted(), unlisted);
        assert_eq!(flaws.first().field, "changes[0].change_id");
        assert_eq!(
            flaws.listed().last().unwrap().field,
            "changes[19].change_id"
        );
    }
}

#[test]
fn the_flaws_of_one_change_beyond_the_bound_are_counted_too() {
    let all_wrong = ChangeDraft {
        change_id: "",
        primary: delta("", "", ""),
        fallback: Some(delta("", "", "")),
    };
    let mut draft = sound();
    draft.changes = vec![all_wrong; 3];
    let flaws = flaws(draft);
    assert_eq!(flaws.listed().count(), FLAWS_MAX);
    assert_eq!(flaws.unlisted(), 1);
}
