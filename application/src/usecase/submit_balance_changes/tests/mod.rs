//! Claims about submissions, on ports that answer soundly until a test says otherwise.

mod history;
mod known_key;
mod refusal;
mod unavailable;

use super::*;
use crate::port::change_log::{ChangeLogKey, ChangeLogRecord, MockChangeLog};
use crate::testkit::{EventBuilder, TableCodec, account, code, currency, log_id, stored_layout};
use crate::usecase::account_lookup::{AccountsKnown, MockAccountLookup};
use crate::usecase::backlog::{BacklogFull, MockBacklog};
use crate::usecase::currency_lookup::MockCurrencyLookup;
use crate::usecase::layout_lookup::MockLayoutLookup;
use crate::usecase::log_changes::{LogOutcome, MockLogChanges};
use crate::usecase::publish_events::Publication;
use axs_domain::currency::{Currency, CurrencySet};
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::PartitionId;
use axs_domain::log_status::LogStatus;
use axs_domain::time::Timestamp;
use tokio::time::Instant;

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
