use super::harness::{Client, UseCases, assert_invalid, client, fields, run, settings};
use axs_application::usecase::ack_level::AckLevel;
use axs_application::usecase::event_state::EventState;
use axs_application::usecase::refusal::{Refusal, RefusalCode};
use axs_application::usecase::submit_balance_changes::{
    AcceptedEvent, MockSubmitBalanceChanges, SubmitError, SubmitOutcome,
};
use axs_domain::event::BalanceChangeEvent;
use axs_domain::id::LogId;
use axs_domain::time::Timestamp;
use axs_proto::v1;
use axs_proto::v1::submit_result::Outcome;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Request};
use tonic_types::StatusExt;

const LOG_ID: &str = "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b";

pub fn event(key: &str) -> v1::BalanceChangeEvent {
    v1::BalanceChangeEvent {
        event_id: "e-1".to_owned(),
        event_type: "order.hold".to_owned(),
        account_id: 7,
        user_id: 70,
        source_service: "matching".to_owned(),
        related_order_id: String::new(),
        idempotency_key: key.to_owned(),
        created_msec: 1,
        changes: vec![change()],
    }
}

fn change() -> v1::BalanceChange {
    v1::BalanceChange {
        change_id: "c-0".to_owned(),
        currency_code: "USDT".to_owned(),
        available_delta: "-5".to_owned(),
        frozen_delta: "5".to_owned(),
        fallback: None,
    }
}

fn with_amount(text: &str) -> v1::BalanceChangeEvent {
    let mut event = event("k");
    event.changes[0].available_delta = text.to_owned();
    event
}

pub fn request(events: Vec<v1::BalanceChangeEvent>) -> v1::BatchSubmitBalanceChangesRequest {
    v1::BatchSubmitBalanceChangesRequest {
        events,
        ack_level: v1::AckLevel::Unspecified.into(),
    }
}

pub fn accepted() -> SubmitOutcome {
    SubmitOutcome::Accepted(Box::new(AcceptedEvent {
        log_id: LogId::parse(LOG_ID).unwrap(),
        duplicate: false,
        published: false,
        state: EventState::pending(Timestamp::from_unix_micros(9)),
    }))
}

fn keys(events: &[BalanceChangeEvent]) -> Vec<&str> {
    events
        .iter()
        .map(|e| e.idempotency_key().as_str())
        .collect()
}

fn with_submit(submit: MockSubmitBalanceChanges) -> UseCases {
    UseCases {
        submit: Arc::new(submit),
        ..UseCases::default()
    }
}

async fn client_that_never_submits() -> Client {
    let mut submit = MockSubmitBalanceChanges::new();
    submit.expect_submit().never();
    client(with_submit(submit)).await
}

async fn failing_client(error: SubmitError) -> Client {
    let mut submit = MockSubmitBalanceChanges::new();
    submit
        .expect_submit()
        .return_once(move |_, _, _| Err(error));
    client(with_submit(submit)).await
}

#[tokio::test]
async fn results_stand_in_the_order_of_the_request_whoever_refused_an_item() {
    let mut submit = MockSubmitBalanceChanges::new();
    submit
        .expect_submit()
        .withf(|events, ack, _| {
            keys(events) == ["k-1", "k-3", "k-4", "k-5"] && *ack == AckLevel::Logged
        })
        .once()
        .return_once(|_, _, _| {
            let refusal =
                Refusal::of_field(RefusalCode::UnknownAccount, "account_id", "is unknown");
            Ok(vec![
                accepted(),
                SubmitOutcome::Refused(refusal),
                accepted(),
                SubmitOutcome::Unknown("its row can't be read".to_owned()),
            ])
        });
    let mut client = client(with_submit(submit)).await;
    let events = vec![
        with_amount("1e3"),
        event("k-1"),
        with_amount("NaN"),
        event("k-3"),
        event("k-4"),
        event("k-5"),
    ];
    let answer = client.batch_submit_balance_changes(request(events)).await;
    let results = answer.unwrap().into_inner().results;
    let told: Vec<String> = results
        .into_iter()
        .map(|result| match result.outcome.unwrap() {
            Outcome::Accepted(accepted) => accepted.log_id,
            Outcome::Refused(refusal) => {
                format!("{:?} {}", refusal.code(), fields(&refusal).join(","))
            }
            Outcome::Unknown(unknown) => format!("unknown: {}", unknown.message),
        })
        .collect();
    assert_eq!(
        told,
        [
            "InvalidField events[0].changes[0].available_delta",
            LOG_ID,
            "InvalidField events[2].changes[0].available_delta",
            "UnknownAccount events[3].account_id",
            LOG_ID,
            "unknown: its row can't be read",
        ]
    );
}

#[tokio::test]
async fn what_must_be_refused_is_refused_by_its_path_and_never_reaches_the_use_case() {
    let mut client = client_that_never_submits().await;
    let amount = "changes[0].available_delta";
    let spoilt = |spoil: fn(&mut v1::BalanceChangeEvent)| {
        let mut event = event("k");
        spoil(&mut event);
        event
    };
    let rows = [
        (spoilt(|e| e.changes.clear()), "changes"),
        (with_amount("0.0000000000000000001"), amount),
        (with_amount("1e3"), amount),
        (with_amount("NaN"), amount),
        (with_amount("+5"), amount),
        (with_amount("-0"), amount),
        (
            spoilt(|e| e.changes[0].currency_code.clear()),
            "changes[0].currency_code",
        ),
        (spoilt(|e| e.event_id = "x".repeat(129)), "event_id"),
        (
            spoilt(|e| e.idempotency_key = "x".repeat(129)),
            "idempotency_key",
        ),
        (
            spoilt(|e| e.source_service = "x".repeat(65)),
            "source_service",
        ),
        (spoilt(|e| e.changes = vec![change(); 65]), "changes"),
        (spoilt(|e| e.account_id = 0), "account_id"),
    ];
    let (events, expected): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let answer = client.batch_submit_balance_changes(request(events)).await;
    let results = answer.unwrap().into_inner().results;
    assert_eq!(results.len(), expected.len());
    for (index, (result, field)) in results.into_iter().zip(expected).enumerate() {
        let Some(Outcome::Refused(refusal)) = result.outcome else {
            panic!("events[{index}] was accepted");
        };
        assert_eq!(refusal.code(), v1::RefusalCode::InvalidField);
        assert_eq!(fields(&refusal), [format!("events[{index}].{field}")]);
        assert!(!refusal.violations[0].description.is_empty());
    }
}

#[tokio::test]
async fn an_empty_batch_is_refused_as_a_whole() {
    let mut client = client_that_never_submits().await;
    let refused = client.batch_submit_balance_changes(request(vec![])).await;
    assert_invalid(&refused.unwrap_err(), &["events"]);
}

#[tokio::test]
async fn a_batch_beyond_the_bound_is_refused_as_a_whole() {
    let mut submit = MockSubmitBalanceChanges::new();
    submit.expect_submit().never();
    let mut bounded = settings();
    bounded.batch_items_max = 3;
    let mut client = run(with_submit(submit), bounded).client().await;
    let events = vec![event("k"); 4];
    let refused = client.batch_submit_balance_changes(request(events)).await;
    let status = refused.unwrap_err();
    assert_invalid(&status, &["events"]);
    assert!(status.message().contains("holds 4 items; at most 3"));
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_with_both_sizes() {
    let mut submit = MockSubmitBalanceChanges::new();
    submit.expect_submit().never();
    let mut bounded = settings();
    bounded.request_bytes_max = 1_024;
    let mut client = run(with_submit(submit), bounded).client().await;
    let events = vec![event(&"k".repeat(2_000))];
    let refused = client.batch_submit_balance_changes(request(events)).await;
    let status = refused.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(status.message().contains("1024"), "{status}");
}

#[tokio::test]
async fn an_unknown_acknowledgement_is_refused_rather_than_weakened() {
    let mut client = client_that_never_submits().await;
    let mut unknown = request(vec![event("k")]);
    unknown.ack_level = 9;
    let refused = client.batch_submit_balance_changes(unknown).await;
    assert_invalid(&refused.unwrap_err(), &["ack_level"]);
}

#[tokio::test]
async fn the_acknowledgement_and_the_trace_of_the_request_reach_the_use_case() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut submit = MockSubmitBalanceChanges::new();
    submit
        .expect_submit()
        .withf(|_, ack, trace| *ack == AckLevel::Published && trace.as_deref() == Some(TRACE))
        .once()
        .returning(|_, _, _| {
            let SubmitOutcome::Accepted(mut event) = accepted() else {
                panic!("an accepted event");
            };
            event.published = true;
            event.duplicate = true;
            Ok(vec![SubmitOutcome::Accepted(event)])
        });
    let mut client = client(with_submit(submit)).await;
    let mut message = request(vec![event("k")]);
    message.ack_level = v1::AckLevel::Published.into();
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("traceparent", TRACE.parse().unwrap());
    let answer = client.batch_submit_balance_changes(request).await;
    let results = answer.unwrap().into_inner().results;
    let Some(Outcome::Accepted(event)) = &results[0].outcome else {
        panic!("{results:?}");
    };
    assert!(event.published && event.duplicate);
    let state = event.state.as_ref().unwrap();
    assert_eq!(state.status(), v1::EventStatus::Pending);
    assert_eq!(state.logged_at_usec, 9);
}

#[tokio::test]
async fn a_full_backlog_tells_when_to_come_back() {
    let mut client = failing_client(SubmitError::BacklogFull {
        reason: "4 of 4 events are under way".to_owned(),
        retry_after: Duration::from_millis(250),
    })
    .await;
    let refused = client
        .batch_submit_balance_changes(request(vec![event("k")]))
        .await;
    let status = refused.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let retry = status.get_details_retry_info().unwrap();
    assert_eq!(retry.retry_delay, Some(Duration::from_millis(250)));
}

#[tokio::test]
async fn before_there_is_a_layout_nothing_is_left_to_settle() {
    let mut client = failing_client(SubmitError::NotLaidOut).await;
    let refused = client
        .batch_submit_balance_changes(request(vec![event("k")]))
        .await;
    let status = refused.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("layout init"), "{status}");
    assert!(!status.message().contains("unknown"), "{status}");
}

#[tokio::test]
async fn an_unknown_outcome_tells_how_to_settle_it() {
    let mut client = failing_client(SubmitError::Unavailable("db.example is away".into())).await;
    let refused = client
        .batch_submit_balance_changes(request(vec![event("k")]))
        .await;
    let status = refused.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status
            .message()
            .contains("sending the same keys again settles it")
    );
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.reason, "OUTCOME_UNKNOWN");
}

#[tokio::test]
async fn a_use_case_that_answers_too_little_gives_nobody_a_strangers_answer() {
    let mut submit = MockSubmitBalanceChanges::new();
    submit
        .expect_submit()
        .returning(|_, _, _| Ok(vec![accepted()]));
    let mut client = client(with_submit(submit)).await;
    let events = vec![event("k-1"), event("k-2")];
    let refused = client.batch_submit_balance_changes(request(events)).await;
    assert_eq!(refused.unwrap_err().code(), Code::Internal);
}
