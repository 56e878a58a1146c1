use super::harness::{Client, UseCases, assert_invalid, client};
use axs_application::port::change_log::RecordedReason;
use axs_application::port::event_codec::PayloadError;
use axs_application::usecase::event_state::EventState;
use axs_application::usecase::find_event::{
    EventLookup, FindEventError, FoundEvent, MockFindEvent,
};
use axs_domain::amount::Amount;
use axs_domain::balance::Delta;
use axs_domain::change::{BalanceChange, CurrencyDelta};
use axs_domain::currency::CurrencyCode;
use axs_domain::event::{BalanceChangeEvent, EventParts};
use axs_domain::id::{AccountId, LogId, UserId};
use axs_domain::log_status::LogStatus;
use axs_domain::text::{ChangeId, EventId, EventType, IdempotencyKey, SourceService};
use axs_domain::time::Timestamp;
use axs_proto::v1;
use axs_proto::v1::get_event_request::Lookup;
use std::sync::Arc;
use tonic::Code;

const LOG_ID: &str = "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b";

async fn client_of(find: MockFindEvent) -> Client {
    client(UseCases {
        find: Arc::new(find),
        ..UseCases::default()
    })
    .await
}

const fn request(lookup: Option<Lookup>) -> v1::GetEventRequest {
    v1::GetEventRequest { lookup }
}

fn by_key(account_id: i64, key: &str) -> Option<Lookup> {
    Some(Lookup::Key(v1::EventKey {
        account_id,
        idempotency_key: key.to_owned(),
    }))
}

fn by_log_id(log_id: &str) -> Option<Lookup> {
    Some(Lookup::LogId(log_id.to_owned()))
}

fn rejected() -> FoundEvent {
    let change = BalanceChange {
        change_id: ChangeId::parse("c-0").unwrap(),
        primary: CurrencyDelta {
            currency: CurrencyCode::parse("USDT").unwrap(),
            delta: Delta {
                available: Amount::parse("-5").unwrap(),
                frozen: Amount::ZERO,
            },
        },
        fallback: None,
    };
    let parts = EventParts {
        event_id: EventId::parse("e-1").unwrap(),
        event_type: EventType::parse("order.hold").unwrap(),
        account_id: AccountId::try_new(7).unwrap(),
        user_id: UserId::try_new(70).unwrap(),
        source_service: SourceService::parse("matching").unwrap(),
        related_order_id: None,
        idempotency_key: IdempotencyKey::parse("k-1").unwrap(),
        created_msec: 1,
        changes: vec![change],
    };
    FoundEvent {
        log_id: LogId::parse(LOG_ID).unwrap(),
        event: BalanceChangeEvent::try_new(parts).unwrap(),
        state: EventState {
            status: LogStatus::Rejected,
            reason: Some(RecordedReason {
                code: 1,
                message: "changes[0]: asked for 5 USDT, 4 available".to_owned(),
            }),
            entries: Vec::new(),
            logged_at: Timestamp::from_unix_micros(10),
            decided_at: Some(Timestamp::from_unix_micros(20)),
        },
    }
}

#[tokio::test]
async fn an_event_is_found_by_either_of_its_names_and_told_with_its_result() {
    let by_id = EventLookup::LogId(LogId::parse(LOG_ID).unwrap());
    let by_its_key = EventLookup::Key {
        account_id: AccountId::try_new(7).unwrap(),
        idempotency_key: IdempotencyKey::parse("k-1").unwrap(),
    };
    for (lookup, asked) in [(by_log_id(LOG_ID), by_id), (by_key(7, "k-1"), by_its_key)] {
        let mut find = MockFindEvent::new();
        find.expect_find()
            .withf(move |lookup| *lookup == asked)
            .once()
            .returning(|_| Ok(Some(rejected())));
        let mut client = client_of(find).await;
        let answer = client
            .get_event(request(lookup))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.log_id, LOG_ID);
        let event = answer.event.unwrap();
        assert_eq!(event.idempotency_key, "k-1");
        assert_eq!(event.changes[0].available_delta, "-5");
        let state = answer.state.unwrap();
        assert_eq!(state.status(), v1::EventStatus::Rejected);
        assert_eq!((state.logged_at_usec, state.decided_at_usec), (10, 20));
        assert_eq!(
            state.reason.unwrap(),
            v1::EventReason {
                code: 1,
                name: "INSUFFICIENT_AVAILABLE".to_owned(),
                message: "changes[0]: asked for 5 USDT, 4 available".to_owned(),
            }
        );
    }
}

#[tokio::test]
async fn an_event_that_is_not_found_settles_nothing_and_the_answer_says_so() {
    let mut find = MockFindEvent::new();
    find.expect_find().returning(|_| Ok(None));
    let mut client = client_of(find).await;
    let status = client
        .get_event(request(by_key(7, "k-1")))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains("settles nothing"), "{status}");
}

#[tokio::test]
async fn a_malformed_lookup_names_every_wrong_field_and_asks_nobody() {
    let mut find = MockFindEvent::new();
    find.expect_find().never();
    let mut client = client_of(find).await;
    let rows: [(_, &[&str]); 4] = [
        (None, &["lookup"]),
        (by_log_id("17"), &["log_id"]),
        (by_key(0, "k-1"), &["key.account_id"]),
        (by_key(0, ""), &["key.account_id", "key.idempotency_key"]),
    ];
    for (lookup, wrong) in rows {
        let refused = client.get_event(request(lookup)).await;
        assert_invalid(&refused.unwrap_err(), wrong);
    }
}

#[tokio::test]
async fn a_row_that_can_not_be_read_is_data_loss() {
    let mut find = MockFindEvent::new();
    find.expect_find().returning(|_| {
        Err(FindEventError::Payload {
            log_id: LogId::parse(LOG_ID).unwrap(),
            source: PayloadError {
                reason: "cut off".to_owned(),
            },
        })
    });
    let mut client = client_of(find).await;
    let refused = client.get_event(request(by_log_id(LOG_ID))).await;
    let status = refused.unwrap_err();
    assert_eq!(status.code(), Code::DataLoss);
    assert!(status.message().contains(LOG_ID), "{status}");
}
