//! What is refused, and what is not along with it.

use super::{Ports, RETRY_AFTER, accepted, fields, refusal, registered};
use crate::testkit::{EventBuilder, account, log_id, stored_layout};
use crate::usecase::refusal::RefusalCode;
use crate::usecase::submit_balance_changes::SubmitError;
use std::sync::Arc;

#[tokio::test]
async fn a_bad_item_never_fails_its_neighbours_and_is_never_logged() {
    let mut ports = Ports::new();
    ports.logs(&["first", "last"]);
    let asked = ports.change_log.expect_find_by_key();
    asked.times(1).returning(|_| Ok(None));
    ports
        .currencies
        .expect_refreshed()
        .returning(|| Ok(Arc::new(registered())));
    let events = vec![
        EventBuilder::new(1, "first").build(),
        EventBuilder::new(7, "nobody's account").build(),
        EventBuilder::new(1, "another user").user_of(2).build(),
        EventBuilder::new(1, "unknown")
            .change("ABC", "1", "0")
            .build(),
        EventBuilder::new(1, "inactive")
            .change("OLD", "1", "0")
            .build(),
        EventBuilder::new(1, "fine")
            .change("USD", "0.001", "0")
            .build(),
        EventBuilder::new(2, "last").build(),
    ];
    let outcomes = ports.submit(events).await.unwrap();
    assert_eq!(accepted(&outcomes[0]).log_id, log_id(1));
    let refused = [
        (RefusalCode::UnknownAccount, "account_id"),
        (RefusalCode::WrongUser, "user_id"),
        (RefusalCode::UnknownCurrency, "changes[0].currency_code"),
        (RefusalCode::InactiveCurrency, "changes[0].currency_code"),
        (RefusalCode::TooPrecise, "changes[0].available_delta"),
    ];
    for (outcome, (code, field)) in outcomes[1..6].iter().zip(refused) {
        assert_eq!(refusal(outcome).code, code);
        assert_eq!(fields(refusal(outcome)), [field]);
    }
    assert_eq!(accepted(&outcomes[6]).log_id, log_id(2));
}

#[tokio::test]
async fn everything_wrong_with_currencies_and_amounts_is_named_under_the_code_of_the_first() {
    let mut ports = Ports::new();
    ports.logs(&[]);
    let event = EventBuilder::new(1, "k")
        .change("USD", "0.001", "0.0001")
        .change("BTC", "0.001", "0")
        .fallback("USD", "1", "0.123")
        .change("USD", "1", "0")
        .fallback("OLD", "1", "0")
        .build();
    let outcomes = ports.submit(vec![event]).await.unwrap();
    let refusal = refusal(&outcomes[0]);
    assert_eq!(refusal.code, RefusalCode::TooPrecise);
    let expected = [
        "changes[0].available_delta",
        "changes[0].frozen_delta",
        "changes[1].fallback.frozen_delta",
        "changes[2].fallback.currency_code",
    ];
    assert_eq!(fields(refusal), expected);
}

#[tokio::test]
async fn events_of_a_partition_with_too_much_to_decide_are_refused_and_their_neighbours_are_not() {
    let mut ports = Ports::new();
    let partition_of = |id: i64| {
        let layout = stored_layout().layout;
        layout.partition_of(account(id).shard_id).unwrap()
    };
    assert_ne!(partition_of(1), partition_of(2), "the test needs two");
    ports.full = vec![partition_of(1)];
    ports.logs(&["other"]);
    let events = vec![
        EventBuilder::new(1, "first").build(),
        EventBuilder::new(2, "other").build(),
        EventBuilder::new(1, "second").build(),
    ];
    let outcomes = ports.submit(events).await.unwrap();
    for refused in [&outcomes[0], &outcomes[2]] {
        let refusal = refusal(refused);
        assert_eq!(refusal.code, RefusalCode::BacklogFull);
        assert_eq!(refusal.retry_after, Some(RETRY_AFTER));
    }
    assert!(!accepted(&outcomes[1]).duplicate);
}

#[tokio::test]
async fn a_request_of_which_the_backlog_leaves_nothing_is_refused_as_a_whole_and_not_logged() {
    let mut ports = Ports::new();
    let layout = stored_layout().layout;
    ports.full = layout
        .partition_of(account(1).shard_id)
        .into_iter()
        .collect();
    ports.log.expect_log().never();
    let events = vec![
        EventBuilder::new(1, "first").build(),
        EventBuilder::new(1, "second").build(),
    ];
    let refused = ports.submit(events).await.unwrap_err();
    assert!(
        matches!(&refused, SubmitError::BacklogFull { retry_after, .. } if *retry_after == RETRY_AFTER),
        "{refused:?}"
    );
}

#[tokio::test]
async fn more_events_than_the_bound_are_all_refused_and_none_is_logged() {
    let mut ports = Ports::new();
    ports.log.expect_log().never();
    let events = (0..11).map(|key| EventBuilder::new(1, &key.to_string()).build());
    let outcomes = ports.submit(events.collect()).await.unwrap();
    assert_eq!(outcomes.len(), 11);
    assert!(refusal(&outcomes[0]).message.contains("at most 10"));
}
