//! What clients are told, value by value.

use super::*;
use crate::grpc::event_reader::read_event;
use axs_domain::amount::Amount;
use axs_domain::balance::{Balance, Delta};
use axs_domain::decision::LedgerEntry;
use axs_domain::id::BalanceVersion;
use axs_domain::text::ChangeId;
use axs_domain::time::Timestamp;

const PATH: FieldPath<'static> = FieldPath::element("events", 5);

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

#[test]
fn the_paths_of_a_use_case_are_completed_from_the_requests_root() {
    let violation = |field: &str| FieldViolation {
        field: field.to_owned(),
        description: "is wrong".to_owned(),
    };
    let inside = Refusal {
        code: RefusalCode::TooPrecise,
        message: "why".to_owned(),
        violations: vec![violation("changes[0].frozen_delta"), violation("")],
        retry_after: Some(std::time::Duration::from_millis(250)),
    };
    let told = refusal(&PATH, inside);
    assert_eq!(told.code(), v1::RefusalCode::TooPrecise);
    assert_eq!(told.message, "why");
    assert_eq!(told.retry_after_msec, 250);
    let fields: Vec<_> = told.violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["events[5].changes[0].frozen_delta", "events[5]"]);
}

#[test]
fn a_message_that_lists_the_violations_lists_them_by_their_completed_paths() {
    let inside = Refusal::of_field(RefusalCode::UnknownPool, "pool", "is unknown");
    let told = refusal(&PATH, inside);
    assert_eq!(told.message, "events[5].pool is unknown");
}

#[test]
fn an_applied_event_is_told_with_its_entries_in_canonical_decimals() {
    let state = EventState {
        status: LogStatus::Applied,
        reason: None,
        entries: vec![LabelledEntry {
            change_id: ChangeId::parse("fee").unwrap(),
            entry: LedgerEntry {
                change_index: 2,
                branch: Branch::Fallback,
                applied: CurrencyDelta {
                    currency: CurrencyCode::parse("BNB").unwrap(),
                    delta: Delta {
                        available: amount("-0.0100"),
                        frozen: Amount::ZERO,
                    },
                },
                after: VersionedBalance {
                    balance: Balance {
                        available: amount("1.500"),
                        frozen: amount("20"),
                    },
                    version: BalanceVersion::try_new(4).unwrap(),
                },
            },
        }],
        logged_at: Timestamp::from_unix_micros(10),
        decided_at: Some(Timestamp::from_unix_micros(20)),
    };
    let expected = v1::EventState {
        status: v1::EventStatus::Applied.into(),
        reason: None,
        entries: vec![v1::LedgerEntry {
            change_index: 2,
            change_id: "fee".to_owned(),
            currency_code: "BNB".to_owned(),
            fallback_taken: true,
            available_delta: "-0.01".to_owned(),
            frozen_delta: "0".to_owned(),
            available_after: "1.5".to_owned(),
            frozen_after: "20".to_owned(),
            version: 4,
        }],
        logged_at_usec: 10,
        decided_at_usec: 20,
    };
    assert_eq!(event_state(state), expected);
}

#[test]
fn a_pending_event_has_no_time_of_decision() {
    let told = event_state(EventState::pending(Timestamp::from_unix_micros(10)));
    assert_eq!(told.status(), v1::EventStatus::Pending);
    assert_eq!(told.decided_at_usec, 0);
}

#[test]
fn every_reason_has_its_number_and_its_word() {
    let rows = [
        (1, "INSUFFICIENT_AVAILABLE"),
        (2, "INSUFFICIENT_FROZEN"),
        (3, "BALANCE_OVERFLOW"),
        (4, "RULE_REFUSED"),
        (5, "DISCARDED"),
        (100, "UNDECIDABLE"),
        (77, "UNKNOWN"),
    ];
    for (code, name) in rows {
        let told = reason(RecordedReason {
            code,
            message: "why".to_owned(),
        });
        assert_eq!((told.code, told.name.as_str()), (i32::from(code), name));
        assert_eq!(told.message, "why");
    }
}

#[test]
fn an_event_comes_back_as_it_was_read_with_canonical_amounts() {
    let mut sent = v1::BalanceChangeEvent {
        event_id: "e-1".to_owned(),
        event_type: "order.hold".to_owned(),
        account_id: 7,
        user_id: 70,
        source_service: "matching".to_owned(),
        related_order_id: "o-1".to_owned(),
        idempotency_key: "k-1".to_owned(),
        created_msec: -5,
        changes: vec![v1::BalanceChange {
            change_id: "c-0".to_owned(),
            currency_code: "USDT".to_owned(),
            available_delta: "-1.50".to_owned(),
            frozen_delta: "0".to_owned(),
            fallback: Some(v1::BalanceChangeFallback {
                currency_code: "BNB".to_owned(),
                available_delta: "-0.01".to_owned(),
                frozen_delta: "0.0".to_owned(),
            }),
        }],
    };
    let told = event(&read_event(&PATH, sent.clone()).unwrap());
    sent.changes[0].available_delta = "-1.5".to_owned();
    sent.changes[0].fallback.as_mut().unwrap().frozen_delta = "0".to_owned();
    assert_eq!(told, sent);
}
