use super::*;
use crate::port::change_log::{ChangeLogKey, MockChangeLog, RecordedReason};
use crate::testkit::{
    EventBuilder, INCARNATION, TableCodec, account, account_id, away, code, currency, log_id,
    stored_layout,
};
use crate::usecase::account_lookup::{AccountsKnown, MockAccountLookup};
use crate::usecase::backlog::MockBacklog;
use crate::usecase::currency_lookup::MockCurrencyLookup;
use crate::usecase::layout_lookup::MockLayoutLookup;
use crate::usecase::log_changes::MockLogChanges;
use axs_domain::balance::VersionedBalance;
use axs_domain::change::Branch;
use axs_domain::currency::Currency;
use axs_domain::decision::LedgerEntry;
use axs_domain::id::{Offset, PartitionId, ShardId};
use axs_domain::incarnation::Incarnation;
use axs_domain::time::Timestamp;
use bytes::Bytes;

const RETRY_AFTER: Duration = Duration::from_millis(700);
const WAIT: Duration = Duration::from_secs(5);
const OPEN: [i64; 2] = [1, 2];

/// The ports, each answering soundly until a test says otherwise.
struct Ports {
    accounts: MockAccountLookup,
    currencies: MockCurrencyLookup,
    layouts: MockLayoutLookup,
    log: MockLogChanges,
    change_log: MockChangeLog,
    /// Partitions whose backlog is full.
    full: Vec<PartitionId>,
    codec: Arc<TableCodec>,
}

impl Ports {
    /// Accounts 1 and 2; USD with two decimals, BTC with eight, OLD that is inactive.
    fn new() -> Self {
        let mut accounts = MockAccountLookup::new();
        accounts
            .expect_find()
            .times(0..=1)
            .returning(|ids| Ok(AccountsKnown::among(&ids, &OPEN)));
        let mut currencies = MockCurrencyLookup::new();
        currencies
            .expect_current()
            .returning(|| Ok(Arc::new(registered())));
        let mut layouts = MockLayoutLookup::new();
        layouts
            .expect_current()
            .returning(|| Ok(Arc::new(stored_layout())));
        Self {
            accounts,
            currencies,
            layouts,
            log: MockLogChanges::new(),
            change_log: MockChangeLog::new(),
            full: Vec::new(),
            codec: Arc::new(TableCodec::default()),
        }
    }

    fn submission(self) -> BalanceChangeSubmission {
        let full = self.full;
        let mut backlog = MockBacklog::new();
        backlog.expect_check().returning(move |partition| {
            let full = full.contains(&partition).then_some(BacklogFull {
                partition,
                undecided: 10,
                max: 10,
                retry_after: RETRY_AFTER,
            });
            full.map_or(Ok(()), Err)
        });
        BalanceChangeSubmission::new(
            Arc::new(self.accounts),
            Arc::new(self.currencies),
            Arc::new(self.layouts),
            self.codec,
            Arc::new(self.log),
            Arc::new(self.change_log),
            Arc::new(backlog),
            SubmitSettings {
                batch_events_max: 10,
                published_wait: WAIT,
            },
        )
    }

    /// Submits for LOGGED.
    async fn submit(
        self,
        events: Vec<BalanceChangeEvent>,
    ) -> Result<Vec<SubmitOutcome>, SubmitError> {
        let submission = self.submission();
        submission.submit(events, AckLevel::Logged, None).await
    }

    /// The log takes exactly the events under these keys, in this order.
    fn logs(&mut self, keys: &'static [&'static str]) {
        self.log
            .expect_log()
            .times(1)
            .withf(move |changes, _| {
                let logged = changes.iter().map(|c| c.key.idempotency_key.as_str());
                logged.eq(keys.iter().copied())
            })
            .returning(|changes, _| Ok((1..=changes.len() as u128).map(logged).collect()));
    }

    /// The log takes an event with the key of this row, which it knows already.
    fn knows(&mut self, record: ChangeLogRecord) {
        let key = record.key.clone();
        let logged = self.log.expect_log().times(1);
        logged
            .withf(move |changes, _| changes.iter().map(|c| &c.key).eq([&key]))
            .returning(move |_, _| {
                Ok(vec![LogOutcome::Known {
                    record: Box::new(record.clone()),
                    publication: None,
                }])
            });
    }
}

fn registered() -> CurrencySet {
    let old = Currency::try_new(code("OLD"), 2, false).unwrap();
    CurrencySet::new([currency("USD", 2), currency("BTC", 8), old])
}

fn logged(number: u128) -> LogOutcome {
    LogOutcome::Logged {
        log_id: log_id(number),
        logged_at: Timestamp::from_unix_micros(77),
        publication: None,
    }
}

/// A row that holds this event, still INIT.
fn row(codec: &TableCodec, first: &BalanceChangeEvent) -> ChangeLogRecord {
    ChangeLogRecord {
        log_id: log_id(9),
        key: ChangeLogKey {
            shard_id: account(1).shard_id,
            account_id: first.account_id(),
            idempotency_key: first.idempotency_key().clone(),
        },
        fingerprint: Fingerprint::of(first),
        payload: codec.encode_payload(first),
        status: LogStatus::Init,
        reason: None,
        logged_at: Timestamp::from_unix_micros(50),
        decided_at: None,
        position: None,
        entries: Vec::new(),
    }
}

fn refusal(outcome: &SubmitOutcome) -> &Refusal {
    match outcome {
        SubmitOutcome::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

fn accepted(outcome: &SubmitOutcome) -> &AcceptedEvent {
    match outcome {
        SubmitOutcome::Accepted(accepted) => accepted,
        other => panic!("{other:?}"),
    }
}

fn fields(refusal: &Refusal) -> Vec<&str> {
    let violations = refusal.violations.iter();
    violations.map(|v| v.field.as_str()).collect()
}

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
async fn an_event_whose_row_can_not_be_read_is_unknown_and_its_neighbour_accepted() {
    let mut ports = Ports::new();
    ports.log.expect_log().times(1).returning(|_, _| {
        let unknown = LogOutcome::Unknown("of a newer version".to_owned());
        Ok(vec![unknown, logged(1)])
    });
    let events = vec![
        EventBuilder::new(1, "unreadable").build(),
        EventBuilder::new(2, "sound").build(),
    ];
    let outcomes = ports.submit(events).await.unwrap();
    assert!(matches!(&outcomes[0], SubmitOutcome::Unknown(why) if why.contains("newer")));
    assert_eq!(accepted(&outcomes[1]).log_id, log_id(1));
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
async fn a_currency_registered_a_moment_ago_by_another_process_is_accepted() {
    let mut ports = Ports::new();
    ports.logs(&["k"]);
    ports
        .currencies
        .expect_refreshed()
        .times(1)
        .returning(|| Ok(Arc::new(CurrencySet::new([currency("NEW", 2)]))));
    let event = EventBuilder::new(1, "k").change("NEW", "1", "0").build();
    let outcomes = ports.submit(vec![event]).await.unwrap();
    assert!(!accepted(&outcomes[0]).duplicate);
}

#[tokio::test]
async fn currencies_that_are_known_are_not_read_again() {
    let mut ports = Ports::new();
    ports.logs(&["k"]);
    ports.currencies.expect_refreshed().never();
    let event = EventBuilder::new(1, "k").build();
    assert!(ports.submit(vec![event]).await.is_ok());
}

#[tokio::test]
async fn what_is_logged_names_shard_partition_epoch_and_trace() {
    let mut ports = Ports::new();
    let layout = stored_layout().layout;
    let shard = account(1).shard_id;
    ports
        .log
        .expect_log()
        .times(1)
        .returning(move |mut changes, ack_level| {
            let change = changes.remove(0);
            assert_eq!(ack_level, AckLevel::Published);
            assert_eq!(change.key.shard_id, shard);
            assert_eq!(Some(change.partition), layout.partition_of(shard));
            assert_eq!(change.layout_epoch, layout.epoch());
            assert_eq!(change.fingerprint, Fingerprint::of(&change.event));
            assert_eq!(change.traceparent.as_deref(), Some("00-1-2-01"));
            Ok(vec![logged(1)])
        });
    let submission = ports.submission();
    let events = vec![EventBuilder::new(1, "k").build()];
    let trace = Some("00-1-2-01".to_owned());
    let outcomes = submission.submit(events, AckLevel::Published, trace).await;
    assert!(outcomes.is_ok());
}

#[tokio::test]
async fn a_new_event_is_pending_since_the_databases_time() {
    let mut ports = Ports::new();
    ports.logs(&["k"]);
    let event = EventBuilder::new(1, "k").build();
    let outcomes = ports.submit(vec![event]).await.unwrap();
    let expected = AcceptedEvent {
        log_id: log_id(1),
        duplicate: false,
        published: false,
        state: EventState::pending(Timestamp::from_unix_micros(77)),
    };
    assert_eq!(*accepted(&outcomes[0]), expected);
}

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

#[tokio::test(start_paused = true)]
async fn one_deadline_bounds_the_wait_for_the_topic_and_what_is_late_is_accepted_all_the_same() {
    let mut ports = Ports::new();
    let (_never, first) = Publication::pending();
    let (delivered, second) = Publication::pending();
    let (_never, third) = Publication::pending();
    delivered.send(()).unwrap();
    let mut publications = [first, second, third].into_iter();
    ports.log.expect_log().return_once(move |changes, _| {
        let outcomes = (1..=changes.len() as u128).map(|number| LogOutcome::Logged {
            log_id: log_id(number),
            logged_at: Timestamp::from_unix_micros(77),
            publication: publications.next(),
        });
        Ok(outcomes.collect())
    });
    let submission = ports.submission();
    let events = ["a", "b", "c"].map(|key| EventBuilder::new(1, key).build());
    let asked = Instant::now();
    let outcomes = submission
        .submit(events.to_vec(), AckLevel::Published, None)
        .await
        .unwrap();
    assert_eq!(asked.elapsed(), WAIT);
    let published: Vec<bool> = outcomes.iter().map(|o| accepted(o).published).collect();
    assert_eq!(published, [false, true, false]);
}

#[tokio::test]
async fn a_database_that_is_away_before_the_log_is_unavailable_and_nothing_is_logged() {
    let mut ports = Ports::new();
    ports.accounts = MockAccountLookup::new();
    ports.accounts.expect_find().returning(|_| Err(away()));
    ports.log.expect_log().never();
    let failed = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert!(matches!(failed, Err(SubmitError::Unavailable(_))));
}

#[tokio::test]
async fn a_look_up_that_the_database_denies_is_told_as_it_is_and_nothing_is_logged() {
    let mut ports = Ports::new();
    ports.accounts = MockAccountLookup::new();
    ports.accounts.expect_find().returning(|_| {
        Err(StoreError::Denied {
            store: "PostgreSQL".to_owned(),
            reason: "permission denied for table accounts".to_owned(),
        })
    });
    ports.log.expect_log().never();
    let failed = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert!(
        matches!(&failed, Err(SubmitError::Denied(reason)) if reason.contains("table accounts")),
        "{failed:?}"
    );
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
    // Through the log, which publishes what nobody did: what the client sends next must not overtake it.
    ports.knows(record);
    let outcomes = ports.submit(vec![event()]).await.unwrap();
    let known = accepted(&outcomes[0]);
    assert!(known.duplicate);
    assert_eq!(known.log_id, log_id(9));
}

#[tokio::test]
async fn whether_an_inactive_currency_is_refused_is_unknown_while_the_log_can_not_be_asked() {
    let mut ports = Ports::new();
    let asked = ports.change_log.expect_find_by_key();
    asked.times(1).returning(|_| Err(away()));
    ports.logs(&[]);
    let event = EventBuilder::new(1, "k").change("OLD", "1", "0").build();
    let outcomes = ports.submit(vec![event]).await.unwrap();
    assert!(
        matches!(&outcomes[0], SubmitOutcome::Unknown(_)),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_code_that_can_not_be_looked_up_is_never_called_unknown() {
    let mut ports = Ports::new();
    ports
        .currencies
        .expect_refreshed()
        .times(1)
        .returning(|| Err(away()));
    ports.log.expect_log().never();
    let event = EventBuilder::new(1, "k").change("NEW", "1", "0").build();
    let failed = ports.submit(vec![event]).await;
    assert!(matches!(failed, Err(SubmitError::Unavailable(_))));
}

#[tokio::test]
async fn an_unknown_outcome_and_a_full_backlog_are_told_apart() {
    let pause = Duration::from_secs(3);
    let mut ports = Ports::new();
    ports.log.expect_log().returning(move |_, _| {
        Err(LogError::BacklogFull {
            reason: "8 of 8".to_owned(),
            retry_after: pause,
        })
    });
    let full = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert!(matches!(
        full,
        Err(SubmitError::BacklogFull { retry_after, .. }) if retry_after == pause
    ));
    let mut ports = Ports::new();
    ports
        .log
        .expect_log()
        .returning(|_, _| Err(LogError::Unavailable("away".to_owned())));
    let unknown = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert_eq!(unknown, Err(SubmitError::Unavailable("away".to_owned())));
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

const OTHER: Incarnation = Incarnation::new(2);

/// Accounts as they are found in one history after the other; the last for ever.
fn found_in(histories: Vec<Incarnation>) -> MockAccountLookup {
    let mut accounts = MockAccountLookup::new();
    let mut order = mockall::Sequence::new();
    for incarnation in histories {
        accounts
            .expect_find()
            .times(1)
            .in_sequence(&mut order)
            .returning(move |ids| {
                Ok(AccountsKnown {
                    incarnation,
                    ..AccountsKnown::among(&ids, &OPEN)
                })
            });
    }
    accounts
}

/// All that the events were checked by.
fn looks_everything_up_again(ports: &mut Ports, times: usize) {
    ports
        .currencies
        .expect_refreshed()
        .times(times)
        .returning(|| Ok(Arc::new(registered())));
    ports
        .layouts
        .expect_refreshed()
        .times(times)
        .returning(|| Ok(Arc::new(stored_layout())));
}

#[tokio::test]
async fn what_was_checked_in_another_history_is_checked_anew_and_logged_once() {
    let mut ports = Ports::new();
    ports.accounts = found_in(vec![INCARNATION, OTHER]);
    looks_everything_up_again(&mut ports, 1);
    ports
        .log
        .expect_log()
        .times(2)
        .returning(|changes, _| match changes[0].incarnation {
            OTHER => Ok(vec![logged(1)]),
            _ => Err(LogError::HistoryMoved),
        });
    let outcomes = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert_eq!(accepted(&outcomes.unwrap()[0]).log_id, log_id(1));
}

#[tokio::test]
async fn a_history_that_moves_again_and_again_is_given_up_without_logging() {
    let mut ports = Ports::new();
    ports.accounts = found_in(vec![INCARNATION; CHECKS_MAX]);
    looks_everything_up_again(&mut ports, CHECKS_MAX - 1);
    ports
        .log
        .expect_log()
        .times(CHECKS_MAX)
        .returning(|_, _| Err(LogError::HistoryMoved));
    let failed = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert!(matches!(failed, Err(SubmitError::Unavailable(_))));
}

#[tokio::test]
async fn an_account_on_a_shard_that_no_layout_has_is_not_logged() {
    let mut ports = Ports::new();
    ports.accounts = MockAccountLookup::new();
    ports.accounts.expect_find().returning(|_| {
        let mut far = account(1);
        far.shard_id = ShardId::try_new(4_000).unwrap();
        Ok(AccountsKnown {
            incarnation: INCARNATION,
            accounts: HashMap::from([(account_id(1), far)]),
        })
    });
    ports
        .layouts
        .expect_refreshed()
        .times(1)
        .returning(|| Ok(Arc::new(stored_layout())));
    ports.log.expect_log().never();
    let failed = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert!(matches!(failed, Err(SubmitError::Unavailable(reason)) if reason.contains("4000")));
}
