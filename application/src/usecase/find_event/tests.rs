use super::*;
use crate::port::change_log::{MockChangeLog, PARKED_REASON_CODE, RecordedReason};
use crate::testkit::{
    EventBuilder, MemoryChangeLog, TableCodec, account, account_id, away, log_id,
};
use crate::usecase::account_lookup::{AccountsKnown, MockAccountLookup};
use axs_domain::balance::VersionedBalance;
use axs_domain::change::Branch;
use axs_domain::decision::LedgerEntry;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::log_status::LogStatus;
use axs_domain::time::Timestamp;
use bytes::Bytes;

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).unwrap()
}

fn by_key(account: i64, text: &str) -> EventLookup {
    EventLookup::Key {
        account_id: account_id(account),
        idempotency_key: key(text),
    }
}

fn record(codec: &TableCodec, event: &BalanceChangeEvent) -> ChangeLogRecord {
    ChangeLogRecord {
        log_id: log_id(5),
        key: ChangeLogKey {
            shard_id: account(1).shard_id,
            account_id: event.account_id(),
            idempotency_key: event.idempotency_key().clone(),
        },
        fingerprint: Fingerprint::of(event),
        payload: codec.encode_payload(event),
        status: LogStatus::Init,
        reason: None,
        logged_at: Timestamp::from_unix_micros(10),
        decided_at: None,
        position: None,
        entries: Vec::new(),
    }
}

/// A look-up over account 1 and this row.
fn over(change: impl FnOnce(&mut ChangeLogRecord)) -> (LoggedEvents, BalanceChangeEvent) {
    let codec = TableCodec::default();
    let event = EventBuilder::new(1, "k").change("USD", "-1", "1").build();
    let mut row = record(&codec, &event);
    change(&mut row);
    let log = MemoryChangeLog::default();
    log.put(row);
    let mut accounts = MockAccountLookup::new();
    accounts
        .expect_find()
        .returning(|ids| Ok(AccountsKnown::among(&ids, &[1])));
    let events = LoggedEvents::new(Arc::new(accounts), Arc::new(log), Arc::new(codec));
    (events, event)
}

#[tokio::test]
async fn an_event_is_found_by_its_log_id_and_by_account_and_key() {
    let (events, event) = over(|_| {});
    for lookup in [EventLookup::LogId(log_id(5)), by_key(1, "k")] {
        let found = events.find(lookup).await.unwrap().unwrap();
        assert_eq!(found.log_id, log_id(5));
        assert_eq!(found.event, event);
        let pending = EventState::pending(Timestamp::from_unix_micros(10));
        assert_eq!(found.state, pending);
    }
}

#[tokio::test]
async fn what_is_not_in_the_log_is_not_found() {
    let (events, _) = over(|_| {});
    let rows = [
        EventLookup::LogId(log_id(6)),
        by_key(1, "other"),
        by_key(2, "k"),
    ];
    for lookup in rows {
        assert_eq!(events.find(lookup).await, Ok(None));
    }
}

#[tokio::test]
async fn an_applied_event_has_its_entries_with_the_labels_of_its_changes() {
    let (events, _) = over(|row| {
        let applied = EventBuilder::new(1, "k").change("USD", "-1", "1").build();
        row.status = LogStatus::Applied;
        row.decided_at = Some(Timestamp::from_unix_micros(20));
        row.entries = vec![LedgerEntry {
            change_index: 0,
            branch: Branch::Primary,
            applied: applied.changes()[0].primary,
            after: VersionedBalance::ABSENT,
        }];
    });
    let found = events.find(by_key(1, "k")).await.unwrap().unwrap();
    assert_eq!(found.state.status, LogStatus::Applied);
    assert_eq!(
        found.state.decided_at,
        Some(Timestamp::from_unix_micros(20))
    );
    assert_eq!(found.state.entries[0].change_id.as_str(), "change-0");
}

#[tokio::test]
async fn a_rejected_and_a_parked_event_have_their_reason() {
    let rows = [
        (LogStatus::Rejected, 1),
        (LogStatus::Parked, PARKED_REASON_CODE),
    ];
    for (status, code) in rows {
        let reason = RecordedReason {
            code,
            message: "why".to_owned(),
        };
        let (events, _) = over(|row| {
            row.status = status;
            row.reason = Some(reason.clone());
        });
        let found = events.find(by_key(1, "k")).await.unwrap().unwrap();
        assert_eq!(
            (found.state.status, found.state.reason),
            (status, Some(reason))
        );
    }
}

#[tokio::test]
async fn a_row_that_can_not_be_read_is_an_error_that_names_it() {
    let (garbage, _) = over(|row| row.payload = Bytes::from_static(b"garbage"));
    let (foreign_entry, _) = over(|row| {
        let event = EventBuilder::new(1, "k").build();
        row.entries = vec![LedgerEntry {
            change_index: 1,
            branch: Branch::Primary,
            applied: event.changes()[0].primary,
            after: VersionedBalance::ABSENT,
        }];
    });
    for events in [garbage, foreign_entry] {
        let failed = events.find(by_key(1, "k")).await.unwrap_err();
        assert!(failed.to_string().contains(&log_id(5).to_string()));
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_never_taken_for_not_found() {
    let mut log = MockChangeLog::new();
    log.expect_find_by_log_id().returning(|_| Err(away()));
    log.expect_find_by_key().never();
    let mut accounts = MockAccountLookup::new();
    accounts.expect_find().returning(|_| Err(away()));
    let codec = Arc::new(TableCodec::default());
    let events = LoggedEvents::new(Arc::new(accounts), Arc::new(log), codec);
    for lookup in [EventLookup::LogId(log_id(5)), by_key(1, "k")] {
        let failed = events.find(lookup).await;
        assert_eq!(failed, Err(FindEventError::Store(away())));
    }
}
