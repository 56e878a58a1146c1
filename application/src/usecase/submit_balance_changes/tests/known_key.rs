//! Events whose key the log knows already.

use super::{Ports, accepted, fields, refusal, row};
use crate::port::change_log::RecordedReason;
use crate::testkit::{EventBuilder, log_id};
use crate::usecase::ack_level::AckLevel;
use crate::usecase::refusal::RefusalCode;
use crate::usecase::submit_balance_changes::SubmitBalanceChanges;
use axs_domain::balance::VersionedBalance;
use axs_domain::change::Branch;
use axs_domain::decision::LedgerEntry;
use axs_domain::id::{Offset, PartitionId};
use axs_domain::log_status::LogStatus;
use axs_domain::time::Timestamp;
use bytes::Bytes;

#[tokio::test]
async fn the_same_content_again_gets_the_first_result_with_the_first_labels() {
    let mut ports = Ports::new();
    let event = EventBuilder::new(1, "k").build();
    let entry = LedgerEntry {
        change_index: 0,
        branch: Branch::Primary,
        applied: event.changes()[0].primary,
        after: VersionedBalance::ABSENT,
    };
    let mut record = row(&ports.codec, &event);
    record.status = LogStatus::Applied;
    record.decided_at = Some(Timestamp::from_unix_micros(60));
    record.entries = vec![entry];
    ports.knows(record);
    let outcomes = ports.submit(vec![event]).await.unwrap();
    let again = accepted(&outcomes[0]);
    assert!(again.duplicate);
    assert_eq!(again.log_id, log_id(9));
    assert_eq!(again.state.status, LogStatus::Applied);
    assert_eq!(again.state.logged_at, Timestamp::from_unix_micros(50));
    assert_eq!(again.state.entries[0].change_id.as_str(), "change-0");
    assert_eq!(again.state.entries[0].entry, entry);
}

#[tokio::test]
async fn a_rejection_is_given_again_with_its_reason() {
    let mut ports = Ports::new();
    let event = EventBuilder::new(1, "k").build();
    let reason = RecordedReason {
        code: 1,
        message: "asked for 5 USD, 1 available".to_owned(),
    };
    let mut record = row(&ports.codec, &event);
    record.status = LogStatus::Rejected;
    record.reason = Some(reason.clone());
    ports.knows(record);
    let outcomes = ports.submit(vec![event]).await.unwrap();
    assert_eq!(accepted(&outcomes[0]).state.reason, Some(reason));
}

#[tokio::test]
async fn a_known_row_that_can_not_be_read_still_tells_where_the_event_stands() {
    let mut ports = Ports::new();
    let event = EventBuilder::new(1, "k").build();
    let mut record = row(&ports.codec, &event);
    record.payload = Bytes::from_static(b"garbage");
    record.status = LogStatus::Applied;
    record.entries = vec![LedgerEntry {
        change_index: 0,
        branch: Branch::Primary,
        applied: event.changes()[0].primary,
        after: VersionedBalance::ABSENT,
    }];
    ports.knows(record);
    let outcomes = ports.submit(vec![event]).await.unwrap();
    assert_eq!(accepted(&outcomes[0]).state.entries.len(), 1);
}

#[tokio::test]
async fn a_key_used_again_with_other_content_is_refused_and_what_differs_is_named() {
    let mut ports = Ports::new();
    let first = EventBuilder::new(1, "k").change("USD", "5", "0").build();
    ports.knows(row(&ports.codec, &first));
    let second = EventBuilder::new(1, "k")
        .event_type("fee")
        .change("USD", "6", "0")
        .build();
    let outcomes = ports.submit(vec![second]).await.unwrap();
    let refusal = refusal(&outcomes[0]);
    assert_eq!(refusal.code, RefusalCode::KeyReused);
    let differing = ["event_type", "changes[0].available_delta"];
    assert_eq!(fields(refusal), differing);
    for field in differing {
        assert!(refusal.message.contains(field), "{}", refusal.message);
    }
}

#[tokio::test]
async fn a_key_used_again_is_refused_even_when_the_first_event_can_not_be_read() {
    let mut ports = Ports::new();
    let first = EventBuilder::new(1, "k").change("USD", "5", "0").build();
    let mut record = row(&ports.codec, &first);
    record.payload = Bytes::from_static(b"garbage");
    ports.knows(record);
    let second = EventBuilder::new(1, "k").change("USD", "6", "0").build();
    let outcomes = ports.submit(vec![second]).await.unwrap();
    assert_eq!(refusal(&outcomes[0]).code, RefusalCode::KeyReused);
}

#[tokio::test]
async fn a_duplicate_is_published_when_its_row_says_so_and_only_for_who_asked() {
    let position = Some((PartitionId::MIN, Offset::MIN));
    let rows = [
        (LogStatus::Init, None, AckLevel::Published, false),
        (LogStatus::Init, position, AckLevel::Published, true),
        (LogStatus::Rejected, position, AckLevel::Published, true),
        (LogStatus::Init, position, AckLevel::Logged, false),
    ];
    for (status, position, ack_level, published) in rows {
        let mut ports = Ports::new();
        let event = EventBuilder::new(1, "k").build();
        let mut record = row(&ports.codec, &event);
        (record.status, record.position) = (status, position);
        ports.knows(record);
        let submission = ports.submission();
        let outcomes = submission.submit(vec![event], ack_level, None).await;
        let outcomes = outcomes.unwrap();
        let row = (status, position, ack_level);
        assert_eq!(accepted(&outcomes[0]).published, published, "{row:?}");
    }
}

#[tokio::test]
async fn what_passed_before_its_currency_was_made_inactive_is_not_denied_to_its_retry() {
    let mut ports = Ports::new();
    let event = || EventBuilder::new(1, "k").change("OLD", "1", "0").build();
    let record = row(&ports.codec, &event());
    let found = record.clone();
    let asked = ports.change_log.expect_find_by_key();
    asked
        .times(1)
        .withf(|key| key.idempotency_key.as_str() == "k")
        .returning(move |_| Ok(Some(found.clone())));
    // Through the log, which publishes what nobody did: what the client sends next must not
    // overtake it.
    ports.knows(record);
    let outcomes = ports.submit(vec![event()]).await.unwrap();
    let known = accepted(&outcomes[0]);
    assert!(known.duplicate);
    assert_eq!(known.log_id, log_id(9));
}
